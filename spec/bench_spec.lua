-- What argent bench says is measured, and its bytes are those of the files.

local ag = require 'argent'
local bench = require 'argent.bench'
local cjson = require 'cjson'
local command = require 'support.command'
local golden = require 'support.golden'

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
        assert.equal(want, bench.frame_bytes(tts))
      end
    end)
  end

  it('prints its figures as a table and as JSON', function()
    local model = golden.models()[2].model
    local r = command.run {'bench', '-m', model, '--rounds', '3', '--json'}
    assert.equal(0, r.code, r.err)
    local figures = cjson.decode(r.out)
    for _, key in ipairs {'bandwidth', 'frame_bytes', 'limit', 'frame', 'ratio', 'hooked',
      'prefill',
      'first_audio', 'codec_1', 'codec_8', 'rtf', 'prompt_rows'} do
      assert.is_true(figures[key] > 0, key)
    end
    assert.is_true(math.abs(figures.frame / figures.limit - figures.ratio) < 1e-6 * figures.ratio)
    r = command.run {'bench', '-m', model, '--rounds', '3'}
    assert.equal(0, r.code, r.err)
    assert.matches('real time factor', r.out)
  end)
end)
