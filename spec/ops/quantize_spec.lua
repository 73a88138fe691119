-- Quantised weights: codes and scales against a computation in Lua doubles, products that have the
-- same bits on every instruction set, and refusals.

local ag = require 'argent'
local kernels = require 'support.kernels'
require 'support.near'
local ops = ag.ops

local BLOCK = 32
local CODES = {q8 = {dtype = 'i8', each = 1, panel = 8}, q4 = {dtype = 'u8', each = 2, panel = 4}}

local function up(n, by) return math.ceil(n / by) end

local function planes(be, w, kind)
  local form, O, K = CODES[kind], w.shape[1], w.shape[2]
  local codes = ag.zeros(be, {O, up(K, form.each)}, form.dtype)
  local scale = ag.zeros(be, {O, up(K, BLOCK)}, 'f16')
  ops.quantize(codes, scale, w)
  return codes, scale
end

local function packed(be, codes, scale, kind)
  local O, chunks = scale.shape[1], scale.shape[2]
  local c = ag.zeros(be, {up(O, 16), chunks, CODES[kind].panel, 16, 4}, 'u8')
  local s = ag.zeros(be, {up(O, 16), chunks, 16}, 'f16')
  ops.pack(c, codes)
  ops.pack(s, scale)
  return c, s
end

-- The weights that codes and scales stand for, as the documentation of the planes says.
local function meaning(codes, scale, kind, K)
  local rows = codes:totable()
  local scales = scale:totable()
  for o, row in ipairs(rows) do
    local w = {}
    for c = 1, K do
      local code
      if kind == 'q8' then code = row[c]
      else
        local byte = row[math.floor((c + 1) / 2)]
        code = (c % 2 == 1 and byte % 16 or math.floor(byte / 16)) - 8
      end
      w[c] = scales[o][up(c, BLOCK)] * code
    end
    rows[o] = w
  end
  return rows
end

local function half_even(x)
  local floor = math.floor(x)
  local rest = x - floor
  if rest > 0.5 or rest == 0.5 and floor % 2 == 1 then return floor + 1 end
  return floor
end

