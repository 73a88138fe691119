-- linear: values against sums in Lua doubles, one order of summation for every split, and refusals.

local ag = require 'argent'
local kernels = require 'support.kernels'
local ops = ag.ops

-- |error| <= BOUND * sum |x w|: the worst of f32 sums of up to 1000 terms in any order that was
-- seen is 1e-6.
local BOUND = 2e-6

-- Row r of x times row o of w, and the sum of the terms' sizes.
local function dot(x, w)
  local sum, size = 0, 0
  for c = 1, #x do
    sum = sum + x[c] * w[c]
    size = size + math.abs(x[c] * w[c])
  end
  return sum, size
end

local function check(x, w, bias, out)
  x, w, bias, out = x:totable(), w:totable(), bias and bias:totable(), out:totable()
  for r = 1, #x do
    for o = 1, #w do
      local sum, size = dot(x[r], w[o])
      local b = bias and bias[o] or 0
      assert.near(sum + b, out[r][o], BOUND * (size + math.abs(b)))
    end
  end
end

for _, k in ipairs(kernels.all()) do
  describe('linear on ' .. k.isa, function()
    if k.missing then
      pending(k.missing)
      return
    end
    local be = k.be[2]

    it('gives x w^T + bias', function()
      local x, w = ag.tensor(be, {{1, 2}, {3, 4}}), ag.tensor(be, {{1, 0}, {0, 1}, {1, -1}})
      local out = ag.zeros(be, {2, 3})
      ops.linear(out, x, w, ag.tensor(be, {10, 20, 30}))
      assert.near({{11, 22, 29}, {13, 24, 29}}, out)
      ops.linear(out, x, w, nil)
      assert.near({{1, 2, -1}, {3, 4, -1}}, out)
    end)

    for _, dtype in ipairs {'f32', 'bf16'} do
      it('is near the exact sums at odd sizes with weights in ' .. dtype, function()
        for i, s in ipairs {{1, 1, 1}, {1, 33, 31}, {2, 7, 3}, {3, 8, 33}, {5, 17, 100},
          {7, 9, 1000}, {33, 31, 65}, {13, 130, 64}, {1, 40, 1000}} do
          local R, O, K = unpack(s)
          local x, w, bias, out
          out = kernels.agree(k, function(b)
            local rnd = kernels.random(i)
            local o = ag.zeros(b, {R, O})
            x, w = kernels.tensor(b, {R, K}, rnd), kernels.tensor(b, {O, K}, rnd, dtype)
            bias = i % 2 == 0 and kernels.tensor(b, {O}, rnd) or nil
            return function() ops.linear(o, x, w, bias) end, o
          end)
          check(x, w, bias, out)
        end
      end)

      it('gives the same bits with packed weights, in ' .. dtype, function()
        if not be.packed then return pending 'packed weights are for the CPU' end
        for i, s in ipairs {{1, 1, 1}, {1, 33, 31}, {2, 16, 32}, {3, 50, 33}, {4, 45, 100},
          {5, 17, 64}, {6, 40, 65}, {7, 48, 95}, {8, 31, 64}, {13, 130, 50}, {1, 40, 1000}} do
          local R, O, K = unpack(s)
          local rnd = kernels.random(i)
          local bias = i % 2 == 0
          local rows
          local out = kernels.agree(k, function(b)
            rnd = kernels.random(i)
            local x, w = kernels.tensor(b, {R, K}, rnd), kernels.tensor(b, {O, K}, rnd, dtype)
            local packed = ag.zeros(b, {math.ceil(O / 16), math.ceil(K / 32), 16, 32}, dtype)
            local added = bias and kernels.tensor(b, {O}, rnd) or nil
            local o = ag.zeros(b, {R, O})
            rows = ag.zeros(b, {R, O})
            ops.pack(packed, w)
            ops.linear(rows, x, w, added)
            return function() ops.linear(o, x, packed, added) end, o
          end)
          assert.same_bits(rows, out)
        end
      end)

      it('gives a row the same bits alone and among others, in ' .. dtype, function()
        local rnd = kernels.random(5)
        local x, w = kernels.tensor(be, {37, 50}, rnd), kernels.tensor(be, {45, 50}, rnd, dtype)
        local out, one = ag.zeros(be, {37, 45}), ag.zeros(be, {1, 45})
        ops.linear(out, x, w, nil)
        for r = 1, 37 do
          ops.linear(one, x:narrow(1, r, 1), w, nil)
          assert.same_bits(out:narrow(1, r, 1), one)
        end
      end)

      it('gives an output the same bits alone and among others, in ' .. dtype, function()
        local rnd = kernels.random(6)
        local x, w = kernels.tensor(be, {5, 33}, rnd), kernels.tensor(be, {19, 33}, rnd, dtype)
        local out, one = ag.zeros(be, {5, 19}), ag.zeros(be, {5, 1})
        ops.linear(out, x, w, nil)
        for o = 1, 19 do
          ops.linear(one, x, w:narrow(1, o, 1), nil)
          assert.same_bits(out:narrow(2, o, 1), one)
        end
      end)
    end

    it('takes rows with gaps between them and leaves the gaps alone', function()
      local rnd = kernels.random(7)
      local x = kernels.tensor(be, {4, 20}, rnd):narrow(2, 3, 11)
      local w = kernels.tensor(be, {6, 30}, rnd):narrow(2, 5, 11)
      local wide = ag.zeros(be, {4, 9}):fill(7)
      local out, apart = wide:narrow(2, 2, 6), ag.zeros(be, {4, 6})
      ops.linear(out, x, w, nil)
      ops.linear(apart, x:contiguous(), w:contiguous(), nil)
      assert.same_bits(apart, out)
      for _, row in ipairs(wide:totable()) do assert.same({7, 7, 7}, {row[1], row[8], row[9]}) end
    end)

    it('folds leading dimensions into rows', function()
      local rnd = kernels.random(8)
      local x, w = kernels.tensor(be, {2, 3, 5}, rnd), kernels.tensor(be, {4, 5}, rnd)
      local out, flat = ag.zeros(be, {2, 3, 4}), ag.zeros(be, {6, 4})
      ops.linear(out, x, w, nil)
      ops.linear(flat, x:view(6, 5), w, nil)
      assert.same_bits(flat, out:view(6, 4))
    end)

    it('does nothing for no rows, and gives the bias for no columns', function()
      local w = ag.zeros(be, {3, 4})
      ops.linear(ag.zeros(be, {0, 3}), ag.zeros(be, {0, 4}), w, nil)
      local out = ag.zeros(be, {2, 3}):fill(9)
      ops.linear(out, ag.zeros(be, {2, 0}), ag.zeros(be, {3, 0}), ag.tensor(be, {1, 2, 3}))
      assert.near({{1, 2, 3}, {1, 2, 3}}, out)
    end)

    it('passes NaN and infinity on', function()
      local x = ag.tensor(be, {{1, 0 / 0}, {1, 1 / 0}, {1, 1}})
      local out = ag.zeros(be, {3, 1})
      ops.linear(out, x, ag.tensor(be, {{1, 1}}), nil)
      assert.near({{0 / 0}, {1 / 0}, {2}}, out)
    end)
  end)
