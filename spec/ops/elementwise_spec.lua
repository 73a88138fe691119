-- The elementwise ops and advance: values against Lua doubles, in place, with gaps between rows,
-- refusals. copy and fill are in copy_spec.

local ag = require 'argent'
local ffi = require 'ffi'
local kernels = require 'support.kernels'
local ops = ag.ops

local SIZES = {{1, 1}, {1, 31}, {3, 33}, {7, 5}, {2, 63}, {3, 65}, {9, 200}, {1, 5000}, {40, 96}}

local NAN, INF = 0 / 0, 1 / 0

-- Rounded to f32, as the kernels round an intermediate result that is far from small.
local cell = ffi.new('float[1]')
local function f32(x)
  cell[0] = x
  return cell[0]
end

-- By the series with positive terms, erf x = 2 / sqrt pi e^(-x^2) sum 2^n x^(2n+1) / (1 3 5 ..
-- (2n+1)).
local function erf(x)
  local term, sum = x, 0
  for n = 1, 200 do
    sum = sum + term
    term = term * 2 * x * x / (2 * n + 1)
  end
  return 2 / math.sqrt(math.pi) * math.exp(-x * x) * sum
end

-- By the series where the difference would cancel.
local function expm1(x)
  if math.abs(x) > 0.1 then return math.exp(x) - 1 end
  local term, sum = x, 0
  for n = 2, 12 do
    sum = sum + term
    term = term * x / n
  end
  return sum
end

local function silu(x) return x / (1 + math.exp(-x)) end
local function gelu(x) return x * (1 + erf(x / math.sqrt(2))) / 2 end

-- op(out, inputs...) on random inputs of each size against fn(inputs...) number by number. `rows`
-- inputs have the whole shape, `columns` inputs one number per column.
local function check(k, op, fn, rows, columns, scale, abs, rel)
  for i, s in ipairs(SIZES) do
    local inputs
    -- The op as called, and in place.
    local out, same = kernels.agree(k, function(be)
      local rnd, o = kernels.random(i), ag.zeros(be, s)
      inputs = {}
      for j = 1, rows + columns do
        local shape = j <= rows and s or {s[2]}
        inputs[j] = kernels.tensor(be, shape, function() return rnd() * scale end)
      end
      local mine, x = inputs, inputs[1]:clone()
      local function run()
        op(o, unpack(mine))
        op(x, x, unpack(mine, 2))
      end
      return run, o, x
    end)
    assert.same_bits(out, same)
    local expected = {}
    for j, t in ipairs(inputs) do inputs[j] = t:totable() end
    for r = 1, s[1] do
      expected[r] = {}
      for c = 1, s[2] do
        local args = {}
        for j, t in ipairs(inputs) do args[j] = j <= rows and t[r][c] or t[c] end
        expected[r][c] = fn(unpack(args))
      end
    end
    assert.near(expected, out, abs, rel)
  end
end

-- op on tensors whose rows have gaps gives the bits of op on packed ones, and leaves the gaps
-- alone; so does op in place.
local function check_layouts(be, op, inputs)
  local rnd = kernels.random(11)
  local wide, packed = {}, {}
  for j = 1, inputs do
    wide[j] = kernels.tensor(be, {5, 90}, rnd):narrow(2, 7, 77)
    packed[j] = wide[j]:contiguous()
  end
  local out, frame = ag.zeros(be, {5, 77}), ag.zeros(be, {5, 80}):fill(3)
  op(out, unpack(packed))
  op(frame:narrow(2, 2, 77), unpack(wide))
  assert.same_bits(out, frame:narrow(2, 2, 77):contiguous())
  assert.near({{3}, {3}, {3}, {3}, {3}}, frame:narrow(2, 1, 1))
  assert.near({{3, 3}, {3, 3}, {3, 3}, {3, 3}, {3, 3}}, frame:narrow(2, 79, 2))
  op(packed[1], unpack(packed))
  assert.same_bits(out, packed[1])
end

