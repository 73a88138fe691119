-- conv1d and depthwise_conv1d: values against sums in Lua doubles, chunks against one pass,
-- and refusals.

local ag = require 'argent'
local kernels = require 'support.kernels'
local ops = ag.ops

-- |error| <= BOUND * sum |x w|, as for linear.
local BOUND = 2e-6

local function rows_out(T, taps, dilation, stride)
  return math.max(0, math.floor((T - (taps - 1) * dilation - 1) / stride) + 1)
end

local function check_conv1d(x, w, bias, out, dilation, stride)
  x, w, bias, out = x:totable(), w:totable(), bias and bias:totable(), out:totable()
  for t = 1, #out do
    for o = 1, #w do
      local sum, size = 0, 0
      for j = 1, #w[o] do
        local row = x[(t - 1) * stride + (j - 1) * dilation + 1]
        for c = 1, #row do
          sum = sum + row[c] * w[o][j][c]
          size = size + math.abs(row[c] * w[o][j][c])
        end
      end
      local b = bias and bias[o] or 0
      assert.near(sum + b, out[t][o], BOUND * (size + math.abs(b)))
    end
  end
end

for _, k in ipairs(kernels.all()) do
  describe('on ' .. k.isa, function()
    if k.missing then
      pending(k.missing)
      return
    end
    local be = k.be[2]

    describe('conv1d', function()
      it('slides its filters over time', function()
        local x = ag.tensor(be, {{1}, {2}, {4}, {8}, {16}})
        local w = ag.tensor(be, {{{1}, {10}}, {{-1}, {1}}})
        local out = ag.zeros(be, {4, 2})
        ops.conv1d(out, x, w, ag.tensor(be, {0.5, 0}), 1, 1)
        assert.near({{21.5, 1}, {42.5, 2}, {84.5, 4}, {168.5, 8}}, out)
        out = ag.zeros(be, {3, 2})
        ops.conv1d(out, x, w, nil, 2, 1)
        assert.near({{41, 3}, {82, 6}, {164, 12}}, out)
        out = ag.zeros(be, {2, 2})
        ops.conv1d(out, x, w, nil, 1, 2)
        assert.near({{21, 1}, {84, 4}}, out)
      end)

      for _, dtype in ipairs {'f32', 'bf16'} do
        it('is near the exact sums at odd sizes with weights in ' .. dtype, function()
          -- T, C, O, taps, dilation, stride
          for i, s in ipairs {{1, 1, 1, 1, 1, 1}, {9, 3, 5, 7, 1, 1}, {31, 33, 7, 3, 1, 1},
            {40, 31, 33, 7, 3, 1}, {33, 5, 1, 7, 1, 1}, {29, 8, 9, 4, 1, 2}, {60, 24, 24, 7, 9, 1},
            {23, 36, 17, 1, 1, 1}, {30, 6, 40, 5, 2, 3}, {200, 17, 2, 7, 1, 1}} do
            local T, C, O, K, D, S = unpack(s)
            local x, w, bias
            local out = kernels.agree(k, function(b)
              local rnd = kernels.random(i)
              local o = ag.zeros(b, {rows_out(T, K, D, S), O})
              x, w = kernels.tensor(b, {T, C}, rnd), kernels.tensor(b, {O, K, C}, rnd, dtype)
              bias = i % 2 == 0 and kernels.tensor(b, {O}, rnd) or nil
              return function() ops.conv1d(o, x, w, bias, D, S) end, o
            end)
            check_conv1d(x, w, bias, out, D, S)
          end
        end)
      end

      it('gives chunks with their history the bits of one pass', function()
        local rnd = kernels.random(3)
        for _, D in ipairs {1, 3} do
          local C, O, K, T = 20, 11, 7, 30
          local past = (K - 1) * D
          local x, w = kernels.tensor(be, {past + T, C}, rnd), kernels.tensor(be, {O, K, C}, rnd)
          local whole = ag.zeros(be, {T, O})
          ops.conv1d(whole, x, w, nil, D, 1)
          local at = 0
          for _, n in ipairs {1, 7, 2, 20} do
            local part = ag.zeros(be, {n, O})
            ops.conv1d(part, x:narrow(1, at + 1, past + n), w, nil, D, 1)
            assert.same_bits(whole:narrow(1, at + 1, n), part)
            at = at + n
          end
        end
      end)

      it('reads rows with gaps between them', function()
        local rnd = kernels.random(4)
        local x = kernels.tensor(be, {12, 40}, rnd):narrow(2, 3, 10)
        local w = kernels.tensor(be, {5, 3, 10}, rnd)
        local out, apart = ag.zeros(be, {8, 9}):narrow(2, 4, 5), ag.zeros(be, {8, 5})
        ops.conv1d(out, x, w, nil, 2, 1)
        ops.conv1d(apart, x:contiguous(), w, nil, 2, 1)
        assert.same_bits(apart, out)
      end)

      it('gives no rows for an input shorter than the filter', function()
        ops.conv1d(ag.zeros(be, {0, 2}), ag.zeros(be, {6, 3}), ag.zeros(be, {2, 7, 3}), nil, 1, 1)
        ops.conv1d(ag.zeros(be, {0, 2}), ag.zeros(be, {0, 3}), ag.zeros(be, {2, 1, 3}), nil, 1, 1)
      end)
    end)

    describe('depthwise_conv1d', function()
      it('filters every channel by itself', function()
        local x = ag.tensor(be, {{1, 10}, {2, 20}, {4, 40}})
        local w = ag.tensor(be, {{1, 2}, {3, -1}})
        local out = ag.zeros(be, {2, 2})
        ops.depthwise_conv1d(out, x, w, ag.tensor(be, {100, 0.5}))
        assert.near({{107, 0.5}, {114, 0.5}}, out)
      end)

      it('is near the exact sums at odd sizes', function()
        for i, s in ipairs {{1, 1, 1}, {7, 7, 31}, {9, 7, 33}, {20, 3, 100}, {12, 5, 1},
          {40, 7, 129}} do
          local T, K, C = unpack(s)
          local x, w, bias
          local out = kernels.agree(k, function(b)
            local rnd = kernels.random(i)
            local o = ag.zeros(b, {T - K + 1, C})
            x, w = kernels.tensor(b, {T, C}, rnd), kernels.tensor(b, {K, C}, rnd)
            bias = i % 2 == 0 and kernels.tensor(b, {C}, rnd) or nil
            return function() ops.depthwise_conv1d(o, x, w, bias) end, o
          end):totable()
          x, w, bias = x:totable(), w:totable(), bias and bias:totable()
          for t = 1, #out do
            for c = 1, C do
              local sum, size = bias and bias[c] or 0, bias and math.abs(bias[c]) or 0
              for j = 1, K do
                sum = sum + x[t + j - 1][c] * w[j][c]
                size = size + math.abs(x[t + j - 1][c] * w[j][c])
              end
              assert.near(sum, out[t][c], BOUND * size)
            end
          end
        end
      end)

      it('gives a row the same bits alone and among others', function()
        local rnd = kernels.random(2)
        local x, w = kernels.tensor(be, {30, 45}, rnd), kernels.tensor(be, {7, 45}, rnd)
        local out, one = ag.zeros(be, {24, 45}), ag.zeros(be, {1, 45})
        ops.depthwise_conv1d(out, x, w, nil)
        for t = 1, 24 do
          ops.depthwise_conv1d(one, x:narrow(1, t, 7), w, nil)
          assert.same_bits(out:narrow(1, t, 1), one)
        end
      end)
    end)
  end)
