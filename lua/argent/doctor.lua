-- Looks after an installation: what this CPU has, whether every variant of every op agrees with
-- plain C here, which libraries are there, whether CUDA can be used, which models are found and
-- whether they are whole. Nothing here prints; argent.cli.doctor does.

local Backend = require 'argent.backend'
local cases = require 'argent.doctor.cases'
local ffi = require 'ffi'
local hub = require 'argent.hub'
local lfs = require 'lfs'
local libraries = require 'argent.doctor.libraries'
local models = require 'argent.doctor.models'
local ops = require 'argent.ops'
local posix = require 'argent.posix'

local M = {
  --- What the libraries are and which of them are here, see argent.doctor.libraries.
  libraries = libraries.all,
  --- Where models are looked for, the place that would be used now first.
  places = hub.caches,
  --- The models that are here, see argent.doctor.models.
  models = models.all,
  --- A run for each op, see argent.doctor.cases.
  CASES = cases.CASES,
  --- The instruction sets that kernels are written for, besides plain C.
  VARIANTS = {'avx2', 'avx512'},
  --- How far an element x of a variant's result may be from plain C's, over max(1, |x|): sums of a
  --- few hundred products in another order. Whole numbers may not differ at all.
  BOUND = 2e-5,
}

-- ---- the CPU ----

-- Features that matter to kernels that are there or may come.
local FEATURES = {
  'avx2', 'fma', 'f16c', 'avx512f', 'avx512bw', 'avx512vl', 'avx512dq', 'avx512_vnni', 'avx_vnni',
  'avx512_bf16', 'avx512_fp16', 'amx_tile', 'amx_bf16', 'amx_int8',
}

local function slurp(path)
  local f = io.open(path)
  if not f then return '' end
  local s = f:read '*a'
  f:close()
  return s or ''
end

-- Processors and cores that /proc/cpuinfo lists; where it does not say which belong together, each
-- processor counts as a core.
local function count(info)
  local processors, cores, seen = 0, 0, {}
  for block in (info .. '\n\n'):gmatch '(.-)\n\n' do
    if block:find '^processor%s*:' or block:find '\nprocessor%s*:' then
      processors = processors + 1
      local chip, core = block:match 'physical id%s*:%s*(%d+)', block:match 'core id%s*:%s*(%d+)'
      local id = chip and core and chip .. ':' .. core or processors
      if not seen[id] then cores = cores + 1 end
      seen[id] = true
    end
  end
  return processors, cores
end

---@class argent.doctor.CPU
---@field name string
---@field processors integer as the system counts them
---@field cores integer
---@field threads integer that a backend has by default: the processors this process may use
---@field features string[] those that matter to kernels
---@field isa? string the instruction set of a backend that is opened without options
---@field fault? string why there is none (ARGENT_ISA)
---@field memory number bytes
---@field available number bytes
---@field page integer bytes

