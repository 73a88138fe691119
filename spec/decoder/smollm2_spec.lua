-- SmolLM2-135M-Instruct in Q4_1, where its weights are, against transformers on the dequantised
-- weights.

local ag = require 'argent'
local amount = require 'support.amount'
local json = require 'argent.json'
local real = require 'support.real'

local path, why = real.path('smollm2', 'SmolLM2-135M-Instruct.Q4_1.gguf')

-- Where two ids are so near in the logits, rounding may choose the other.
local MARGIN = 1e-3

describe('SmolLM2-135M-Instruct', function()
  if not path then return pending(why) end
  local lm = assert(ag.decoder.open(path, {dtype = 'f32'}))
  local golden = assert(json.read 'spec/fixtures/golden/smollm2.json')

  it('has the ids of 300 texts', function()
    for i, text in ipairs(golden.texts) do
      assert.same(golden.ids[i], lm.tokenizer:encode(text, {special = true}), text)
    end
    assert.equal(300, #golden.texts)
  end)

  it('has the logits and, behind each layer, the hidden states of transformers', function()
    local hidden = {}
    local layers = lm.cfg.num_hidden_layers
    for i = 0, layers do
      local name = i == 0 and 'embed' or i == layers and 'norm' or ('layers.%d.out'):format(i - 1)
      lm:watch(name, function(x)
        local last = x:select(1, 1)
        hidden[i + 1] = last:select(1, #last):totable()
      end)
    end
    local logits = assert(lm:logits(golden.text))
    for at, want in pairs(golden.logits) do
      local row = logits:select(1, tonumber(at) + 1):totable()
      for i, id in ipairs(golden.chosen) do
        assert.is_true(math.abs(row[id + 1] - want[i]) < 2e-3, ('%s, %d'):format(at, id))
      end
    end
    for i, want in ipairs(golden.hidden) do
      for j, v in ipairs(want) do
        local got = hidden[i][(j - 1) * 72 + 1]
        assert.is_true(math.abs(got - v) <= 1e-3 * math.max(1, math.abs(v)),
          ('state %d, %d: %g, not %g'):format(i - 1, j, got, v))
      end
    end
  end)

  it('continues five prompts by 200 tokens as transformers does', function()
    for _, case in ipairs(golden.greedy) do
      local g = select(2, lm:stream {prompt = case.prompt, greedy = true, max_tokens = 200,
        repetition_penalty = 1})
      for i, id in ipairs(case.ids) do
        if i > amount.of(200, 200, 5) then break end
        local got = g:next()
        if g.ended == 'eos' then break end
        if got ~= id then
          assert.is_true(case.margin[i] < MARGIN, ('%s: token %d'):format(case.prompt, i))
          break
        end
      end
      g:finish()
    end
  end)
end)
