-- The two stages of sampling, each greedy or drawn by an option of its own.

local ag = require 'argent'
local golden = require 'support.golden'
local sampling = require 'argent.qwen3_tts.sampling'
local speech = require 'support.speech'

local be = assert(ag.backend('cpu', {threads = 1}))

-- The index from 0 of the largest value among the first n.
local function argmax(values, n)
  local best = 1
  for i = 2, n do
    if values[i] > values[best] then best = i end
  end
  return best - 1
end

for _, model in ipairs(golden.models()) do
  describe('sampling on ' .. model.name, function()
    local tts = assert(ag.qwen3_tts.open(model.model, {backend = be, dtype = 'f32'}))
    local cfg = tts.cfg

    -- How many ids of either stage were the most likely ones, and how many not.
    local function count(more)
      local o = speech.options(model, tts, 'one two three', 5)
      o.max_frames, o.repetition_penalty = 8, 1
      local seen = {talker = {0, 0}, predictor = {0, 0}}
      local likeliest
      o.hooks = {
        logits = function(_, x)
          x:narrow(1, cfg.talker.codec.eos + 1, 1):fill(-1e9)
          likeliest = argmax(x:totable(), cfg.talker.vocab_size - 1024)
        end,
        predictor_logits = function(_, x)
          likeliest = argmax(x:totable(), cfg.predictor.vocab_size)
        end,
        code = function(_, id, group)
          local counts = group == 0 and seen.talker or seen.predictor
          local at = id == likeliest and 1 or 2
          counts[at] = counts[at] + 1
        end,
      }
      for k, v in pairs(more) do o[k] = v end
      local codes = assert(tts:say(o)).codes:totable()
      return seen, codes
    end

    it('takes the most likely ids in the talker alone, in the predictor alone, or in both',
      function()
        local talker = count {talker_greedy = true}
        assert.equal(0, talker.talker[2])
        assert.is_true(talker.predictor[2] > 0)
        local predictor = count {predictor_greedy = true}
        assert.is_true(predictor.talker[2] > 0)
        assert.equal(0, predictor.predictor[2])
        local both, codes = count {greedy = true}
        assert.equal(0, both.talker[2] + both.predictor[2])
        assert.is_true(both.talker[1] == 8 and both.predictor[1] > 8)
        local _, apart = count {talker_greedy = true, predictor_greedy = true}
        assert.same(codes, apart)
      end)

    it('lets an option of one stage stand above that of both', function()
      local seen = count {greedy = true, predictor_greedy = false}
      assert.equal(0, seen.talker[2])
      assert.is_true(seen.predictor[2] > 0)
    end)
  end)
end

describe('sampling', function()
  local config = {
    do_sample = false, subtalker_dosample = true, temperature = 0.9, top_k = 50, top_p = 1,
    repetition_penalty = 1.05, subtalker_temperature = 0.8, subtalker_top_k = 40,
    subtalker_top_p = 0.9,
  }

  -- The temperatures of both stages; 0 is argmax.
  local function temperatures(opts)
    local s = sampling.of(config, opts, 1, 0)
    return {s.talker[1], s.predictor[1]}
  end

  it('is as generation_config.json says unless it is asked for otherwise', function()
    assert.same({0, 0.8}, temperatures {})
    assert.same({0, 0}, temperatures {greedy = true})
    assert.same({0.9, 0.8}, temperatures {greedy = false})
    assert.same({0.9, 0.8}, temperatures {talker_greedy = false})
    assert.same({0, 0}, temperatures {predictor_greedy = true})
  end)
end)
