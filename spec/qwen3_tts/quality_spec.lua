-- What narrower numbers cost: bounds of each dtype on the small models and on the demo voice, and
-- the figures themselves by hand.

local ag = require 'argent'
local bench = require 'argent.qwen3_tts.bench'
local dtypes = require 'argent.dtype'
local golden = require 'support.golden'
local quality = require 'argent.qwen3_tts.quality'

-- Mean Kullback-Leibler divergence from f32, in nats, that a dtype may cost. The files are bf16.
local MOST = {bf16 = 0, q8 = 1e-3, q4 = 0.2}
local MOST_OF_CACHE = 1e-4

describe('quality', function()
  local be = assert(ag.backend('cpu', {threads = 2}))
  local models = {}

  setup(function()
    for _, m in ipairs(golden.models()) do models[#models + 1] = m.model end
    models[#models + 1] = _G.ARGENT_ROOT .. '/models/demo'
  end)

  local function open(model, dtype, cache)
    return assert(ag.qwen3_tts.open(model, {backend = be, dtype = dtype, cache = cache}))
  end

  local function speech(tts)
    local o = bench.default_speech(tts)
    o.text, o.seed, o.max_frames = 'The bank is solid.', 1, 12
    return o
  end

  it('knows how far two sets of logits are from each other', function()
    local a, b = ag.tensor(be, {0, math.log(3)}), ag.tensor(be, {0, 0})
    local kl, same = quality.divergence(a, b)
    assert.near(0.25 * math.log(0.25 / 0.5) + 0.75 * math.log(0.75 / 0.5), kl, 1e-6)
    assert.is_false(same)
    kl, same = quality.divergence(a, ag.tensor(be, {100, 100 + math.log(3)}))
    assert.near(0, kl, 1e-5)
    assert.is_true(same)
  end)

  it('finds nothing between a model and itself', function()
    for _, model in ipairs(models) do
      local tts = open(model, 'f32')
      local r = quality.compare(tts, open(model, 'f32'), speech(tts))
      assert.equal(0, r.mean_kl)
      assert.near(1, r.mean_top1, 1e-9)
      assert.equal(r.frames, r.equal_frames)
      assert.near(1, r.least_cosine, 1e-6)
      assert.equal(math.huge, r.sound)
    end
  end)

  it('finds what is changed in one layer', function()
    local model = models[#models]
    local tts, other = open(model, 'f32'), open(model, 'f32')
    local norm = other.talker.backbone.blocks[1].attn.q_norm
    norm:copy(norm * 1.5)
    local r = quality.compare(tts, other, speech(tts))
    assert.is_true(r.mean_kl > 1e-4)
    assert.is_true(r.least_cosine < 0.9999)
  end)

  for _, dtype in ipairs(dtypes.weights) do
    if dtype ~= 'f32' then
      it('of ' .. dtype .. ' is within its bound on every small model', function()
        for _, model in ipairs(models) do
          local tts = open(model, 'f32')
          local r = quality.compare(tts, open(model, dtype, 'f32'), speech(tts))
          assert.is_true(r.frames >= 8)
          assert.is_true(r.mean_kl <= MOST[dtype], ('%s: %g'):format(model, r.mean_kl))
        end
      end)
    end
  end

  it('of keys and values in bf16 is within its bound on every small model', function()
    for _, model in ipairs(models) do
      local tts = open(model, 'f32')
      local r = quality.compare(tts, open(model, 'f32', 'bf16'), speech(tts))
      assert.is_true(r.mean_kl > 0 and r.mean_kl <= MOST_OF_CACHE, ('%g'):format(r.mean_kl))
      assert.is_true(r.least_cosine > 0.999)
    end
  end)
end)