for _, k in ipairs(kernels.all()) do
  describe('on ' .. k.isa, function()
    if k.missing then
      pending(k.missing)
      return
    end
    local be = k.be[2]

    describe('add', function()
      it('adds, and adds a multiple', function()
        local a, b = ag.tensor(be, {{1, 2}, {3, 4}}), ag.tensor(be, {{10, 20}, {30, 40}})
        local out = ag.zeros(be, {2, 2})
        ops.add(out, a, b, 1)
        assert.near({{11, 22}, {33, 44}}, out)
        ops.add(out, a, b, -0.5)
        assert.near({{-4, -8}, {-12, -16}}, out)
      end)

      it('adds columns of one tensor to others of it, and refuses columns in common', function()
        local x = ag.tensor(be, {{1, 2, 10, 20}, {3, 4, 30, 40}})
        ops.add(x:narrow(2, 3, 2), x:narrow(2, 3, 2), x:narrow(2, 1, 2), 1)
        assert.near({{1, 2, 11, 22}, {3, 4, 33, 44}}, x)
        ops.add(x:narrow(2, 1, 1), x:narrow(2, 2, 1), x:narrow(2, 4, 1), 1)
        assert.near({{24, 2, 11, 22}, {48, 4, 33, 44}}, x)
        for _, first in ipairs {1, 3} do
          kernels.refuses('add: out overlaps b', function()
            ops.add(x:narrow(2, 2, 2), x:narrow(2, 2, 2), x:narrow(2, first, 2), 1)
          end)
        end
        -- Rows of another stride may be anywhere in those.
        local left, packed = x:narrow(2, 1, 2), x:view(4, 2):narrow(1, 2, 2)
        kernels.refuses('add: out overlaps b', function() ops.add(left, left, packed, 1) end)
        kernels.refuses('add: out overlaps b', function() ops.add(packed, packed, left, 1) end)
        -- Nor do rows that begin in the middle of those keep to some columns.
        local flat = x:view(-1)
        local shifted = flat:narrow(1, 4, 4):view(2, 2) -- elements 4 to 7 of 8
        local column = flat:view(4, 2):narrow(2, 1, 1):narrow(1, 2, 2) -- elements 3 and 5
        kernels.refuses('linear: out overlaps x', function()
          ops.linear(column, shifted, ag.zeros(be, {1, 2}), nil)
        end)
      end)

      it('adds one row to every row', function()
        local out = ag.zeros(be, {2, 2})
        ops.add(out, ag.tensor(be, {{1, 2}, {3, 4}}), ag.tensor(be, {10, 20}), 2)
        assert.near({{21, 42}, {23, 44}}, out)
      end)

      it('is exact at odd sizes', function()
        check(k, function(o, a, b) ops.add(o, a, b, 0.25) end,
          function(a, b) return a + 0.25 * b end, 2, 0, 1, 0, 0)
        check(k, function(o, a, b) ops.add(o, a, b, 1) end,
          function(a, b) return a + b end, 1, 1, 1, 0, 0)
      end)

      it('takes gaps between rows, and its own output', function()
        check_layouts(be, function(o, a, b) ops.add(o, a, b, 1.5) end, 2)
      end)
    end)

    describe('mul', function()
      it('multiplies, also by one row', function()
        local a, out = ag.tensor(be, {{1, 2}, {3, 4}}), ag.zeros(be, {2, 2})
        ops.mul(out, a, a)
        assert.near({{1, 4}, {9, 16}}, out)
        ops.mul(out, a, ag.tensor(be, {10, -1}))
        assert.near({{10, -2}, {30, -4}}, out)
      end)

      it('is rounded once, at odd sizes', function()
        check(k, ops.mul, function(a, b) return f32(a * b) end, 2, 0, 1, 0, 0)
        check(k, ops.mul, function(a, b) return f32(a * b) end, 1, 1, 1, 0, 0)
      end)

      it('takes gaps between rows, and its own output', function()
        check_layouts(be, ops.mul, 2)
      end)
    end)

    describe('affine', function()
      it('scales and shifts', function()
        local out = ag.zeros(be, {3})
        ops.affine(out, ag.tensor(be, {1, -2, INF}), -2, 0.5)
        assert.near({-1.5, 4.5, -INF}, out)
      end)

      it('is exact at odd sizes', function()
        check(k, function(o, x) ops.affine(o, x, 0.5, 3) end,
          function(x) return x * 0.5 + 3 end, 1, 0, 1, 0, 0)
      end)

      it('takes gaps between rows, and its own output', function()
        check_layouts(be, function(o, x) ops.affine(o, x, 3, 1) end, 1)
      end)
    end)

    describe('clamp', function()
      it('keeps numbers in a range and NaN NaN', function()
        local out = ag.zeros(be, {6})
        ops.clamp(out, ag.tensor(be, {-3, -1, 0.25, 2, INF, NAN}), -1, 1)
        assert.near({-1, -1, 0.25, 1, 1, NAN}, out)
      end)

      it('gives the upper bound where the bounds cross', function()
        local out = ag.zeros(be, {2})
        ops.clamp(out, ag.tensor(be, {-3, 3}), 1, -1)
        assert.near({-1, -1}, out)
      end)

      it('is exact at odd sizes', function()
        check(k, function(o, x) ops.clamp(o, x, -0.5, 0.25) end,
          function(x) return math.min(math.max(x, -0.5), 0.25) end, 1, 0, 1, 0, 0)
      end)

      it('takes gaps between rows, and its own output', function()
        check_layouts(be, function(o, x) ops.clamp(o, x, -0.1, 0.7) end, 1)
      end)
    end)

    describe('silu', function()
      it('is x sigmoid(x)', function()
        local out = ag.zeros(be, {7})
        ops.silu(out, ag.tensor(be, {0, 1, -1, 100, -100, 1e30, NAN}))
        local expected = {0, 0.7310585786300049, -0.2689414213699951, 100, 0, 1e30, NAN}
        assert.near(expected, out, 1e-30, 1e-6)
      end)

      it('is near the exact values at odd sizes', function()
        check(k, ops.silu, silu, 1, 0, 1, 1e-7, 1e-6)
        check(k, ops.silu, silu, 1, 0, 30, 1e-7, 1e-6)
      end)

      it('takes gaps between rows, and its own output', function()
        check_layouts(be, ops.silu, 1)
      end)
    end)

    describe('silu_mul', function()
      it('is silu(gate) up', function()
        local out = ag.zeros(be, {2})
        ops.silu_mul(out, ag.tensor(be, {1, -1}), ag.tensor(be, {2, 10}))
        assert.near({1.4621171572600098, -2.689414213699951}, out, 0, 1e-6)
      end)

      it('is near the exact values at odd sizes', function()
        local function fn(gate, up) return silu(gate) * up end
        check(k, ops.silu_mul, fn, 2, 0, 1, 1e-7, 1e-6)
        check(k, ops.silu_mul, fn, 2, 0, 20, 1e-6, 1e-6)
      end)

      it('takes gaps between rows, and its own output', function()
        check_layouts(be, ops.silu_mul, 2)
      end)
    end)

    describe('gelu', function()
      it('is x times the normal distribution, the exact form', function()
        local out = ag.zeros(be, {6})
        ops.gelu(out, ag.tensor(be, {0, 1, -1, 20, -20, NAN}))
        assert.near({0, 0.8413447460685429, -0.15865525393145705, 20, 0, NAN}, out, 2e-7, 1e-6)
      end)

      it('is near the exact values at odd sizes', function()
        check(k, ops.gelu, gelu, 1, 0, 1, 2e-7, 1e-6)
        check(k, ops.gelu, gelu, 1, 0, 6, 1e-6, 1e-6)
      end)

      it('takes gaps between rows, and its own output', function()
        check_layouts(be, ops.gelu, 1)
      end)
    end)

    describe('elu', function()
      local function elu(x) return x > 0 and x or expm1(x) end

      it('is x above zero, e^x - 1 below', function()
        local out = ag.zeros(be, {8})
        ops.elu(out, ag.tensor(be, {0, 2.5, -1, -200, -INF, INF, -1e-6, NAN}))
        local expected = {0, 2.5, -0.6321205588285577, -1, -1, INF, -9.999995e-7, NAN}
        assert.near(expected, out, 0, 1e-6)
      end)

      it('is near the exact values at odd sizes, also next to zero', function()
        check(k, ops.elu, elu, 1, 0, 1, 0, 1e-6)
        check(k, ops.elu, elu, 1, 0, 30, 0, 1e-6)
        check(k, ops.elu, elu, 1, 0, 1e-3, 0, 1e-6)
      end)

      it('takes gaps between rows, and its own output', function()
        check_layouts(be, ops.elu, 1)
      end)
    end)

    describe('sigmoid', function()
      it('is 1 / (1 + e^-x)', function()
        local out = ag.zeros(be, {6})
        ops.sigmoid(out, ag.tensor(be, {0, 1, -1, 200, -200, NAN}))
        assert.near({0.5, 0.7310585786300049, 0.2689414213699951, 1, 0, NAN}, out, 1e-30, 1e-6)
      end)

      it('is near the exact values at odd sizes', function()
        check(k, ops.sigmoid, function(x) return 1 / (1 + math.exp(-x)) end, 1, 0, 20, 0, 1e-6)
      end)

      it('takes gaps between rows, and its own output', function()
        check_layouts(be, ops.sigmoid, 1)
      end)
    end)

    describe('tanh', function()
      it('is the hyperbolic tangent', function()
        local out = ag.zeros(be, {6})
        ops.tanh(out, ag.tensor(be, {0, 1, -0.25, 200, -INF, NAN}))
        assert.near({0, 0.7615941559557649, -0.24491866240370913, 1, -1, NAN}, out, 0, 1e-6)
      end)

      it('is near the exact values at odd sizes', function()
        check(k, ops.tanh, math.tanh, 1, 0, 1, 0, 1e-6)
        check(k, ops.tanh, math.tanh, 1, 0, 12, 0, 1e-6)
      end)

      it('takes gaps between rows, and its own output', function()
        check_layouts(be, ops.tanh, 1)
      end)
    end)

    describe('snake', function()
      -- alpha x is an f32 number for the kernels; the sine of that number is what is to be near.
      local function snake(x, alpha, inv_beta)
        return x + math.sin(f32(alpha * x)) ^ 2 * inv_beta
      end

      it('adds a squared sine', function()
        local out = ag.zeros(be, {2, 2})
        ops.snake(out, ag.tensor(be, {{1, 1}, {-2, 0}}), ag.tensor(be, {1, 2}),
          ag.tensor(be, {1, 0.5}))
        local a, b = math.sin(1) ^ 2, math.sin(2) ^ 2
        assert.near({{1 + a, 1 + b / 2}, {-2 + b, 0}}, out, 0, 1e-6)
      end)

      it('is near the exact values at odd sizes', function()
        check(k, ops.snake, snake, 1, 2, 1, 2e-7, 1e-6)
        check(k, ops.snake, snake, 1, 2, 100, 1e-5, 1e-6)
      end)

      it('stays in bounds when alpha x is huge, and passes NaN on', function()
        local x, out = ag.tensor(be, {{1e3, -1e6, 1e12, NAN}}), ag.zeros(be, {1, 4})
        ops.snake(out, x, ag.tensor(be, {1e5, 1e6, 1e15, 1}), ag.tensor(be, {1, 1, 1, 1}))
        out = out:totable()[1]
        assert(out[1] >= 1e3 and out[1] <= 1e3 + 1, out[1])
        assert(out[2] >= -1e6 and out[2] <= -1e6 + 1, out[2])
        assert.near(1e12, out[3], 0, 1e-6)
        assert.near(NAN, out[4])
      end)

      it('takes gaps between rows, and its own output', function()
        local rnd = kernels.random(4)
        local alpha, inv_beta = kernels.tensor(be, {77}, rnd), kernels.tensor(be, {77}, rnd)
        check_layouts(be, function(o, x) ops.snake(o, x, alpha, inv_beta) end, 1)
      end)
    end)

    describe('advance', function()
      it('counts on, up to a limit', function()
        local x = ag.tensor(be, {1, 5, -7}, 'i32')
        ops.advance(x, 3, nil)
        assert.near({4, 8, -4}, x)
        ops.advance(x, -1, nil)
        assert.near({3, 7, -5}, x)
        ops.advance(x, 4, ag.tensor(be, {8}, 'i32'))
        assert.near({7, 8, -1}, x)
        ops.advance(x, 1, ag.tensor(be, {7, 100, -4}, 'i32'))
        assert.near({7, 9, -4}, x)
      end)

      it('stops at the ends of the range', function()
        local x = ag.tensor(be, {2147483647, -2147483648}, 'i32')
        ops.advance(x, 1, nil)
        assert.near({2147483647, -2147483647}, x)
        ops.advance(x, -2147483648, nil)
        assert.near({-1, -2147483648}, x)
      end)

      it('counts once whatever the workers', function()
        for threads = 1, 3 do
          local x = ag.tensor(k.be[threads], {1, 2, 3}, 'i32')
          local plan = ag.capture(k.be[threads], function() ops.advance(x, 10, nil) end)
          for _ = 1, 20 do plan:run() end
          assert.near({201, 202, 203}, x)
        end
      end)

      it('takes every second counter', function()
        local x = kernels.agree(k, function(b)
          local t = ag.tensor(b, {{1, 2}, {3, 4}, {5, 6}}, 'i32')
          local limits = ag.tensor(b, {{11, 0}, {11, 0}, {14, 0}}, 'i32'):select(2, 1)
          return function() ops.advance(t:select(2, 1), 10, limits) end, t
        end)
        assert.near({{11, 2}, {11, 4}, {14, 6}}, x)
      end)
    end)

    it('does nothing to empty tensors', function()
      local e = ag.zeros(be, {0, 4})
      ops.add(e, e, e, 1)
      ops.silu(e, e)
      ops.snake(e, e, ag.zeros(be, {4}), ag.zeros(be, {4}))
      local f = ag.zeros(be, {3, 0})
      ops.mul(f, f, ag.zeros(be, {0}))
      ops.gelu(f, f)
      ops.advance(ag.zeros(be, {0}, 'i32'), 1, nil)
    end)
  end)