--- The processor and the memory.
---@return argent.doctor.CPU
function M.cpu()
  local info, memory = slurp '/proc/cpuinfo', slurp '/proc/meminfo'
  local flags = ' ' .. (info:match 'flags%s*:%s*([^\n]*)' or '') .. ' '
  local features = {}
  for _, f in ipairs(FEATURES) do
    if flags:find(' ' .. f .. ' ', 1, true) then features[#features + 1] = f end
  end
  local be, err = Backend.open 'cpu'
  local processors, cores = count(info)
  local function bytes(key) return (tonumber(memory:match(key .. ':%s*(%d+)')) or 0) * 1024 end
  return {
    name = info:match 'model name%s*:%s*([^\n]*)' or 'unknown', processors = processors,
    cores = cores, threads = (be or assert(Backend.open('cpu', {isa = 'plain'}))).threads,
    features = features, isa = be and be.isa, fault = err,
    memory = bytes 'MemTotal', available = bytes 'MemAvailable', page = posix.page_size(),
  }
end

-- ---- ops ----

--- The ops that have a loop for each instruction set (kernels/cpu/isa.h); the others are plain C
--- everywhere.
M.FAST = {}
for name in ([[
  linear conv1d depthwise_conv1d rms_norm layer_norm silu silu_mul gelu elu snake nearest
  rope_append attention attention_probs
]]):gmatch '%S+' do M.FAST[name] = true end

-- The largest difference of two lists of tensors, and whether it is within the bound.
local function compare(want, got)
  local worst, agrees = 0, true
  for k, t in ipairs(want) do
    local x, n = t:host()
    local y = got[k]:host()
    local bound = t.dtype == 'i32' and 0 or M.BOUND
    for i = 0, n - 1 do
      local d = math.abs(x[i] - y[i]) / math.max(1, math.abs(x[i]))
      -- NaN or infinity on either side gives NaN or infinity here, which is beyond every bound.
      if d ~= d then d = math.huge end
      if d > bound then agrees = false end
      if d > worst then worst = d end
    end
  end
  return worst, agrees
end

-- The result of an op on a backend against plain C's.
local function check(name, want, be)
  local ok, got = pcall(cases.run, name, be)
  if not ok then
    if got == 'interrupted' then error(got, 0) end
    return {agrees = false, fault = tostring(got):match '^[^\n]*'}
  end
  local worst, agrees = compare(want, got)
  if worst < math.huge then return {agrees = agrees, difference = worst} end
  return {agrees = false, fault = 'NaN or infinity'}
end

---@class argent.doctor.Check
---@field agrees? boolean with plain C; nil where the CPU or the build lacks the variant
---@field difference? number the largest
---@field fault? string instead of a difference: NaN, or an error
---@field missing? string why the variant was not checked

---@class argent.doctor.Op
---@field name string
---@field fast boolean whether it has loops for each instruction set
---@field chosen? string the loops that it uses by default; nil where no backend opens
---@field variants table<string, argent.doctor.Check> by the names of VARIANTS

--- Checks every op on every variant that this CPU has against plain C.
---@return argent.doctor.Op[] sorted by name
---@return integer failures
function M.ops()
  -- One worker against two: how work is dealt out is checked with it.
  local plain = assert(Backend.open('cpu', {threads = 1, isa = 'plain'}))
  local default = Backend.open('cpu', {threads = 1})
  local backends, missing = {}, {}
  for _, isa in ipairs(M.VARIANTS) do
    backends[isa], missing[isa] = Backend.open('cpu', {threads = 2, isa = isa})
  end
  local list, failures = {}, 0
  for name in pairs(ops) do
    local op = {name = name, fast = M.FAST[name] or false, variants = {}}
    op.chosen = default and (op.fast and default.isa or 'plain')
    local want = cases.run(name, plain)
    for _, isa in ipairs(M.VARIANTS) do
      local be = backends[isa]
      local c = be and check(name, want, be) or {missing = missing[isa]}
      op.variants[isa] = c
      if c.agrees == false then failures = failures + 1 end
    end
    list[#list + 1] = op
  end
  table.sort(list, function(a, b) return a.name < b.name end)
  return list, failures
end

-- ---- CUDA ----

-- The version of the NVIDIA driver; '' where it is there and does not say; nil without one.
local function driver()
  local text = slurp '/proc/driver/nvidia/version'
  local version = text:match 'Kernel Module.-%s(%d+%.[%d.]+)'
  if version or text ~= '' then return version or '' end
  return pcall(ffi.load, 'libcuda.so.1') and '' or nil
end

-- The CUDA half that lies beside the library; nil where this build has none.
local function half()
  local lib = libraries.mapped 'libargent.so'
  local path = lib and lib:match '^.*/' .. 'libargent_cuda.so'
  return path and lfs.attributes(path, 'mode') and path or nil
end

--- Whether CUDA can be used, or why not.
---@return {found: boolean, why: string?, half: string?, driver: string?} why: the reason of
---ag.backend; half: the file of the build's CUDA half; driver: its version, '' where it does not
---say
function M.cuda()
  local be, err = Backend.open 'cuda'
  return {found = be ~= nil, why = err, half = half(), driver = driver()}
end

return M
