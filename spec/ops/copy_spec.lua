-- copy and fill: any strides, every pair of dtypes with its rounding, and refusals. What lies in
-- memory is read here element by element, not through totable(), which is made of copies.

local ag = require 'argent'
local ffi = require 'ffi'
local kernels = require 'support.kernels'
local lib = require 'argent.ffi'
local ops = ag.ops

local NAN, INF = 0 / 0, 1 / 0
local CELL = {f32 = 'const float *', i32 = 'const int32_t *', bf16 = 'const uint16_t *',
  f16 = 'const uint16_t *'}

local CELLS = {f32 = 'float[?]', i32 = 'int32_t[?]', bf16 = 'uint16_t[?]', f16 = 'uint16_t[?]'}
local SIZE = {f32 = 4, i32 = 4, bf16 = 2, f16 = 2}

-- A contiguous tensor's memory on the host.
local function memory(t)
  local n = t:count()
  local host = ffi.new(CELLS[t.dtype], n + 1)
  assert(lib.ag_tensor_read(t, host, n * SIZE[t.dtype]) == 0)
  return host
end

-- The raw elements of a tensor, in the order of its dims, found by its strides; on a device one by
-- one.
local function raw(t)
  local address = lib.ag_tensor_host(t)
  local p = address ~= nil and ffi.cast(CELL[t.dtype], address)
  local shape, stride, out = t.shape, t.stride, {}
  if not p and t.contiguous_p then
    local host, n = memory(t), t:count()
    for i = 0, n - 1 do out[i + 1] = host[i] end
    return out
  end
  local function walk(d, at, part)
    if d > #shape then
      out[#out + 1] = p and p[at] or memory(part)[0]
      return
    end
    for i = 0, shape[d] - 1 do
      walk(d + 1, at + i * stride[d], not p and part:select(1, i + 1) or nil)
    end
  end
  walk(1, 0, t)
  return out
end

local function counter()
  local n = 0
  return function()
    n = n + 1
    return n
  end
end

-- The number nearest to v with `bits` bits after the first one, and none finer than 2^least; ties
-- go to the even one.
local function round_to(v, bits, least, most)
  if v ~= v or v == 0 or math.abs(v) == INF then return v end
  local _, e = math.frexp(v)
  local step = 2 ^ math.max(e - 1 - bits, least)
  local n = math.floor(v / step)
  local rest = v / step - n
  if rest > 0.5 or (rest == 0.5 and n % 2 == 1) then n = n + 1 end
  return math.abs(n * step) >= most and (v > 0 and INF or -INF) or n * step
end

local function bf16(v) return round_to(v, 7, -133, 2 ^ 128) end
local function f16(v) return round_to(v, 10, -24, 65520) end

-- What a 16-bit pattern stands for.
local function of_bits(u, exponent_bits, mantissa_bits)
  local sign = u >= 32768 and -1 or 1
  local bias = 2 ^ (exponent_bits - 1) - 1
  local e, m = math.floor(u / 2 ^ mantissa_bits) % 2 ^ exponent_bits, u % 2 ^ mantissa_bits
  if e == 2 ^ exponent_bits - 1 then return m == 0 and sign * INF or NAN end
  if e == 0 then return sign * m * 2 ^ (1 - bias - mantissa_bits) end
  return sign * (1 + m / 2 ^ mantissa_bits) * 2 ^ (e - bias)
end

local ODD = {0, 1, -1, 1 / 3, -2 / 3, 3.14159, 65504, 65519, 65520, -65536, 1e5, 1e38, -3e38,
  3.4e38, 6.1e-5, 6.0e-5, 5.96e-8, 2 ^ -25, 3 * 2 ^ -26, 3 * 2 ^ -25, 1e-8, 1e-40, 1.00390625,
  1.01171875, 1.00048828125, 1.00146484375, 255.5, INF, -INF, NAN}

for _, k in ipairs(kernels.all()) do
  describe('on ' .. k.isa, function()
    if k.missing then
      pending(k.missing)
      return
    end
    local be = k.be[2]

    describe('copy', function()
      -- make(be) gives a source and a target of the same shape, both views of something larger.
      local views = {
        ['a matrix into its transpose'] = function(b)
          return kernels.tensor(b, {37, 75}, counter()), ag.zeros(b, {75, 37}):transpose(1, 2)
        end,
        ['the transpose of a matrix'] = function(b)
          return kernels.tensor(b, {130, 33}, counter()):transpose(1, 2), ag.zeros(b, {33, 130})
        end,
        ['a convolution weight [O, C, K] as [O, K, C]'] = function(b)
          return kernels.tensor(b, {9, 70, 7}, counter()):transpose(2, 3), ag.zeros(b, {9, 7, 70})
        end,
        ['a transposed convolution weight [C, O, K] as [K, O, C]'] = function(b)
          return kernels.tensor(b, {21, 17, 6}, counter()):transpose(1, 3), ag.zeros(b, {6, 17, 21})
        end,
        ['rows with gaps'] = function(b)
          local y = ag.zeros(b, {20, 35}):narrow(2, 5, 31)
          return kernels.tensor(b, {20, 40}, counter()):narrow(2, 3, 31), y
        end,
        ['one number for many'] = function(b)
          return kernels.tensor(b, {1}, counter()):view(1, 1):narrow(1, 1, 1), ag.zeros(b, {1, 1})
        end,
        ['a long row'] = function(b)
          return kernels.tensor(b, {70000}, counter()), ag.zeros(b, {70000})
        end,
        ['five dimensions, reversed'] = function(b)
          local x = kernels.tensor(b, {3, 4, 5, 6, 7}, counter())
          return x:transpose(1, 5):transpose(2, 4), ag.zeros(b, {7, 6, 5, 4, 3})
        end,
        ['five dimensions, both permuted and cut'] = function(b)
          local x = kernels.tensor(b, {4, 3, 6, 5, 8}, counter()):transpose(2, 5):narrow(3, 2, 3)
          local y = ag.zeros(b, {8, 4, 3, 3, 5}):transpose(1, 2):transpose(4, 5)
          return x, y
        end,
        ['a column'] = function(b)
          local y = ag.zeros(b, {90, 2}):select(2, 1)
          return kernels.tensor(b, {90, 3}, counter()):select(2, 2), y
        end,
        ['a tensor of no dimensions'] = function(b)
          return kernels.tensor(b, {5}, counter()):select(1, 3), ag.zeros(b, {})
        end,
      }
      for name, make in pairs(views) do
        it('moves ' .. name, function()
          for threads = 1, 3 do
            local b = k.be[threads]
            local x, y = make(b)
            ops.copy(y, x)
            assert.near(raw(x), raw(y))
            x, y = make(b)
            ag.capture(b, function() ops.copy(y, x) end):run()
            assert.near(raw(x), raw(y))
          end
        end)
      end

      it('leaves what lies between the elements alone', function()
        local target = ag.zeros(be, {40, 50}):fill(-1)
        ops.copy(target:narrow(1, 3, 30):narrow(2, 4, 40), kernels.tensor(be, {30, 40}, counter()))
        local count = 0
        for _, v in ipairs(raw(target)) do count = count + (v == -1 and 1 or 0) end
        assert.equal(40 * 50 - 30 * 40, count)
      end)

      it('onto itself changes nothing', function()
        local x = kernels.tensor(be, {3, 5}, counter())
        ops.copy(x, x)
        ops.copy(x:transpose(1, 2), x:transpose(1, 2))
        assert.near({{1, 2, 3, 4, 5}, {6, 7, 8, 9, 10}, {11, 12, 13, 14, 15}}, x)
      end)

      it('does nothing to empty tensors', function()
        ops.copy(ag.zeros(be, {3, 0, 2}), ag.zeros(be, {3, 0, 2}))
        ops.copy(ag.zeros(be, {0, 7}), ag.zeros(be, {7, 0}):transpose(1, 2))
      end)

      it('moves integers whole', function()
        local x = ag.tensor(be, {2147483647, -2147483648, 16777217}, 'i32')
        assert.near({2147483647, -2147483648, 16777217}, x:clone())
      end)

      it('rounds f32 to bf16 and f16, ties to even, NaN and infinity kept', function()
        local x = ag.tensor(be, ODD)
        local exact = x:totable()
        local b, h = x:to('bf16'), x:to('f16')
        for i, u in ipairs(raw(b)) do assert.near(bf16(exact[i]), of_bits(u, 8, 7)) end
        for i, u in ipairs(raw(h)) do assert.near(f16(exact[i]), of_bits(u, 5, 10)) end
      end)

      it('rounds a thousand numbers of many sizes', function()
        local rnd, numbers = kernels.random(9), {}
        for i = 1, 1000 do numbers[i] = rnd() * 2 ^ math.floor(rnd() * 40) end
        local x = ag.tensor(be, numbers)
        local exact = x:totable()
        for i, u in ipairs(raw(x:to('bf16'))) do assert.near(bf16(exact[i]), of_bits(u, 8, 7)) end
        for i, u in ipairs(raw(x:to('f16'))) do assert.near(f16(exact[i]), of_bits(u, 5, 10)) end
      end)

      -- Compared as bits: a NaN with a payload must not become a Lua number, because LuaJIT keeps
      -- its types in such NaNs.
      it('widens every bf16 and f16 exactly, and keeps their bits', function()
        local host = ffi.new('uint16_t[65536]')
        for u = 0, 65535 do host[u] = u end
        local number = ffi.new 'union { float f; uint32_t u; }'
        local widened = {
          bf16 = function(u) return u * 65536 end,
          f16 = function(u)
            local v = of_bits(u, 5, 10)
            number.f = v
            local sign = u >= 32768 and 0x80000000 or 0
            if v ~= v then number.u = sign + 0x7f800000 + u % 1024 * 8192 end
            return number.u
          end,
        }
        for dtype, expected in pairs(widened) do
          local all = ag.zeros(be, {65536}, dtype)
          assert.equal(0, lib.ag_tensor_write(all, host, 131072))
          local wide, same = all:to('f32'), all:clone()
          local wide_bits = memory(wide)
          local bits = ffi.cast('const uint32_t *', wide_bits)
          local kept = memory(same)
          for u = 0, 65535 do
            if bits[u] ~= expected(u) or kept[u] ~= u then
              error(('%s %04x became %08x and %04x'):format(dtype, u, bits[u], kept[u]))
            end
          end
        end
      end)

      it('converts between bf16 and f16', function()
        local x = ag.tensor(be, ODD)
        local b, h = x:to('bf16'), x:to('f16')
        for i, u in ipairs(raw(b:to('f16'))) do
          assert.near(f16(of_bits(raw(b)[i], 8, 7)), of_bits(u, 5, 10))
        end
        for i, u in ipairs(raw(h:to('bf16'))) do
          assert.near(bf16(of_bits(raw(h)[i], 5, 10)), of_bits(u, 8, 7))
        end
      end)

      it('converts and transposes at once', function()
        local x = kernels.tensor(be, {9, 70, 7}, kernels.random(2))
        local y = ag.zeros(be, {9, 7, 70}, 'bf16')
        ops.copy(y, x:transpose(2, 3))
        local exact = raw(x:transpose(2, 3))
        for i, u in ipairs(raw(y)) do assert.near(bf16(exact[i]), of_bits(u, 8, 7)) end
      end)
    end)

    describe('fill', function()
      it('sets every element and no other', function()
        local t = ag.zeros(be, {33, 50})
        ops.fill(t:narrow(1, 2, 20):narrow(2, 3, 40), 2.5)
        local count = 0
        for _, v in ipairs(raw(t)) do count = count + (v == 2.5 and 1 or 0) end
        assert.equal(800, count)
      end)

      it('rounds to the dtype', function()
        assert.near(0.333251953125, ag.zeros(be, {3}, 'f16'):fill(1 / 3):totable()[3])
        assert.near(0.333984375, ag.zeros(be, {3}, 'bf16'):fill(1 / 3):totable()[2])
        assert.near({-2147483648, -2147483648}, ag.zeros(be, {2}, 'i32'):fill(-2147483648))
      end)

      it('is the same on any number of workers', function()
        local t = kernels.agree(k, function(b)
          local t = ag.zeros(b, {17, 1009})
          return function() ops.fill(t:transpose(1, 2):narrow(1, 3, 1000), 7) end, t
        end)
        assert.near(0, t:totable()[1][2])
        assert.near(7, t:totable()[17][1002])
      end)

      it('does nothing to empty tensors', function() ops.fill(ag.zeros(be, {0, 2}), 1) end)
    end)
  end)
end

describe('refused:', function()
  local be = ag.backend('cpu', {threads = 1})
  local x = ag.zeros(be, {2, 3})

  it('copy between shapes', function()
    kernels.refuses('copy: out [3,2] and x [2,3]: the shapes differ', function()
      ops.copy(ag.zeros(be, {3, 2}), x)
    end)
  end)

  it('copy between integers and floats', function()
    kernels.refuses('copy: f32 cannot become i32', function()
      ops.copy(ag.zeros(be, {2, 3}, 'i32'), x)
    end)
    kernels.refuses('copy: i32 cannot become bf16', function()
      ops.copy(ag.zeros(be, {2, 3}, 'bf16'), ag.zeros(be, {2, 3}, 'i32'))
    end)
  end)

  it('copy of a tensor over a part of itself, or over its transpose', function()
    local buffer, square = ag.zeros(be, {4}), ag.zeros(be, {3, 3})
    kernels.refuses('copy: out overlaps x', function()
      ops.copy(buffer:narrow(1, 1, 3), buffer:narrow(1, 2, 3))
    end)
    kernels.refuses('copy: out overlaps x', function()
      ops.copy(square:transpose(1, 2), square)
    end)
  end)

  it('copy and fill of released tensors', function()
    local gone = ag.zeros(be, {2, 3})
    gone:release()
    kernels.refuses('copy: x has been released', function()
      ops.copy(x, gone)
    end)
    kernels.refuses('fill: out has been released', function()
      ops.fill(gone, 0)
    end)
  end)

  it('fill of integers with what is none', function()
    kernels.refuses('fill: value 0.5 does not fit an i32', function()
      ops.fill(ag.zeros(be, {2}, 'i32'), 0.5)
    end)
    kernels.refuses('fill: value 2.14748e+09 does not fit an i32', function()
      ops.fill(ag.zeros(be, {2}, 'i32'), 2 ^ 31)
    end)
  end)
end)