end

describe('pack', function()
  for _, k in ipairs(kernels.all()) do
    it('puts 16 rows of 32 columns side by side, and zeros beyond them, on ' .. k.isa, function()
      if k.missing then return pending(k.missing) end
      if not k.be[1].packed then return pending 'packed weights are for the CPU' end
      for _, from in ipairs {'f32', 'bf16', 'f16'} do
        for _, to in ipairs {'f32', 'bf16'} do
          local w, n
          local out = kernels.agree(k, function(b)
            n = 0
            w = kernels.tensor(b, {18, 40}, function() n = (n + 1) % 64 return n end, from)
            local o = ag.zeros(b, {2, 2, 16, 32}, to):fill(7)
            return function() ops.pack(o, w:narrow(2, 2, 37)) end, o
          end)
          local rows = w:totable()
          for p, panel in ipairs(out:totable()) do
            for c, chunk in ipairs(panel) do
              for i, row in ipairs(chunk) do
                for j, v in ipairs(row) do
                  local o, column = 16 * (p - 1) + i, 32 * (c - 1) + j
                  assert.equal(column <= 37 and (rows[o] or {})[column + 1] or 0, v)
                end
              end
            end
          end
        end
      end
    end)
  end

  local be = ag.backend('cpu', {threads = 1})

  it('refuses another shape, what is no weight, and a device', function()
    local w = ag.zeros(be, {18, 40})
    kernels.refuses('pack: out [2,2,16,16]: expected a contiguous [2,2,16,32]', function()
      ops.pack(ag.zeros(be, {2, 2, 16, 16}), w)
    end)
    kernels.refuses('pack: f32 cannot be packed as f16', function()
      ops.pack(ag.zeros(be, {2, 2, 16, 32}, 'f16'), w)
    end)
    kernels.refuses('pack: i32 cannot be packed as f32', function()
      ops.pack(ag.zeros(be, {2, 2, 16, 32}), ag.zeros(be, {18, 40}, 'i32'))
    end)
    kernels.refuses('linear: w [1,2,16,32]: expected a contiguous [2,2,16,32]', function()
      ops.linear(ag.zeros(be, {1, 18}), ag.zeros(be, {1, 40}), ag.zeros(be, {1, 2, 16, 32}), nil)
    end)
    local card = ag.backend 'cuda-emulated'
    kernels.refuses('linear: w [2,2,16,32]: expected 2 dimensions', function()
      ops.linear(ag.zeros(card, {1, 18}), ag.zeros(card, {1, 40}), ag.zeros(card, {2, 2, 16, 32}),
        nil)
    end)
  end)
end)

