-- What the budget of tts:batch takes for the model: weights that are used as copies count once.

local ag = require 'argent'
local budget = require 'argent.qwen3_tts.budget'
local golden = require 'support.golden'
local weights = require 'argent.weights'

describe('the budget of a batch', function()
  local model = golden.models()[1].model
  local be = assert(ag.backend('cpu', {threads = 1}))
  local function open(dtype)
    return assert(ag.qwen3_tts.open(model, {backend = be, dtype = dtype}))
  end

  it('knows which weights are copies', function()
    local products
    weights.by_headers(function() products = open('q8').weights.products end)
    local bf16, bytes = open 'bf16', 0
    for name in pairs(products) do bytes = bytes + bf16.weights:info(name).bytes end
    assert.is_true(bytes > 0)
    assert.equal(bytes, bf16.weights.copied)
    assert.equal(bytes, open('q8').weights.copied)
  end)

  it('knows that the codec has copies of all but its vectors and codebooks', function()
    local w, rest = open('bf16').codec_weights, 0
    for name in pairs(w.used) do
      local info = w:info(name)
      if #info.shape == 1 or name:find '^decoder%.quantizer%.' then rest = rest + info.bytes end
      rest = rest - info.bytes
    end
    assert.is_true(w.copied > 0)
    assert.equal(-rest, w.copied)
  end)

  it('counts them once', function()
    local tts, used = open 'bf16', 0
    assert(budget.plan(tts, 2 ^ 30, 1))
    collectgarbage()
    collectgarbage()
    for _, w in ipairs {tts.weights, tts.codec_weights} do
      for name in pairs(w.used) do used = used + w:info(name).bytes end
      used = used - w.copied
    end
    local need = used + be.live_bytes + tts.costs.stream + tts.costs.block
    assert.equal(1, assert(budget.plan(tts, need, 1)).blocks)
    local plan, _, code = budget.plan(tts, need - 1, 1)
    assert.same({nil, 'memory'}, {plan, code})
  end)

  it('is by default more than the model holds already', function()
    local tts = open 'bf16'
    assert.is_true(assert(budget.plan(tts, nil, 1)).memory > be.live_bytes)
  end)
end)
