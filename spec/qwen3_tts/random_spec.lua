-- Models of random weights, made in memory: of the sizes of small models here, as those of the
-- released ones take gigabytes.

local ag = require 'argent'
local config = require 'argent.qwen3_tts.config'
local golden = require 'support.golden'
local json = require 'argent.json'
local random = require 'argent.qwen3_tts.random'
local released = require 'argent.qwen3_tts.released'

local CONFIGS = _G.ARGENT_ROOT .. '/spec/fixtures/configs/'

describe('a random model', function()
  local be = assert(ag.backend('cpu', {threads = 2}))
  local small, dir

  setup(function()
    for _, m in ipairs(golden.models()) do
      if m.name == 'custom' then dir = m.model end
    end
    small = {}
    for _, name in ipairs {'config.json', 'generation_config.json',
      'speech_tokenizer/config.json'} do
      small[name] = assert(json.read(dir .. '/' .. name))
    end
  end)

  it('has the sizes of the released models', function()
    for _, size in ipairs(released.sizes) do
      local have = assert(config.of(released.files(size)))
      local want = assert(config.read(CONFIGS .. size .. '-custom-voice'))
      -- Which voices and languages there are costs nothing, and the codec's encoder is not made.
      for _, cfg in ipairs {have, want} do
        cfg.talker.speakers, cfg.talker.languages, cfg.talker.dialects = nil, nil, nil
        cfg.codec.encoder = nil
      end
      assert.same(want, have)
    end
  end)

  it('has the networks of the model whose configuration it has, in any dtype', function()
    local want = assert(ag.qwen3_tts.open(dir, {backend = be}))
    for _, dtype in ipairs {'f32', 'bf16'} do
      local tts = random.make(small, {backend = be, dtype = dtype})
      for _, part in ipairs {'talker', 'predictor'} do
        local a, b = tts[part].backbone.blocks, want[part].backbone.blocks
        assert.equal(#b, #a)
        assert.equal(dtype, a[1].mlp.up.weight.dtype)
        assert.same(b[1].mlp.up.weight.shape, a[1].mlp.up.weight.shape)
      end
    end
  end)

  it('keeps the past in the dtype that is asked, as any model does', function()
    for _, cache in ipairs {'f32', 'bf16'} do
      local tts = random.make(small, {backend = be, cache = cache})
      assert.equal(cache, tts.cache)
      assert.equal(cache, tts.talker.backbone:session {}.dtype)
      tts = assert(ag.qwen3_tts.open(dir, {backend = be, cache = cache}))
      assert.equal(cache, tts.talker.backbone:session {}.dtype)
      assert.equal('f32', tts.predictor.backbone:session {}.dtype)
    end
    for _, dtype in ipairs {'f32', 'bf16'} do
      assert.equal('f32', assert(ag.qwen3_tts.open(dir, {backend = be, dtype = dtype})).cache)
    end
    assert.has_error(function() ag.qwen3_tts.open(dir, {backend = be, cache = 'f16'}) end,
      "open: cache: expected one of f32, bf16, got string 'f16'")
  end)

  it('speaks until it is told to stop, noise and no silence, the same each time', function()
    for _, backend in ipairs {be, assert(ag.backend 'cuda-emulated')} do
      local function say()
        local tts = random.make(small, {backend = backend})
        return assert(tts:say {text = 'Hello.', voice = tts:voices()[1], seed = 3, max_frames = 12})
      end
      local sound = say()
      assert.equal('limit', sound.stats.ended)
      local energy = 0
      for _, x in ipairs(sound.samples:totable()) do energy = energy + x * x end
      assert.is_true(energy > 0 and energy < math.huge)
      assert.same(sound.codes:totable(), say().codes:totable())
    end
  end)

  it('refuses sizes that were never released', function()
    assert.has_error(function() random.open('3b', {backend = be}) end,
      "random: size: expected one of 0.6b, 1.7b, got string '3b'")
  end)
end)
