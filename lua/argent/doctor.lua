-- Looks after an installation: what this CPU has, whether every variant of every op agrees with
-- plain C here, a card's kernels too, which libraries are there, whether CUDA can be used, which
-- models are found and whether they are whole. Nothing here prints; argent.cli.doctor does.

local Backend = require 'argent.backend'
local card = require 'argent.doctor.card'
local cases = require 'argent.doctor.cases'
local hub = require 'argent.hub'
local libraries = require 'argent.doctor.libraries'
local models = require 'argent.doctor.models'
local ops = require 'argent.ops'
local posix = require 'argent.posix'
local status = require 'argent.status'
local system = require 'argent.doctor.system'

local M = {
  --- What the libraries are and which of them are here, see argent.doctor.libraries.
  libraries = libraries.all,
  --- Where models are looked for, the place that would be used now first.
  places = hub.caches,
  --- The models that are here, see argent.doctor.models.
  models = models.all,
  --- A run for each op, see argent.doctor.cases.
  CASES = cases.CASES,
  --- The system around Argent, see argent.doctor.system.
  system = system.look,
  --- Whether CUDA can be used, or why not, see argent.doctor.card.
  cuda = card.look,
  --- The instruction sets that kernels are written for, besides plain C.
  VARIANTS = Backend.isas(),
  --- How far an element x of a variant's result may be from plain C's, over max(1, |x|): sums of a
  --- few hundred products in another order, and a card's own e^x, sine and tanh, which are within
  --- a few units of the last place. Whole numbers may not differ at all.
  BOUND = 2e-5,
}

table.remove(M.VARIANTS, 1) -- plain, which the others are compared with

-- ---- the CPU ----

-- Features that matter to kernels that are there or may come, by architecture.
local FEATURES = {
  x64 = {
    'avx2', 'fma', 'f16c', 'avx512f', 'avx512bw', 'avx512vl', 'avx512dq', 'avx512_vnni', 'avx_vnni',
    'avx512_bf16', 'avx512_fp16', 'amx_tile', 'amx_bf16', 'amx_int8',
  },
  arm64 = {'asimd', 'asimdhp', 'asimddp', 'i8mm', 'bf16', 'sve', 'sve2', 'sme'},
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

local function cpu_name(info)
  local function said(key) return info:match(key .. '%s*:%s*([^\n]*)') end
  if said 'CPU part' then
    return ('ARM, implementer %s, part %s'):format(said 'CPU implementer', said 'CPU part')
  end
  return said 'model name' or 'unknown'
end

---@class argent.doctor.CPU
---@field name string as /proc/cpuinfo has it; on ARM, which has none, the numbers of maker and part
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
  local flags = ' ' .. (info:match 'flags%s*:%s*([^\n]*)' or info:match 'Features%s*:%s*([^\n]*)'
    or '') .. ' '
  local features = {}
  for _, f in ipairs(FEATURES[jit.arch] or {}) do
    if flags:find(' ' .. f .. ' ', 1, true) then features[#features + 1] = f end
  end
  local be, err = Backend.open 'cpu'
  local processors, cores = count(info)
  local function bytes(key) return (tonumber(memory:match(key .. ':%s*(%d+)')) or 0) * 1024 end
  return {
    name = cpu_name(info), processors = processors, cores = cores,
    threads = (be or assert(Backend.open('cpu', {isa = 'plain'}))).threads,
    features = features, isa = be and be.isa, fault = err,
    memory = bytes 'MemTotal', available = bytes 'MemAvailable', page = posix.page_size(),
  }
end

-- ---- ops ----

--- The ops that have a loop for each instruction set (kernels/cpu/isa.h); the others are plain C
--- everywhere.
M.FAST = {}
for name in ([[
  linear conv1d pack_conv1d packed_conv1d depthwise_conv1d rms_norm layer_norm silu silu_mul gelu
  elu snake nearest rope_append attention attention_probs matmul
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
    if status.is_fault(got) and got.code == 'unsupported' then return {missing = got.message} end
    return {agrees = false, fault = tostring(got):match '^[^\n]*'}
  end
  local worst, agrees = compare(want, got)
  if worst < math.huge then return {agrees = agrees, difference = worst} end
  return {agrees = false, fault = 'NaN or infinity'}
end

---@class argent.doctor.Check
---@field agrees? boolean with plain C; nil where this machine or the build lacks the variant
---@field difference? number the largest
---@field fault? string instead of a difference: NaN, or an error
---@field missing? string why the variant was not checked

---@class argent.doctor.Op
---@field name string
---@field fast boolean whether it has loops for each instruction set
---@field chosen? string the loops that it uses by default; nil where no backend opens
---@field variants table<string, argent.doctor.Check> by the names of the variants

---@class argent.doctor.Variant
---@field name string one of VARIANTS, or 'cuda'
---@field backend? ag.Backend
---@field missing? string why there is none

--- What there is to check: the instruction sets, and the card.
---@return argent.doctor.Variant[]
function M.variants()
  local list = {}
  local function add(name, be, err)
    list[#list + 1] = {name = name, backend = be, missing = err}
  end
  -- Two workers against plain C's one: how work is dealt out is checked with it.
  for _, isa in ipairs(M.VARIANTS) do add(isa, Backend.open('cpu', {threads = 2, isa = isa})) end
  add('cuda', Backend.open 'cuda')
  return list
end

--- Checks every op on every variant against plain C.
---@param variants? argent.doctor.Variant[] default: M.variants()
---@return argent.doctor.Op[] sorted by name
---@return integer failures
function M.ops(variants)
  variants = variants or M.variants()
  local plain = assert(Backend.open('cpu', {threads = 1, isa = 'plain'}))
  local default = Backend.open('cpu', {threads = 1})
  local list, failures = {}, 0
  for name in pairs(ops) do
    local op = {name = name, fast = M.FAST[name] or false, variants = {}}
    op.chosen = default and (op.fast and default.isa or 'plain')
    local want = cases.run(name, plain)
    for _, v in ipairs(variants) do
      local c = v.backend and check(name, want, v.backend) or {missing = v.missing}
      op.variants[v.name] = c
      if c.agrees == false then failures = failures + 1 end
    end
    list[#list + 1] = op
  end
  table.sort(list, function(a, b) return a.name < b.name end)
  return list, failures
end

return M