-- A row of x as a product of codes takes it.
local function rounded(x)
  local out = {}
  for first = 1, #x, BLOCK do
    local last, largest = math.min(#x, first + BLOCK - 1), 0
    for c = first, last do largest = math.max(largest, math.abs(x[c])) end
    for c = first, last do
      out[c] = largest == 0 and 0 or half_even(x[c] * 127 / largest) * largest / 127
    end
  end
  return out
end

local SIZES = {{1, 1, 1}, {1, 33, 31}, {2, 16, 32}, {3, 50, 33}, {4, 45, 100}, {8, 17, 64},
  {13, 40, 65}, {7, 48, 95}, {21, 31, 1000}, {259, 31, 50}, {1, 171, 70}, {2, 168, 65}}

for kind, form in pairs(CODES) do
  describe(kind, function()
    local cpu = assert(ag.backend 'cpu')

    it('has of each weight the nearest code, of a scale that reaches the largest', function()
      for i, K in ipairs {1, 31, 32, 33, 100, 513} do
        local w = kernels.tensor(cpu, {5, K}, kernels.random(i))
        local codes, scale = planes(cpu, w, kind)
        local got, want, scales = meaning(codes, scale, kind, K), w:totable(), scale:totable()
        for o, row in ipairs(want) do
          for first = 1, K, BLOCK do
            local last, largest = math.min(K, first + BLOCK - 1), 0
            for c = first, last do largest = math.max(largest, math.abs(row[c])) end
            local step = math.abs(scales[o][up(first, BLOCK)])
            assert.near(largest / (kind == 'q8' and 127 or 8), step, largest / 1000)
            for c = first, last do
              -- Half a step, but at the end of q4's range that the largest does not lie at.
              local most = kind == 'q8' and 0.55 or math.abs(row[c]) > 7 * step and 1.01 or 0.51
              assert.is_true(math.abs(got[o][c] - row[c]) <= most * step)
            end
          end
        end
      end
    end)

    it('is near small numbers, where f16 is coarse', function()
      for _, largest in ipairs {1e-7, 1e-6, 3.7e-6, 1.06e-5, 8.9e-5, 7e-4} do
        local w = {}
        for c = 1, BLOCK do w[c] = largest * (c - 8) / 24 end
        local codes, scale = planes(cpu, ag.tensor(cpu, {w}), kind)
        local got, step = meaning(codes, scale, kind, BLOCK)[1], math.abs(scale:totable()[1][1])
        assert.is_true(step < largest / (kind == 'q8' and 126 or 8) + 2 ^ -24)
        for c = 1, BLOCK do assert.is_true(math.abs(got[c] - w[c]) <= 0.51 * step) end
      end
    end)

    it('of zeros is zeros, and of numbers that f16 cannot scale too', function()
      local w = ag.tensor(cpu, {{0, 0, 0}, {1e-12, -1e-12, 0}})
      local codes, scale = planes(cpu, w, kind)
      assert.same({{0, 0, 0}, {0, 0, 0}}, meaning(codes, scale, kind, 3))
    end)

    it('is the same of every float that holds the same numbers', function()
      local w = kernels.tensor(cpu, {7, 70}, kernels.random(3), 'bf16')
      local a, s = planes(cpu, w, kind)
      local b, t = planes(cpu, w:to 'f32', kind)
      assert.same(a:totable(), b:totable())
      assert.same(s:totable(), t:totable())
    end)

    it('multiplies x rounded to 255 steps a block, on every instruction set alike', function()
      for i, size in ipairs(SIZES) do
        local R, O, K = unpack(size)
        local first
        for _, k in ipairs(kernels.all()) do
          if not k.missing and k.be[1].packed then
            local x, w, bias, codes, scale
            local rows, panels = kernels.agree(k, function(b)
              local rnd = kernels.random(i)
              x, w = kernels.tensor(b, {R, K}, rnd), kernels.tensor(b, {O, K}, rnd)
              bias = i % 2 == 0 and kernels.tensor(b, {O}, rnd) or nil
              codes, scale = planes(b, w, kind)
              local c, s = packed(b, codes, scale, kind)
              local r, p = ag.zeros(b, {R, O}), ag.zeros(b, {R, O})
              return function()
                ops.linear(r, x, codes, bias, scale)
                ops.linear(p, x, c, bias, s)
              end, r, p
            end)
            assert.same_bits(rows, panels)
            if first then assert.same(first, panels:totable())
            else
              first = panels:totable()
              local ws = meaning(codes, scale, kind, K)
              local added = bias and bias:totable()
              for r, row in ipairs(x:totable()) do
                row = rounded(row)
                for o = 1, O do
                  local sum, reach = added and added[o] or 0, 1e-3
                  for c = 1, K do
                    sum = sum + row[c] * ws[o][c]
                    reach = reach + math.abs(row[c] * ws[o][c])
                  end
                  assert.near(sum, first[r][o], 1e-6 * reach)
                end
              end
            end
          end
        end
      end
    end)

    it('gives a row the same bits alone and among others', function()
      local rnd = kernels.random(9)
      local x, w = kernels.tensor(cpu, {21, 70}, rnd), kernels.tensor(cpu, {40, 70}, rnd)
      local codes, scale = packed(cpu, planes(cpu, w, kind), select(2, planes(cpu, w, kind)), kind)
      local out, one = ag.zeros(cpu, {21, 40}), ag.zeros(cpu, {1, 40})
      ops.linear(out, x, codes, nil, scale)
      for r = 1, 21 do
        ops.linear(one, x:narrow(1, r, 1), codes, nil, scale)
        assert.same_bits(out:narrow(1, r, 1), one)
      end
    end)

    it('passes NaN and infinity of x on', function()
      for _, k in ipairs(kernels.all()) do
        if not k.missing and k.be[1].packed then
          local be = k.be[1]
          local row, bad = {}, {{}, {}}
          for c = 1, 40 do row[c], bad[1][c], bad[2][c] = 1, 1, 1 end
          bad[1][3], bad[2][35] = 0 / 0, 1 / 0
          local codes, scale = planes(be, ag.tensor(be, {row, row}), kind)
          local c, s = packed(be, codes, scale, kind)
          local x, out = ag.tensor(be, bad), ag.zeros(be, {2, 2})
          for _, product in ipairs {{codes, scale}, {c, s}} do
            ops.linear(out:fill(0), x, product[1], nil, product[2])
            for _, values in ipairs(out:totable()) do
              for _, v in ipairs(values) do assert.is_true(v ~= v) end
            end
          end
        end
      end
    end)

    it('refuses weights with NaN, infinities, and beyond its scales', function()
      for _, bad in ipairs {0 / 0, 1 / 0, -1 / 0, 1e9} do
        local rows = {{}, {}}
        for c = 1, 40 do rows[1][c], rows[2][c] = 1, c == 37 and bad or 1 end
        local ok, err = pcall(planes, cpu, ag.tensor(cpu, rows), kind)
        assert.is_false(ok)
        assert.truthy(err:find('quantize: row 1 holds NaN, an infinity or a number too large', 1,
          true))
      end
    end)

    it('refuses planes of other shapes, and codes without scales', function()
      local w = kernels.tensor(cpu, {5, 64}, kernels.random(1))
      local codes, scale = planes(cpu, w, kind)
      local x, out = ag.zeros(cpu, {1, 64}), ag.zeros(cpu, {1, 5})
      kernels.refuses(('linear: w is %s and needs scales'):format(kind), function()
        ops.linear(out, x, codes, nil)
      end)
      kernels.refuses('linear: w is f32, which has no scales', function()
        ops.linear(out, x, w, nil, scale)
      end)
      kernels.refuses(('linear: w [5,%d] and scale [5,2] are not %s weights of 5 x 65'):format(
        64 / form.each, kind), function()
        ops.linear(out, ag.zeros(cpu, {1, 65}), codes, nil, scale)
      end)
      kernels.refuses('linear: scale is f32, expected f16', function()
        ops.linear(out, x, codes, nil, ag.zeros(cpu, {5, 2}))
      end)
      kernels.refuses('quantize: scale [5,2] and w [5,65]: 2 != 3', function()
        ops.quantize(ag.zeros(cpu, {5, up(65, form.each)}, form.dtype), scale,
          ag.zeros(cpu, {5, 65}))
      end)
      local c, s = packed(cpu, codes, scale, kind)
      kernels.refuses(('linear: scale [2,2,16]: expected a contiguous [1,2,16]'), function()
        ops.linear(out, x, c, nil, ag.zeros(cpu, {2, 2, 16}, 'f16'))
      end)
      kernels.refuses('embedding: table is ' .. form.dtype .. ', expected f32 or bf16', function()
        ops.embedding(x, codes, ag.tensor(cpu, {1}, 'i32'), 0)
      end)
      assert.truthy(s)
    end)
  end)
end

describe('quantize', function()
  it('refuses dtypes that have no codes, and a device', function()
    local be = assert(ag.backend 'cpu')
    kernels.refuses('quantize: f32 cannot become codes in i32: i8 is q8, u8 is q4', function()
      ops.quantize(ag.zeros(be, {1, 4}, 'i32'), ag.zeros(be, {1, 1}, 'f16'), ag.zeros(be, {1, 4}))
    end)
    kernels.refuses('pack: i8 cannot be packed as f32', function()
      ops.pack(ag.zeros(be, {1, 1, 16, 32}), ag.zeros(be, {1, 4}, 'i8'))
    end)
    local card = ag.backend 'cuda-emulated'
    kernels.refuses('linear: quantised weights are for the CPU', function()
      ops.linear(ag.zeros(card, {1, 1}), ag.zeros(card, {1, 4}), ag.zeros(card, {1, 4}, 'i8'), nil,
        ag.zeros(card, {1, 1}, 'f16'))
    end)
  end)
end)
