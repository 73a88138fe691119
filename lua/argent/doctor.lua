-- Looks after an installation: what this CPU has, whether every variant of every op agrees with
-- plain C here, which libraries are there, which models are found and whether they are whole.

local ffi = require 'ffi'
local Backend = require 'argent.backend'
local hub = require 'argent.hub'
local ops = require 'argent.ops'
local tensor = require 'argent.tensor'

local M = {}

--- The instruction sets that kernels are written for.
M.VARIANTS = {'plain', 'avx2', 'avx512'}

-- Features that matter to the kernels that are there or may come.
local FEATURES = {'avx2', 'fma', 'f16c', 'avx512f', 'avx512bw', 'avx512vl', 'avx512dq',
  'avx512_vnni',
  'avx_vnni', 'avx512_bf16', 'avx512_fp16', 'amx_tile', 'amx_bf16', 'amx_int8'}

local function slurp(path)
  local f = io.open(path)
  if not f then return '' end
  local s = f:read '*a'
  f:close()
  return s
end

--- The processor: name, threads, features of interest, memory in bytes.
---@return {name: string, threads: integer, features: string[], memory: number}
function M.cpu()
  local info = slurp '/proc/cpuinfo'
  local flags = ' ' .. (info:match 'flags%s*:%s*([^\n]*)' or '') .. ' '
  local features = {}
  for _, f in ipairs(FEATURES) do
    if flags:find(' ' .. f .. ' ', 1, true) then features[#features + 1] = f end
  end
  local be = assert(Backend.open 'cpu')
  return {
    name = info:match 'model name%s*:%s*([^\n]*)' or 'unknown', threads = be.threads,
    features = features, isa = be.isa,
    memory = (tonumber(slurp('/proc/meminfo'):match 'MemTotal:%s*(%d+)') or 0) * 1024,
  }
end

-- ---- ops ----

-- Numbers in [-1, 1), the same every time.
local function random()
  local x = 1
  return function()
    x = (x * 1103515245 + 12345) % 2 ^ 31
    return math.floor(x / 2 ^ 18) / 2 ^ 12 - 1
  end
end

local next_number

local function values(be, ...)
  local t = tensor.zeros(be, {...})
  local flat = {}
  for i = 1, t:count() do flat[i] = next_number() end
  return t:set(flat)
end

local function zeros(be, ...) return tensor.zeros(be, {...}) end
local function ids(be, list) return tensor.from(be, list, 'i32') end

local function elementwise(name)
  return function(be)
    local out = zeros(be, 3, 67)
    ops[name](out, values(be, 3, 67))
    return out
  end
end

local function pairwise(name, ...)
  local more = {...}
  return function(be)
    local out = zeros(be, 3, 67)
    ops[name](out, values(be, 3, 67), values(be, 3, 67), unpack(more))
    return out
  end
end

local function caches(be)
  return values(be, 40, 2, 2, 34), values(be, 40, 2, 2, 34), ids(be, {30, 7})
end

--- For every op a run on small inputs of odd sizes, which returns what it wrote.
M.CASES = {
  copy = function(be)
    local out = tensor.zeros(be, {3, 67}, 'bf16')
    ops.copy(out, values(be, 67, 3):transpose(1, 2))
    return out
  end,
  fill = function(be)
    local out = zeros(be, 3, 67)
    ops.fill(out, 0.3)
    return out
  end,
  add = pairwise('add', 0.7), mul = pairwise 'mul', silu_mul = pairwise 'silu_mul',
  silu = elementwise 'silu', gelu = elementwise 'gelu', elu = elementwise 'elu',
  sigmoid = elementwise 'sigmoid', tanh = elementwise 'tanh',
  affine = function(be)
    local out = zeros(be, 3, 67)
    ops.affine(out, values(be, 3, 67), 1.7, -0.2)
    return out
  end,
  clamp = function(be)
    local out = zeros(be, 3, 67)
    ops.clamp(out, values(be, 3, 67), -0.5, 0.25)
    return out
  end,
  snake = function(be)
    local out = zeros(be, 5, 67)
    ops.snake(out, values(be, 5, 67), values(be, 67), values(be, 67))
    return out
  end,
  advance = function(be)
    local x = ids(be, {1, 2, 3})
    ops.advance(x, 5, ids(be, {7}))
    return x
  end,
  linear = function(be)
    local out, x = zeros(be, 7, 37), values(be, 7, 131)
    ops.linear(out, x, values(be, 37, 131), values(be, 37))
    local half = zeros(be, 7, 37)
    ops.linear(half, x, values(be, 37, 131):to 'bf16', nil)
    ops.add(out, out, half, 1)
    return out
  end,
  conv1d = function(be)
    local out = zeros(be, 10, 19)
    ops.conv1d(out, values(be, 31, 33), values(be, 19, 7, 33), values(be, 19), 2, 2)
    return out
  end,
  depthwise_conv1d = function(be)
    local out = zeros(be, 11, 67)
    ops.depthwise_conv1d(out, values(be, 17, 67), values(be, 7, 67), values(be, 67))
    return out
  end,
  rms_norm = function(be)
    local out = zeros(be, 3, 131)
    ops.rms_norm(out, values(be, 3, 131), values(be, 131), 1e-6, values(be, 3, 131), values(be,
      131))
    return out
  end,
  layer_norm = function(be)
    local out = zeros(be, 3, 131)
    ops.layer_norm(out, values(be, 3, 131), values(be, 131), values(be, 131), 1e-6)
    return out
  end,
  pool = function(be)
    local out = zeros(be, 2, 67)
    ops.pool(out, values(be, 23, 67), values(be, 23, 67), 1e-12)
    return out
  end,
  embedding = function(be)
    local out = zeros(be, 3, 67)
    ops.embedding(out, values(be, 9, 67), ids(be, {8, 0, 3}), 0)
    return out
  end,
  nearest = function(be)
    local out = tensor.zeros(be, {13}, 'i32')
    ops.nearest(out, values(be, 13, 67), values(be, 50, 67))
    return out
  end,
  sample = function(be)
    local out = tensor.zeros(be, {2}, 'i32')
    ops.sample(out, values(be, 2, 301), ids(be, {{7, 0, 5, 0}, {9, 0, 5, 1}}),
      tensor.from(be, {{0.9, 50, 0.95, 1.1}, {1, 0, 1, 1}}), tensor.zeros(be, {2, 301}, 'i32'), 0,
        280,
      290, 2)
    return out
  end,
  rope_angles = function(be)
    local out = zeros(be, 2, 5, 34)
    ops.rope_angles(out, ids(be, {0, 1000}), values(be, 17))
    return out
  end,
  rope_append = function(be)
    local q, k, v, angles = values(be, 2, 3, 4, 34), values(be, 2, 3, 2, 34), values(be, 2, 3, 2,
      34),
      values(be, 2, 3, 34)
    local k_cache, v_cache, pos = caches(be)
    ops.rope_append(q, k, v, angles, pos, k_cache, v_cache, values(be, 34), values(be, 34), 1e-6)
    return k_cache
  end,
  attention = function(be)
    local out = zeros(be, 2, 3, 4, 34)
    local k, v, pos = caches(be)
    ops.attention(out, values(be, 2, 3, 4, 34), k, v, pos, 0.2, 0)
    return out
  end,
  attention_probs = function(be)
    local out = zeros(be, 2, 4, 3, 40)
    local k, _, pos = caches(be)
    ops.attention_probs(out, values(be, 2, 3, 4, 34), k, pos, 0.2, 0)
    return out
  end,
}

--- The ops whose loops are written for each instruction set; the others are plain C everywhere.
M.FAST = {}
for name in ([[
  linear conv1d depthwise_conv1d rms_norm layer_norm silu silu_mul gelu elu snake nearest
  rope_append attention attention_probs
]]):gmatch '%S+' do M.FAST[name] = true end

-- Sums of a hundred products in another order.
local BOUND = 2e-5

--- Runs an op on two backends with the same inputs.
---@return number difference the largest, relative to the largest value where that is above one
local function difference(name, reference, be)
  next_number = random()
  local a = M.CASES[name](reference)
  next_number = random()
  local b = M.CASES[name](be)
  local x, n = a:host()
  local y = b:host()
  local worst, scale = 0, 1
  for i = 0, n - 1 do
    local d = math.abs(x[i] - y[i])
    worst, scale = math.max(worst, d ~= d and math.huge or d), math.max(scale, math.abs(x[i]))
  end
  return worst / scale
end

--- Checks every op on every variant that this CPU has against plain C.
---@return {name: string, chosen: string, fast: boolean, variants: table<string, number|string>}[]
---ops; variants: the difference from plain C, or why a variant is not there
---@return integer failures differences above the bound
function M.ops()
  local reference = assert(Backend.open('cpu', {threads = 1, isa = 'plain'}))
  local chosen = assert(Backend.open('cpu', {threads = 1})).isa
  local backends, missing = {}, {}
  for _, isa in ipairs(M.VARIANTS) do
    backends[isa], missing[isa] = Backend.open('cpu', {threads = 2, isa = isa})
  end
  local names, list, failures = {}, {}, 0
  for name in pairs(ops) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local r = {name = name, fast = M.FAST[name] or false, chosen = M.FAST[name] and chosen
      or 'plain',
      variants = {}}
    for _, isa in ipairs(M.VARIANTS) do
      if isa ~= 'plain' then
        local d = backends[isa] and difference(name, reference, backends[isa]) or missing[isa]
        r.variants[isa] = d
        if type(d) == 'number' and d > BOUND then failures = failures + 1 end
      end
    end
    list[#list + 1] = r
  end
  return list, failures
end

-- ---- libraries, CUDA, models ----

local LIBRARIES = {
  {'libsndfile', {'libsndfile.so.1'}, 'libsndfile1', 'sound files'},
  {'PCRE2', {'libpcre2-8.so.0'}, 'libpcre2-8-0', 'the tokenizer'},
  {'utf8proc', {'libutf8proc.so.3', 'libutf8proc.so.2'}, 'libutf8proc2', 'the tokenizer'},
  {'libsoxr', {'libsoxr.so.0'}, 'libsoxr0', 'recordings at other rates than 24 kHz'},
  {'kissfft', {'libkissfft-float.so.131'}, 'libkissfft-float131', 'cloning, mel pictures'},
  {'stb', {'libstb.so.0'}, 'libstb0', 'pictures'},
  {'libedit', {'libedit.so.2'}, 'libedit2', 'editing at the prompt'},
}

--- The libraries that Argent loads: whether each is there, and what is missing without it.
---@return {name: string, file: string?, package: string, needed_for: string}[]
function M.libraries()
  local list = {}
  for _, l in ipairs(LIBRARIES) do
    local found
    for _, file in ipairs(l[2]) do
      if not found and pcall(ffi.load, file) then found = file end
    end
    list[#list + 1] = {name = l[1], file = found, package = l[3], needed_for = l[4]}
  end
  return list
end

--- Whether CUDA can be used; else the reason.
---@return boolean
---@return string? why
function M.cuda()
  local be, err = Backend.open 'cuda'
  return be ~= nil, err
end

--- Every place where models are looked for, and every model that is there.
---@return {path: string, from: string}[] places
---@return {id: string, dir: string, missing: string[]}[] models
function M.models()
  local places, models = hub.caches(), hub.cached()
  local named = os.getenv 'ARGENT_MODEL'
  if named and named ~= '' then
    table.insert(places, 1, {path = named, from = 'ARGENT_MODEL'})
    local dir = hub.find()
    if dir then
      table.insert(models, 1, {id = named, dir = dir, missing = hub.missing_files(dir)})
    end
  end
  return places, models
end

return M
