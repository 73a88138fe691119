-- pool: means and deviations over time, plain and weighted, against Lua doubles; refusals.

local ag = require 'argent'
local kernels = require 'support.kernels'
local ops = ag.ops

-- x is f32, sums are f64, e^x is f32: half an ulp of the result and the weights' own.
local ABSOLUTE, RELATIVE = 2e-7, 2e-6

-- Of one channel: x, logits as lists; logits may be nil.
local function statistics(x, logits, floor)
  local top, total, sum, squares = -math.huge, 0, 0, 0
  for t = 1, #x do top = math.max(top, logits and logits[t] or 0) end
  local function weight(t) return logits and math.exp(logits[t] - top) or 1 end
  for t = 1, #x do
    total = total + weight(t)
    sum = sum + weight(t) * x[t]
  end
  local mean = sum / total
  for t = 1, #x do squares = squares + weight(t) * (x[t] - mean) ^ 2 end
  return mean, math.sqrt(math.max(squares / total, floor))
end

local function expected(x, logits, floor)
  local means, deviations = {}, {}
  for c = 1, #x[1] do
    local column, weights = {}, logits and {}
    for t = 1, #x do
      column[t] = x[t][c]
      if logits then weights[t] = logits[t][c] end
    end
    means[c], deviations[c] = statistics(column, weights, floor)
  end
  return {means, deviations}
end

for _, k in ipairs(kernels.all()) do
  describe('pool on ' .. k.isa, function()
    if k.missing then
      pending(k.missing)
      return
    end
    local be = k.be[2]

    it('gives the mean of each channel, and the deviation', function()
      local x, out = ag.tensor(be, {{1, 10}, {3, 10}, {5, 40}}), ag.zeros(be, {2, 2})
      ops.pool(out, x, nil, 0)
      assert.near({{3, 20}, {math.sqrt(8 / 3), math.sqrt(200)}}, out, 0, 2e-7)
      local mean = ag.zeros(be, {1, 2})
      ops.pool(mean, x, nil, 0)
      assert.near({{3, 20}}, mean)
    end)

    it('weights each moment by the softmax of its logits', function()
      local x = ag.tensor(be, {{1}, {5}})
      local logits, out = ag.tensor(be, {{0}, {math.log(3)}}), ag.zeros(be, {2, 1})
      ops.pool(out, x, logits, 0)
      assert.near({{4}, {math.sqrt(3)}}, out, 0, 1e-6)
      ops.pool(out, x, ag.tensor(be, {{-1e4}, {90}}), 0)
      assert.near({{5}, {0}}, out)
    end)

    it('keeps the variance above the floor', function()
      local out = ag.zeros(be, {2, 1})
      ops.pool(out, ag.tensor(be, {{7}, {7}}), nil, 0.25)
      assert.near({{7}, {0.5}}, out)
      ops.pool(out, ag.tensor(be, {{7}}), ag.tensor(be, {{3}}), 1e-12)
      assert.near({{7}, {1e-6}}, out, 0, 1e-6)
    end)

    for _, weighted in ipairs {false, true} do
      it('is near the exact values at odd sizes' .. (weighted and ', weighted' or ''), function()
        for i, s in ipairs {{1, 1}, {2, 63}, {5, 65}, {37, 129}, {300, 7}, {33, 200}} do
          local x, logits
          local out, means = kernels.agree(k, function(b)
            local rnd, o, m = kernels.random(i), ag.zeros(b, {2, s[2]}), ag.zeros(b, {1, s[2]})
            x = kernels.tensor(b, s, rnd)
            logits = weighted and kernels.tensor(b, s, function() return rnd() * 9 end) or nil
            return function()
              ops.pool(o, x, logits, 1e-12)
              ops.pool(m, x, logits, 1e-12)
            end, o, m
          end)
          local want = expected(x:totable(), logits and logits:totable(), 1e-12)
          assert.near(want, out, ABSOLUTE, RELATIVE)
          assert.same_bits(out:narrow(1, 1, 1):contiguous(), means)
        end
      end)
    end

    it('gives a channel the same bits alone and among others, with gaps or not', function()
      local rnd = kernels.random(5)
      local x, logits = kernels.tensor(be, {21, 150}, rnd), kernels.tensor(be, {21, 150}, rnd)
      local out = ag.zeros(be, {2, 150})
      ops.pool(out, x, logits, 0)
      for _, part in ipairs {{1, 1}, {60, 70}, {149, 2}} do
        local first, n = unpack(part)
        local wide = ag.zeros(be, {2, n + 4}):fill(4)
        ops.pool(wide:narrow(2, 3, n), x:narrow(2, first, n), logits:narrow(2, first, n), 0)
        assert.same_bits(out:narrow(2, first, n):contiguous(), wide:narrow(2, 3, n):contiguous())
        assert.near({{4}, {4}}, wide:narrow(2, 3 + n, 1))
      end
    end)

    it('stays accurate over a long time', function()
      local x = ag.zeros(be, {70000, 1}):fill(0.1)
      local out = ag.zeros(be, {2, 1})
      ops.pool(out, x, nil, 1e-12)
      assert.near({{0.1}, {1e-6}}, out, 1e-8, 0)
    end)

    it('passes NaN on, to its channel only', function()
      local out = ag.zeros(be, {2, 2})
      ops.pool(out, ag.tensor(be, {{0 / 0, 1}, {2, 3}}), nil, 0)
      assert.near({{0 / 0, 2}, {0 / 0, 1}}, out)
      ops.pool(out, ag.tensor(be, {{1, 1}, {2, 3}}), ag.tensor(be, {{1, 0}, {0 / 0, 0}}), 0)
      assert.near({{0 / 0, 2}, {0 / 0, 1}}, out)
    end)
  end)
end

describe('pool refuses', function()
  local be = ag.backend('cpu', {threads = 1})
  local x, out = ag.zeros(be, {5, 3}), ag.zeros(be, {2, 3})

  it('nothing to pool', function()
    kernels.refuses('pool: x has no rows to pool', function()
      ops.pool(out, ag.zeros(be, {0, 3}), nil, 0)
    end)
  end)

  it('an output of other channels, or of neither one row nor two', function()
    kernels.refuses('pool: out [2,4] and x [5,3]: 4 != 3', function()
      ops.pool(ag.zeros(be, {2, 4}), x, nil, 0)
    end)
    kernels.refuses('pool: rows of out is 3, expected 1 to 2', function()
      ops.pool(ag.zeros(be, {3, 3}), x, nil, 0)
    end)
  end)

  it('logits of another shape', function()
    kernels.refuses('pool: logits [4,3] and x [5,3]: the shapes differ', function()
      ops.pool(out, x, ag.zeros(be, {4, 3}), 0)
    end)
  end)

  it('a negative floor', function()
    kernels.refuses('pool: floor is -1, expected 0 or more', function()
      ops.pool(out, x, nil, -1)
    end)
  end)

  it('an output that is a part of its input', function()
    kernels.refuses('pool: out overlaps x', function() ops.pool(x:narrow(1, 1, 2), x, nil, 0) end)
    kernels.refuses('pool: out overlaps logits', function()
      ops.pool(x:narrow(1, 1, 2), ag.zeros(be, {5, 3}), x, 0)
    end)
  end)
end)
