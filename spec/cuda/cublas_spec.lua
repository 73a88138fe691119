-- matmul through cuBLAS, of which a stand-in that computes takes the place (spec/support/
-- fake_cublas.c): by columns and transposed, with strides and batches, a workspace of the caller's,
-- asked for later than the call, and in graphs. cuBLAS itself has not been run.

local card = require 'support.card'
local cjson = require 'cjson'
local command = require 'support.command'
local lfs = require 'lfs'

local FAKE = 'libargent_fake.so'

-- Products of every layout on the card and on the CPU: what they differ by, and how often cuBLAS
-- was asked; as a plan that runs three times, of which two are a graph, and eager.
local SCRIPT = [[
local ag, ffi, cjson = require 'argent', require 'ffi', require 'cjson'
ffi.cdef 'int64_t fake_cublas_products;'
local fake = ffi.load(%q)
local card, cpu = assert(ag.backend 'cuda'), assert(ag.backend('cpu', {isa = 'plain'}))
local LAYOUTS = {
  rows = function(t) return t end,
  columns = function(t)
    local n = t:dim()
    return t:transpose(n - 1, n):clone():transpose(n - 1, n)
  end,
  wide = function(t) return ag.cat({t, t}, t:dim()):narrow(t:dim(), 1, t:size(t:dim())) end,
  gaps = function(t)
    local last = t:dim() + 1
    return ag.stack({t, t}, last):select(last, 1)
  end,
  all = function(t) return t:narrow(1, 1, 1):expand(t:size()) end,
}
local seed, sizes_left = 0, %d
local function operand(shape, layout, dtype)
  seed = seed + 1
  local flat = ag.randn(cpu, shape, seed):view(-1):totable()
  local function on(be)
    local t = ag.zeros(be, {#flat}):set(flat):view(shape):to(dtype)
    return LAYOUTS[layout](t)
  end
  return on(card), on(cpu)
end
local results = {}
for _, sizes in ipairs {{5, 3, 7}, {1, 9, 33}, {8, 1, 1}} do
  if sizes_left == 0 then break end
  sizes_left = sizes_left - 1
  local m, n, k = unpack(sizes)
  for _, front in ipairs {{}, {2, 3}} do
    local function shape(rows, columns)
      local s = {unpack(front)}
      s[#s + 1], s[#s + 2] = rows, columns
      return s
    end
    for _, case in ipairs {
      {'rows', 'rows', 'f32'}, {'columns', 'rows', 'bf16'}, {'rows', 'columns', 'f32'},
      {'columns', 'columns', 'f32'}, {'wide', 'wide', 'bf16'}, {'gaps', 'rows', 'f32'},
      {'rows', 'all', 'f32'}, {'rows', 'rows', 'mixed'},
    } do
      local dtype = case[3]
      local a, a_cpu = operand(shape(m, k), case[1], dtype == 'mixed' and 'f32' or dtype)
      local b, b_cpu = operand(shape(k, n), case[2], dtype == 'mixed' and 'bf16' or dtype)
      local out, want = operand(shape(m, n), 'wide', 'f32')
      local asked = tonumber(fake.fake_cublas_products)
      local worst = 0
      local function compare()
        local x, y = want:contiguous():host(), out:contiguous():host()
        for i = 0, want:numel() - 1 do
          local off = math.abs(x[i] - y[i])
          worst = off <= worst and worst or off -- NaN, too
        end
      end
      local plan = ag.capture(card, function() ag.ops.matmul(out, a, b, 0.5, 2) end)
      for _ = 1, 3 do
        plan:run()
        ag.ops.matmul(want, a_cpu, b_cpu, 0.5, 2)
      end
      compare()
      ag.ops.matmul(out, a, b, 1, 0)
      ag.ops.matmul(want, a_cpu, b_cpu, 1, 0)
      compare()
      results[#results + 1] = {
        what = table.concat(case, ' ', 1, 3), size = table.concat(sizes, ' '), worst = worst,
        asked = tonumber(fake.fake_cublas_products) - asked, front = #front,
        batches = #front == 2 and front[1] or 1,
      }
    end
  end
end
local x = ag.zeros(card, {2, 2})
local none = ag.zeros(card, {0, 2})
ag.ops.matmul(none, none, x, 1, 0)
print(cjson.encode(results))
]]

describe('matmul by cuBLAS', function()
  if not lfs.attributes(command.exe:match '^(.*)/' .. '/' .. FAKE) then
    pending(('there is no %s: it is built where the CUDA headers are'):format(FAKE))
    return
  end

  local dir, exe

  setup(function()
    dir = os.tmpname()
    os.remove(dir)
    assert(lfs.mkdir(dir))
    exe = card.make(dir, FAKE)
  end)

  teardown(function() os.execute('rm -rf ' .. command.quote(dir)) end)

  local function run(cublas, sizes)
    local path, library = dir .. '/script.lua', dir .. '/libargent_cuda.so'
    local f = assert(io.open(path, 'w'))
    f:write(SCRIPT:format(library, sizes or 3))
    f:close()
    local env = card.env()
    env.ARGENT_CUBLAS = cublas == true and library or cublas
    local r = command.run({'run', path}, {exe = exe, env = env})
    assert.equal(0, r.code, r.err)
    return cjson.decode(r.out)
  end

  it('gives what the CPU gives, of every layout, dtype and batch, eager and in a graph', function()
    for _, r in ipairs(run(true)) do
      local name = ('%s of %s, %d dimensions in front'):format(r.what, r.size, r.front)
      assert.is_true(r.worst < 1e-4, ('%s: off by %g'):format(name, r.worst))
      -- Gaps between elements, and rows that are all one, are not for cuBLAS, unless there is one
      -- element or row only. Of others a plan's first run, its graph and an eager product each ask
      -- once for every batch but those of the last dimension, which go together.
      local either = r.what:find 'gaps' or r.what:find 'all' and r.front == 0
      if not either then
        assert.equal(r.what:find 'mixed' and 0 or 3 * r.batches, r.asked, name)
      end
    end
  end)

  it('is done by our own kernels where cuBLAS is not, or is not wanted', function()
    for _, cublas in ipairs {'off', '/nowhere/libcublas.so'} do
      for _, r in ipairs(run(cublas, 1)) do
        assert.is_true(r.worst < 1e-4, r.what)
        assert.equal(0, r.asked)
      end
    end
  end)
end)