end

describe('refused:', function()
  local be = ag.backend('cpu', {threads = 1})
  local x, w, out = ag.zeros(be, {9, 3}), ag.zeros(be, {4, 7, 3}), ag.zeros(be, {3, 4})

  it('conv1d with other channels than its weight', function()
    kernels.refuses('conv1d: x [9,3] and w [4,7,5]: 3 != 5', function()
      ops.conv1d(out, x, ag.zeros(be, {4, 7, 5}), nil, 1, 1)
    end)
  end)

  it('conv1d with an output of another length', function()
    kernels.refuses('conv1d: out [4,4] and x [9,3]: 4 != 3', function()
      ops.conv1d(ag.zeros(be, {4, 4}), x, w, nil, 1, 1)
    end)
    kernels.refuses('conv1d: out [3,4] and x [9,3]: 3 != 2', function()
      ops.conv1d(out, x, w, nil, 1, 2)
    end)
    kernels.refuses('conv1d: out [3,4] and x [9,3]: 3 != 0', function()
      ops.conv1d(out, x, w, nil, 1048576, 1)
    end)
  end)

  it('conv1d with a dilation or stride below 1', function()
    kernels.refuses('conv1d: dilation is 0, expected 1 to 1048576', function()
      ops.conv1d(out, x, w, nil, 0, 1)
    end)
    kernels.refuses('conv1d: stride is -1, expected 1 to 1048576', function()
      ops.conv1d(out, x, w, nil, 1, -1)
    end)
    kernels.refuses('conv1d: stride: expected an integer from -2147483648 to 2147483647, got 1.5',
      function()
        ops.conv1d(out, x, w, nil, 1, 1.5)
      end)
  end)

  it('conv1d with a weight that is not contiguous or has no taps', function()
    kernels.refuses('conv1d: w must be contiguous, with at least one tap', function()
      ops.conv1d(out, x, ag.zeros(be, {7, 4, 3}):transpose(1, 2), nil, 1, 1)
    end)
    kernels.refuses('conv1d: w must be contiguous, with at least one tap', function()
      ops.conv1d(out, x, ag.zeros(be, {4, 0, 3}), nil, 1, 1)
    end)
  end)

  it('conv1d over its own input', function()
    local buffer = ag.zeros(be, {9, 3})
    kernels.refuses('conv1d: out overlaps x', function()
      ops.conv1d(buffer:narrow(1, 3, 3), buffer, ag.zeros(be, {3, 7, 3}), nil, 1, 1)
    end)
  end)

  it('conv1d with other dtypes or ranks', function()
    kernels.refuses('conv1d: x is i32, expected f32', function()
      ops.conv1d(out, ag.zeros(be, {9, 3}, 'i32'), w, nil, 1, 1)
    end)
    kernels.refuses('conv1d: w [4,3]: expected 3 dimensions', function()
      ops.conv1d(out, x, ag.zeros(be, {4, 3}), nil, 1, 1)
    end)
  end)

  it('depthwise_conv1d with other channels, length, or weights in bf16', function()
    local filter = ag.zeros(be, {7, 3})
    kernels.refuses('depthwise_conv1d: x [9,3] and w [7,2]: 3 != 2', function()
      ops.depthwise_conv1d(ag.zeros(be, {3, 3}), x, ag.zeros(be, {7, 2}), nil)
    end)
    kernels.refuses('depthwise_conv1d: out [2,3] and x [9,3]: 2 != 3', function()
      ops.depthwise_conv1d(ag.zeros(be, {2, 3}), x, filter, nil)
    end)
    kernels.refuses('depthwise_conv1d: w is bf16, expected f32', function()
      ops.depthwise_conv1d(ag.zeros(be, {3, 3}), x, filter:to('bf16'), nil)
    end)
    kernels.refuses('depthwise_conv1d: bias [4]: expected a contiguous [3]', function()
      ops.depthwise_conv1d(ag.zeros(be, {3, 3}), x, filter, ag.zeros(be, {4}))
    end)
  end)
end)