describe('linear refuses', function()
  local be = ag.backend('cpu', {threads = 1})
  local x, w, out = ag.zeros(be, {2, 3}), ag.zeros(be, {4, 3}), ag.zeros(be, {2, 4})

  it('a weight of another width', function()
    kernels.refuses('linear: x [2,3] and w [4,5]: 3 != 5', function()
      ops.linear(out, x, ag.zeros(be, {4, 5}), nil)
    end)
  end)

  it('an output of another width or other rows', function()
    kernels.refuses('linear: out [2,5] and w [4,3]: 5 != 4', function()
      ops.linear(ag.zeros(be, {2, 5}), x, w, nil)
    end)
    kernels.refuses('linear: out [3,4] and x [2,3]: 3 != 2', function()
      ops.linear(ag.zeros(be, {3, 4}), x, w, nil)
    end)
  end)

  it('a bias of another length', function()
    kernels.refuses('linear: bias [3]: expected a contiguous [4]', function()
      ops.linear(out, x, w, ag.zeros(be, {3}))
    end)
  end)

  it('dtypes that it does not have', function()
    kernels.refuses('linear: x is i32, expected f32', function()
      ops.linear(out, ag.zeros(be, {2, 3}, 'i32'), w, nil)
    end)
    kernels.refuses('linear: w is f16, expected f32, bf16, q8 or q4', function()
      ops.linear(out, x, w:to('f16'), nil)
    end)
    kernels.refuses('linear: out is bf16, expected f32', function()
      ops.linear(out:to('bf16'), x, w, nil)
    end)
  end)

  it('columns with gaps', function()
    kernels.refuses('linear: x [2,3]: its last dimension must be contiguous', function()
      ops.linear(out, ag.zeros(be, {3, 2}):transpose(1, 2), w, nil)
    end)
  end)

  it('an output over an input', function()
    local both = ag.zeros(be, {2, 4})
    kernels.refuses('linear: out overlaps x', function()
      ops.linear(both:narrow(1, 1, 1), both:narrow(1, 1, 1), ag.zeros(be, {4, 4}), nil)
    end)
    kernels.refuses('linear: out overlaps x', function()
      ops.linear(both, both, ag.zeros(be, {4, 4}), nil)
    end)
  end)

  it('a released tensor', function()
    local gone = ag.zeros(be, {2, 3})
    gone:release()
    kernels.refuses('linear: x has been released', function()
      ops.linear(out, gone, w, nil)
    end)
  end)

  it('what is no tensor', function()
    kernels.refuses('linear: x: expected a tensor, got nil', function()
      ops.linear(out, nil, w, nil)
    end)
    kernels.refuses('linear: bias: expected a tensor, got 1', function()
      ops.linear(out, x, w, 1)
    end)
  end)

  it('tensors of another backend', function()
    local other = ag.backend('cpu', {threads = 1})
    kernels.refuses('linear: w is on another backend than x', function()
      ops.linear(out, x, ag.zeros(other, {4, 3}), nil)
    end)
  end)
end)
