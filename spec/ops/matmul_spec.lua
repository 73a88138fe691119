-- matmul: batches, transposes and strides, alpha and beta, f32 and bf16, odd sizes, against sums in
-- Lua; through OpenBLAS where it is and through our own kernels; the same bits on any number of
-- workers. The stand-in for cuBLAS is in spec/cuda/cublas_spec.lua.

local ag = require 'argent'
local command = require 'support.command'
local ffi = require 'ffi'
local kernels = require 'support.kernels'
local ops = ag.ops

local NAN = 0 / 0

if not pcall(function() return ffi.C.setenv end) then
  ffi.cdef 'int setenv(const char *, const char *, int); int unsetenv(const char *);'
end

-- The instruction sets with a library and without, and cards.
local function ways()
  local list = kernels.all()
  ffi.C.setenv('ARGENT_BLAS', 'off', 1)
  for _, k in ipairs(kernels.all()) do
    if k.isa == 'plain' or k.isa == assert(ag.backend 'cpu').isa then
      for _, be in ipairs(k.be) do -- which looks for the library at the first product
        local x = ag.zeros(be, {1, 1})
        ops.matmul(ag.zeros(be, {1, 1}), x, x, 1, 0)
      end
      k.isa = k.isa .. ' without OpenBLAS'
      list[#list + 1] = k
    end
  end
  ffi.C.unsetenv 'ARGENT_BLAS'
  return list
end

-- Row-major, or the transpose of a matrix that is, or every second row and column of a larger one.
local LAYOUTS = {
  rows = function(t) return t end,
  columns = function(t)
    local n = t:dim()
    return t:transpose(n - 1, n):clone():transpose(n - 1, n)
  end,
  gaps = function(t)
    local last = t:dim() + 1
    return ag.stack({t, ag.zeros(t.backend, t.shape, t.dtype):fill(7)}, last):select(last, 1)
  end,
}

-- alpha a b + beta c by doubles, of matrices in tables.
local function product(a, b, c, alpha, beta, m, n, inner)
  local r = {}
  for i = 1, m do
    r[i] = {}
    for j = 1, n do
      local sum = 0
      for l = 1, inner do sum = sum + a[i][l] * b[l][j] end
      r[i][j] = alpha * sum + (beta ~= 0 and beta * c[i][j] or 0)
    end
  end
  return r
end

-- m, n, k: tiles are 128 wide and slices 512 deep on the CPU, tiles 32 wide on a card.
local SIZES = {{1, 1, 1}, {3, 5, 7}, {33, 1, 65}, {1, 40, 129}, {130, 33, 9}, {5, 131, 34},
  {3, 4, 1030}, {2, 3, 0}, {0, 3, 2}}
local PAIRS = {{'rows', 'rows'}, {'columns', 'rows'}, {'rows', 'columns'}, {'columns', 'columns'},
  {'gaps', 'gaps'}}

for _, k in ipairs(ways()) do
  describe('matmul on ' .. k.isa, function()
    if k.missing then
      pending(k.missing)
      return
    end
    local be = k.be[2]

    it('multiplies matrices of any size, layout and dtype', function()
      for i = 1, 2 * #SIZES do
        local m, n, inner = unpack(SIZES[(i - 1) % #SIZES + 1])
        local lay, dtypes = PAIRS[i % #PAIRS + 1], {i % 3 == 0 and 'bf16' or 'f32',
          i % 4 < 2 and 'bf16' or 'f32'}
        local alpha, beta = i % 3 == 0 and 1 or 0.75, i % 2 * 0.5
        local out, a, b, c = kernels.agree(k, function(on)
          local next = kernels.random(i)
          local x = LAYOUTS[lay[1]](kernels.tensor(on, {m, inner}, next, dtypes[1]))
          local y = LAYOUTS[lay[2]](kernels.tensor(on, {inner, n}, next, dtypes[2]))
          local before = kernels.tensor(on, {m, n}, next)
          local o = before:clone()
          return function()
            ops.copy(o, before)
            ops.matmul(o, x, y, alpha, beta)
          end, o, x, y, before
        end)
        local want = product(a:totable(), b:totable(), c:totable(), alpha, beta, m, n, inner)
        assert.near(want, out, 1e-5 * math.sqrt(inner), 1e-6)
      end
    end)

    it('multiplies batches, of which an operand may be one for all', function()
      local a, b, c
      local out = kernels.agree(k, function(on)
        local next = kernels.random(3)
        a = kernels.tensor(on, {2, 3, 5, 7}, next)
        b = kernels.tensor(on, {3, 9, 7}, next):transpose(2, 3):expand(2, 3, 7, 9)
        c = ag.zeros(on, {2, 3, 5, 9})
        return function() ops.matmul(c, a, b, 1, 0) end, c
      end)
      for i = 1, 2 do
        for j = 1, 3 do
          assert.near(product(a[i][j]:totable(), b[i][j]:totable(), nil, 1, 0, 5, 9, 7), out[i][j],
            1e-5)
        end
      end
    end)

    it('does not read what beta 0 and alpha 0 leave out', function()
      local x = ag.tensor(be, {{1, 2}, {3, 4}})
      local bad = ag.tensor(be, {{NAN, NAN}, {NAN, NAN}})
      ops.matmul(bad, x, x, 1, 0)
      assert.near({{7, 10}, {15, 22}}, bad)
      bad = bad * NAN
      ops.matmul(x, bad, bad, 0, 2)
      assert.near({{2, 4}, {6, 8}}, x)
      ops.matmul(bad, bad:clone(), x, 0, 0)
      assert.near({{0, 0}, {0, 0}}, bad)
    end)

    it('writes rows with gaps, and passes NaN on', function()
      local wide, x = ag.zeros(be, {2, 5}):fill(3), ag.tensor(be, {{1, NAN}, {3, 4}})
      ops.matmul(wide:narrow(2, 2, 2), x, ag.tensor(be, {{1, 2}, {0, 1}}), 1, 0)
      assert.near({{3, NAN, NAN, 3, 3}, {3, 3, 10, 3, 3}}, wide)
    end)
  end)
end

describe('matmul refuses', function()
  local be = ag.backend('cpu', {threads = 1})
  local x, y = ag.zeros(be, {2, 3}), ag.zeros(be, {2, 2})

  it('shapes, dtypes and outputs that do not fit', function()
    kernels.refuses('matmul: a [2,3] and b [2,2]: 3 != 2', function()
      ops.matmul(y, x, y, 1, 0)
    end)
    kernels.refuses('matmul: out [2,3] and b [3,2]: 3 != 2', function()
      ops.matmul(x, x, x:transpose(1, 2), 1, 0)
    end)
    kernels.refuses('matmul: a [2] and b [2,2]: the dimensions before the matrices differ',
      function() ops.matmul(y, ag.zeros(be, {2}), y, 1, 0) end)
    kernels.refuses('matmul: out overlaps a', function() ops.matmul(y, y, y, 1, 0) end)
    kernels.refuses('matmul: out: its last dimension must be contiguous', function()
      ops.matmul(ag.zeros(be, {2, 2}):transpose(1, 2), y, y, 1, 0)
    end)
    kernels.refuses('matmul: a is f16, expected f32 or bf16', function()
      ops.matmul(ag.zeros(be, {2, 2}), y:to 'f16', y, 1, 0)
    end)
  end)
end)

describe('OpenBLAS', function()
  -- Whether a process that multiplies has it in memory, and whether it is there to be had.
  local function asked(blas)
    local path = os.tmpname()
    local f = assert(io.open(path, 'w'))
    f:write [[
local ag, ffi = require 'argent', require 'ffi'
local x = ag.zeros(assert(ag.backend 'cpu'), {4, 4})
ag.ops.matmul(ag.zeros(x.backend, {4, 4}), x, x, 1, 0)
local maps = assert(io.open '/proc/self/maps')
local all = maps:read '*a'
maps:close()
print(all:find 'libopenblas' ~= nil, (pcall(ffi.load, 'libopenblas.so.0')))
]]
    f:close()
    local r = command.run({'run', path}, {env = {ARGENT_BLAS = blas}})
    os.remove(path)
    assert.equal(0, r.code, r.err)
    local used, there = r.out:match '^(%a+)\t(%a+)\n$'
    return used == 'true', there == 'true'
  end

  it('is opened at the first product where it is there, and not where it is not wanted', function()
    local used, there = asked ''
    assert.equal(there, used)
    for _, blas in ipairs {'off', '/nowhere/libopenblas.so', 'libm.so.6'} do
      assert.is_false((asked(blas)))
    end
    if not there then pending 'there is no libopenblas.so.0 (apt install libopenblas0)' end
  end)
end)
