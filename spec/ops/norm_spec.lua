-- rms_norm (with and without the residual it takes in) and layer_norm: values, rows, refusals.

local ag = require 'argent'
local kernels = require 'support.kernels'
local ops = ag.ops

-- f32 sums of up to a few thousand squares, in any order.
local RELATIVE, ABSOLUTE = 3e-6, 1e-6

local function rms(x, w, eps)
  local sum, out = 0, {}
  for _, v in ipairs(x) do sum = sum + v * v end
  for i, v in ipairs(x) do out[i] = v / math.sqrt(sum / #x + eps) * w[i] end
  return out
end

local function layer(x, w, b, eps)
  local sum, squares, out = 0, 0, {}
  for _, v in ipairs(x) do sum = sum + v end
  for _, v in ipairs(x) do squares = squares + (v - sum / #x) ^ 2 end
  for i, v in ipairs(x) do
    out[i] = (v - sum / #x) / math.sqrt(squares / #x + eps) * w[i] + b[i]
  end
  return out
end

local SIZES = {{1, 1}, {3, 2}, {2, 31}, {5, 33}, {1, 128}, {9, 100}, {4, 1024}, {31, 1027}}

for _, k in ipairs(kernels.all()) do
  describe('on ' .. k.isa, function()
    if k.missing then
      pending(k.missing)
      return
    end
    local be = k.be[2]

    describe('rms_norm', function()
      it('divides by the root of the mean square', function()
        local x, out = ag.tensor(be, {{3, 4}, {0, 2}}), ag.zeros(be, {2, 2})
        ops.rms_norm(out, x, ag.tensor(be, {1, 10}), 0, nil, nil)
        local a, b = math.sqrt(12.5), math.sqrt(2)
        assert.near({{3 / a, 40 / a}, {0, 20 / b}}, out, 0, RELATIVE)
      end)

      it('keeps a row of zeros at zero', function()
        local out = ag.zeros(be, {1, 3}):fill(5)
        ops.rms_norm(out, ag.zeros(be, {1, 3}), ag.tensor(be, {1, 1, 1}), 1e-6, nil, nil)
        assert.near({{0, 0, 0}}, out)
      end)

      it('is near the exact values at odd sizes', function()
        for i, s in ipairs(SIZES) do
          local x, w
          local out = kernels.agree(k, function(b)
            local rnd, o = kernels.random(i), ag.zeros(b, s)
            x, w = kernels.tensor(b, s, rnd), kernels.tensor(b, {s[2]}, rnd)
            return function() ops.rms_norm(o, x, w, 1e-5, nil, nil) end, o
          end)
          local expected = {}
          for r, row in ipairs(x:totable()) do expected[r] = rms(row, w:totable(), 1e-5) end
          assert.near(expected, out, ABSOLUTE, RELATIVE)
        end
      end)

      for _, scaled in ipairs {false, true} do
        it('adds the branch to x first' .. (scaled and ', scaled' or ''), function()
          for i, s in ipairs(SIZES) do
            local x, w, add, scale, before
            local out, after = kernels.agree(k, function(b)
              local rnd, o = kernels.random(i), ag.zeros(b, s)
              x, w = kernels.tensor(b, s, rnd), kernels.tensor(b, {s[2]}, rnd)
              add = kernels.tensor(b, s, rnd)
              scale = scaled and kernels.tensor(b, {s[2]}, rnd) or nil
              before = x:totable()
              return function() ops.rms_norm(o, x, w, 1e-6, add, scale) end, o, x
            end)
            local sums, expected = before, {}
            local factor = scale and scale:totable()
            for r, row in ipairs(add:totable()) do
              for c, v in ipairs(row) do
                sums[r][c] = sums[r][c] + v * (factor and factor[c] or 1)
              end
              expected[r] = rms(sums[r], w:totable(), 1e-6)
            end
            assert.near(sums, after, 2e-7)
            assert.near(expected, out, ABSOLUTE, RELATIVE)
          end
        end)
      end

      it('may write over x', function()
        local rnd = kernels.random(3)
        local x, w = kernels.tensor(be, {6, 77}, rnd), kernels.tensor(be, {77}, rnd)
        local out = ag.zeros(be, {6, 77})
        ops.rms_norm(out, x, w, 1e-6, nil, nil)
        ops.rms_norm(x, x, w, 1e-6, nil, nil)
        assert.same_bits(out, x)
      end)

      it('gives a row the same bits alone and among others, with gaps or not', function()
        local rnd = kernels.random(4)
        local x = kernels.tensor(be, {7, 90}, rnd):narrow(2, 4, 81)
        local w = kernels.tensor(be, {81}, rnd)
        local add = kernels.tensor(be, {7, 81}, rnd)
        local out, one = ag.zeros(be, {7, 81}), ag.zeros(be, {1, 81})
        for r = 1, 7 do
          local alone = x:narrow(1, r, 1):clone()
          ops.rms_norm(one, alone, w, 1e-6, add:narrow(1, r, 1), nil)
          out:narrow(1, r, 1):copy(one)
        end
        local together = ag.zeros(be, {7, 81})
        ops.rms_norm(together, x, w, 1e-6, add, nil)
        assert.same_bits(out, together)
      end)
    end)

    describe('layer_norm', function()
      it('subtracts the mean and divides by the deviation', function()
        local out = ag.zeros(be, {1, 4})
        ops.layer_norm(out, ag.tensor(be, {{1, 3, 5, 7}}), ag.tensor(be, {1, 1, 2, 1}),
          ag.tensor(be, {0, 0, 0, 10}), 0)
        local d = math.sqrt(5)
        assert.near({{-3 / d, -1 / d, 2 / d, 3 / d + 10}}, out, 0, RELATIVE)
      end)

      it('is near the exact values at odd sizes', function()
        for i, s in ipairs(SIZES) do
          local x, w, b
          local out = kernels.agree(k, function(backend)
            local rnd, o = kernels.random(i), ag.zeros(backend, s)
            x, w = kernels.tensor(backend, s, rnd), kernels.tensor(backend, {s[2]}, rnd)
            b = kernels.tensor(backend, {s[2]}, rnd)
            return function() ops.layer_norm(o, x, w, b, 1e-6) end, o
          end)
          local expected = {}
          for r, row in ipairs(x:totable()) do
            expected[r] = layer(row, w:totable(), b:totable(), 1e-6)
          end
          assert.near(expected, out, ABSOLUTE, RELATIVE)
        end
      end)

      it('survives a mean far larger than the deviation', function()
        local out = ag.zeros(be, {1, 4})
        ops.layer_norm(out, ag.tensor(be, {{4097, 4099, 4101, 4103}}), ag.tensor(be, {1, 1, 1, 1}),
          ag.zeros(be, {4}), 0)
        local d = math.sqrt(5)
        assert.near({{-3 / d, -1 / d, 1 / d, 3 / d}}, out, 0, RELATIVE)
      end)
    end)
  end)
end

describe('refused:', function()
  local be = ag.backend('cpu', {threads = 1})
  local x, w, out = ag.zeros(be, {2, 3}), ag.zeros(be, {3}), ag.zeros(be, {2, 3})

  it('rms_norm with a weight of another width', function()
    kernels.refuses('rms_norm: w [4]: expected a contiguous [3]', function()
      ops.rms_norm(out, x, ag.zeros(be, {4}), 0, nil, nil)
    end)
  end)

  it('rms_norm with another shape of out or add', function()
    kernels.refuses('rms_norm: out [3,2] and x [2,3]: the shapes differ', function()
      ops.rms_norm(ag.zeros(be, {3, 2}), x, w, 0, nil, nil)
    end)
    kernels.refuses('rms_norm: add [1,3] and x [2,3]: the shapes differ', function()
      ops.rms_norm(out, x, w, 0, ag.zeros(be, {1, 3}), nil)
    end)
  end)

  it('rms_norm with a scale for nothing', function()
    kernels.refuses('rms_norm: scale is given without add', function()
      ops.rms_norm(out, x, w, 0, nil, ag.zeros(be, {3}))
    end)
  end)

  it('rms_norm whose branch is its own x, or whose out is the x that it changes', function()
    kernels.refuses('rms_norm: x overlaps add', function()
      ops.rms_norm(out, x, w, 0, x, nil)
    end)
    kernels.refuses('rms_norm: out overlaps x', function()
      ops.rms_norm(x:narrow(1, 1, 2), x, w, 0, out, nil)
    end)
    kernels.refuses('rms_norm: out overlaps add', function()
      ops.rms_norm(out:narrow(1, 1, 2), x, w, 0, out, nil)
    end)
  end)

  it('rms_norm of other dtypes, released tensors, and eps that is no number', function()
    kernels.refuses('rms_norm: x is bf16, expected f32', function()
      ops.rms_norm(out, x:to('bf16'), w, 0, nil, nil)
    end)
    local gone = ag.zeros(be, {3})
    gone:release()
    kernels.refuses('rms_norm: w has been released', function()
      ops.rms_norm(out, x, gone, 0, nil, nil)
    end)
    kernels.refuses('rms_norm: eps: expected a number, got nil', function()
      ops.rms_norm(out, x, w, nil, nil, nil)
    end)
  end)

  it('layer_norm with a weight or bias of another width, or without one', function()
    kernels.refuses('layer_norm: b [2]: expected a contiguous [3]', function()
      ops.layer_norm(out, x, w, ag.zeros(be, {2}), 0)
    end)
    kernels.refuses('layer_norm: w [3,1]: expected a contiguous [3]', function()
      ops.layer_norm(out, x, ag.zeros(be, {3, 1}), w, 0)
    end)
    kernels.refuses('layer_norm: b: expected a tensor, got nil', function()
      ops.layer_norm(out, x, w, nil, 0)
    end)
  end)

  it('layer_norm over half of its input', function()
    local buffer = ag.zeros(be, {3, 3})
    kernels.refuses('layer_norm: out overlaps x', function()
      ops.layer_norm(buffer:narrow(1, 2, 2), buffer:narrow(1, 1, 2), w, w, 0)
    end)
  end)
end)