end

describe('refused:', function()
  local be = ag.backend('cpu', {threads = 1})
  local x, v = ag.zeros(be, {2, 3}), ag.zeros(be, {3})
  local gone = ag.zeros(be, {2, 3})
  gone:release()

  for _, name in ipairs {'affine', 'clamp', 'silu', 'gelu', 'elu', 'sigmoid', 'tanh'} do
    it(name .. ' of another shape, dtype, half of itself, or a released tensor', function()
      local op, buffer = ops[name], ag.zeros(be, {3, 3})
      kernels.refuses(name .. ': out [3,2] and x [2,3]: the shapes differ', function()
        op(ag.zeros(be, {3, 2}), x, 1, 1)
      end)
      kernels.refuses(name .. ': x is bf16, expected f32', function()
        op(x, x:to('bf16'), 1, 1)
      end)
      kernels.refuses(name .. ': out overlaps x', function()
        op(buffer:narrow(1, 1, 2), buffer:narrow(1, 2, 2), 1, 1)
      end)
      kernels.refuses(name .. ': x has been released', function()
        op(x, gone, 1, 1)
      end)
      kernels.refuses(name .. ': x [2,3]: its last dimension must be contiguous', function()
        op(x, ag.zeros(be, {3, 2}):transpose(1, 2), 1, 1)
      end)
    end)
  end

  it('rows that do not have one stride', function()
    kernels.refuses('silu: x [2,2,3]: its rows do not have one stride; use contiguous()', function()
      ops.silu(ag.zeros(be, {2, 2, 3}), ag.zeros(be, {2, 5, 3}):narrow(2, 1, 2))
    end)
  end)

  it('numbers that are none', function()
    kernels.refuses('affine: scale: expected a number, got nan', function()
      ops.affine(x, x, NAN, 0)
    end)
    kernels.refuses("add: alpha: expected a number, got string 'one'", function()
      ops.add(x, x, x, 'one')
    end)
  end)

  for _, name in ipairs {'add', 'mul'} do
    it(name .. ' of shapes that do not fit', function()
      kernels.refuses(name .. ': a [2,3] and b [3,2]: the shapes differ', function()
        ops[name](x, x, ag.zeros(be, {3, 2}), 1)
      end)
      kernels.refuses(name .. ': a [2,3] and b [2]: 3 != 2', function()
        ops[name](x, x, ag.zeros(be, {2}), 1)
      end)
      kernels.refuses(name .. ': out [3] and a [2,3]: the shapes differ', function()
        ops[name](v, x, x, 1)
      end)
      kernels.refuses(name .. ': b is i32, expected f32', function()
        ops[name](x, x, ag.zeros(be, {2, 3}, 'i32'), 1)
      end)
    end)
  end

  it('silu_mul of shapes that do not fit', function()
    kernels.refuses('silu_mul: gate [2,3] and up [3]: the shapes differ', function()
      ops.silu_mul(x, x, v)
    end)
  end)

  it('snake with parameters of another width', function()
    kernels.refuses('snake: inv_beta [2]: expected a contiguous [3]', function()
      ops.snake(x, x, v, ag.zeros(be, {2}))
    end)
  end)

  it('advance of floats, or with limits for others', function()
    kernels.refuses('advance: x is f32, expected i32', function()
      ops.advance(v, 1, nil)
    end)
    kernels.refuses('advance: limit [2] and x [3]: the shapes differ', function()
      ops.advance(ag.zeros(be, {3}, 'i32'), 1, ag.zeros(be, {2}, 'i32'))
    end)
    local message = 'expected an integer from -2147483648 to 2147483647, got 4294967296'
    kernels.refuses('advance: by: ' .. message, function()
      ops.advance(ag.zeros(be, {3}, 'i32'), 2 ^ 32, nil)
    end)
  end)
end)
