-- How fast `matmul` is through OpenBLAS and through Argent's own kernels, and `linear`, whose order
-- of summation is promised, beside it. README.md, "What it costs", has figures of it.
--
--     build/argent run scripts/matmul.lua [THREADS]

local ag = require 'argent'
local ffi = require 'ffi'
local posix = require 'argent.posix'

ffi.cdef 'int setenv(const char *, const char *, int);'

-- The best of seven runs, in seconds.
local function best(fn)
  local least = math.huge
  for _ = 1, 7 do
    local start = posix.now()
    fn()
    least = math.min(least, posix.now() - start)
  end
  return least
end

local threads = tonumber(arg[1]) or 2
for _, isa in ipairs(require('argent.backend').isas()) do
  for _, way in ipairs {'OpenBLAS', 'own'} do
    ffi.C.setenv('ARGENT_BLAS', way == 'own' and 'off' or '', 1) -- read at the first product
    local be = ag.backend('cpu', {threads = threads, isa = isa})
    local n = isa == 'plain' and 256 or 1024
    if be then
      local a, b, out = ag.randn(be, {n, n}, 1), ag.randn(be, {n, n}, 2), ag.zeros(be, {n, n})
      local gflops = 2e-9 * n ^ 3
      local product = best(function() ag.ops.matmul(out, a, b, 1, 0) end)
      local layer = best(function() ag.ops.linear(out, a, b) end)
      print(('%-12s %-9s %d threads, %4d x %d x %d: matmul %6.1f GFLOP/s, linear %6.1f'):format(isa,
        way, threads, n, n, n, gflops / product, gflops / layer))
    end
  end
end
