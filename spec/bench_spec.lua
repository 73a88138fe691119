-- What argent bench says is measured, and its bytes are those of the files.

local ag = require 'argent'
local bench = require 'argent.bench'
local cjson = require 'cjson'
local command = require 'support.command'
local golden = require 'support.golden'
local parts = require 'argent.qwen3_tts.bench'
local posix = require 'argent.posix'
local utterance = require 'argent.qwen3_tts.utterance'

describe('bench', function()
  local be = assert(ag.backend('cpu', {threads = 2}))

  for _, model in ipairs(golden.models()) do
    it('counts the weights that a frame reads, from the files of ' .. model.name, function()
      for dtype, size in pairs {f32 = 4, bf16 = 2} do
        local tts = assert(ag.qwen3_tts.open(model.model, {backend = be, dtype = dtype}))
        local passes, want = tts.cfg.talker.num_code_groups - 1, 0
        for _, name in ipairs(tts.weights:names()) do
          local shape = tts.weights:info(name).shape
          local matrix = #shape == 2 and not name:find 'embedding'
            and not name:find 'text_projection'
            and not name:find '^speaker_encoder'
          local predictor = name:find 'code_predictor' and not name:find 'lm_head'
          if matrix then want = want + shape[1] * shape[2] * size * (predictor and passes or 1) end
        end
        assert.equal(want, parts.frame_bytes(tts))
      end
    end)
  end

  it('prints its figures as a table and as JSON', function()
    local model = golden.models()[2].model
    local r = command.run {'bench', '-m', model, '--rounds', '3', '--json'}
    assert.equal(0, r.code, r.err)
    local figures = cjson.decode(r.out)
    for _, key in ipairs {'bandwidth', 'frame_bytes', 'limit', 'frame', 'ratio', 'hooked',
      'talker', 'predictor', 'op_cost', 'prefill', 'first_audio', 'codec_1', 'codec_8', 'rtf',
      'prompt_rows', 'speed'} do
      assert.is_true(figures[key] > 0, key)
    end
    assert.is_true(math.abs(figures.frame / figures.limit - figures.ratio) < 1e-6 * figures.ratio)
    assert.equal(12, figures.speed_frames)
    assert.same({'cpu', be.isa, 'bf16'}, {figures.device, figures.isa, figures.dtype})
    r = command.run {'bench', '-m', model, '--rounds', '3'}
    assert.equal(0, r.code, r.err)
    assert.matches('real time factor', r.out)
    assert.matches('\nend to end +[%d.]+ x real time, measured over 12 frames\n', r.out)
  end)

  describe('measures', function()
    local tts

    setup(function() tts = assert(ag.qwen3_tts.open(golden.models()[2].model, {backend = be})) end)

    it('the parts of a frame: all of its ops but the draw and what moves it on', function()
      local u = assert(utterance.start(tts, {text = 'Hello.', voice = tts:voices()[1], seed = 1}))
      assert(u:next())
      local p = parts.parts(u.batch)
      local rest = u.batch.program[1].ops - p.talker.ops - p.predictor.ops
      assert.is_true(rest >= 1 and rest <= 8, rest)
      assert.is_true(p.predictor.ops > p.talker.ops)
      u:finish()
    end)

    it('whole utterances by the clock, until there are enough frames', function()
      local now, clock = posix.now, 100
      finally(function() posix.now = now end)
      local asked, waits = {}, {3, 4, 5}
      posix.now = function() return clock end
      -- Utterances of 7 frames of half a second, which take 3, 4 and 5 seconds.
      local stub = {stream = function(_, o)
        asked[#asked + 1] = {o.max_frames, o.seed, o.text}
        clock = clock + waits[#asked]
        local frames = math.min(7, o.max_frames)
        local stats = {frames = frames, seconds = frames / 2}
        return function() end, {stats = function() return stats end}
      end}
      assert.equal(17 / 2 / (3 + 4 + 5), parts.speed(stub, {text = 'a', seed = 5}, 17))
      assert.same({{17, 5, 'a'}, {10, 6, 'a'}, {3, 7, 'a'}}, asked)
    end)

    it('every device by what it has finished, not by what it was asked', function()
      local real, waits = require('argent.backend').methods.sync, 0
      local methods = require('argent.backend').methods
      finally(function() methods.sync = real end)
      methods.sync = function(b)
        waits = waits + 1
        return real(b)
      end
      bench.run(tts, {voice = tts:voices()[1]}, 3)
      -- Of each kind of frame, part, codec and prefill, and of bandwidth and tiny ops.
      assert.is_true(waits >= 2 * 3 + 2 * 3 + 2 * 3 + 3 + 6 + 10)
    end)
  end)

  it('runs on a device', function()
    local device = assert(ag.backend 'cuda-emulated')
    local tts = assert(ag.qwen3_tts.open(golden.models()[2].model, {backend = device}))
    local r = bench.run(tts, {voice = tts:voices()[1]}, 3)
    for _, key in ipairs {'bandwidth', 'op_cost', 'frame', 'talker', 'predictor', 'codec_1',
      'first_audio', 'speed'} do
      assert.is_true(r[key] > 0, key)
    end
  end)
end)
