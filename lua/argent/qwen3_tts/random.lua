-- Models of random weights, for measuring where the released weights are not: they make noise at
-- the speed of the real ones, and no speech ends before its limit. Which tensors there must be is
-- asked of the networks themselves, whose scopes stand here.

local Backend = require 'argent.backend'
local assemble = require 'argent.qwen3_tts.assemble'
local check = require 'argent.check'
local config = require 'argent.qwen3_tts.config'
local dtypes = require 'argent.dtype'
local ffi = require 'ffi'
local lib = require 'argent.ffi'
local room = require 'argent.room'
local scope = require 'argent.nn.scope'
local released = require 'argent.qwen3_tts.released'
local status = require 'argent.status'
local tensor = require 'argent.tensor'

local M = {}

-- ---- numbers ----

-- One block of normal numbers, from which every tensor takes pieces at changing places.
local POOL = 2 ^ 20
-- The ids that texts have here are below.
local TEXT_IDS = 1024

-- Where a tensor's numbers are.
local function memory(t, kind) return ffi.cast(kind, lib.ag_tensor_host(t)) end

-- A function that fills a tensor of the backend, which is a CPU, with normal numbers.
local function normals(be, seed)
  math.randomseed(seed)
  local normal, pools = ffi.new('float[?]', POOL), {}
  for i = 0, POOL - 2, 2 do
    local r, a = math.sqrt(-2 * math.log(1 - math.random())), 2 * math.pi * math.random()
    normal[i], normal[i + 1] = r * math.cos(a), r * math.sin(a)
  end
  local function pool(dtype, std)
    local key = ('%s %.6g'):format(dtype, std)
    if not pools[key] then
      local t = tensor.zeros(be, {POOL})
      local x = memory(t, 'float *')
      for i = 0, POOL - 1 do x[i] = normal[i] * std end
      pools[key] = t:to(dtype)
    end
    return memory(pools[key], 'const char *')
  end
  return function(t, std)
    local bytes = dtypes.size[t.dtype]
    local from, to = pool(t.dtype, std), memory(t, 'char *')
    local at, n = 0, t:count()
    while at < n do
      local start = math.random(0, POOL - 1)
      local part = math.min(n - at, POOL - start)
      ffi.copy(to + at * bytes, from + start * bytes, part * bytes)
      at = at + part
    end
  end
end

-- What numbers a tensor has, by the end of its name: a constant, or normal ones of a deviation such
-- that signals stay of about one size.
local CONSTANT = {
  {'norm%.weight$', 1}, {'cluster_usage$', 1}, {'bias$', 0}, {'alpha$', 0}, {'beta$', 0},
  {'scale$', 0.01}, {'gamma$', 0.01},
}

-- A function that fills a tensor by its name.
local function filler(be, seed, cfg)
  local fill_normal = normals(be, seed)
  return function(name, t)
    for _, c in ipairs(CONSTANT) do
      if name:find(c[1]) then return t:fill(c[2]) end
    end
    local fan_in = t:count() / t.shape[1]
    local std = t.dtype == 'f32' and 0.5 * fan_in ^ -0.5 or name:find '_head%.' and 0.05 or 0.02
    fill_normal(t, std)
    -- Logit 0 of the end token is never among the 50 largest of thousands.
    if name == 'talker.codec_head.weight' then t:select(1, cfg.talker.codec.eos + 1):fill(0) end
  end
end

-- ---- weights ----

-- Bytes of tensors after which those that nobody has kept are looked for: the collector does not
-- see their size.
local COLLECT = 2 ^ 25

--- Scopes of a model. The tensors depend on the seed and on the order in which they are asked for.
---@param backend ag.Backend where the tensors will be
---@param cfg argent.Config
---@param seed integer
---@param kept? table<string, ag.Tensor> takes all that are made, by their whole names; without it
---the table of text vectors has its first rows alone: no memory for the others, as in a mapped file
---@return fun(prefix: string, stored: string): nn.Scope of tensors in that dtype
function M.scopes(backend, cfg, seed, kept)
  local host = backend.kind == 'cpu' and backend or assert(Backend.open('cpu', {threads = 1}))
  local fill, unseen = filler(host, seed, cfg), 0
  local function make(name, shape, stored, dtype)
    local t = tensor.zeros(host, shape, stored)
    local first = not kept and name:find 'text_embedding' and math.min(TEXT_IDS, shape[1])
    fill(name, first and t:narrow(1, 1, first) or t)
    if kept then kept[name] = t end
    if dtype and dtype ~= stored then t = t:to(dtype) end
    unseen = unseen + t:count() * dtypes.size[t.dtype]
    if unseen > COLLECT then
      unseen = 0
      collectgarbage()
    end
    if host == backend then return t end
    local out = tensor.zeros(backend, shape, t.dtype)
    status.raise(lib.ag_tensor_write(out, lib.ag_tensor_host(t), t:count() * dtypes.size[t.dtype]))
    return out
  end
  return function(prefix, stored)
    return scope.new(backend, function(name, shape, dtype)
      return make(name, shape, stored, dtype)
    end):scope(prefix)
  end
end

-- ---- a model ----

-- Stands for the tokenizer: the ids of the template, and an id for four bytes of anything else,
-- about as many as the real one makes of English.
local function tokenizer(cfg)
  local newline = 198
  local template = {
    ['<|im_start|>assistant\n'] = {cfg.tokens.im_start, cfg.tokens.assistant, newline},
    ['<|im_end|>\n'] = {cfg.tokens.im_end, newline},
  }
  return {encode = function(_, text)
    if template[text] then return template[text] end
    local ids = {}
    for i = 1, #text, 4 do ids[#ids + 1] = text:byte(i) end
    return ids
  end}
end

--- A model that speaks, made in memory. It cannot listen.
---@param files table<string, table> its configuration, as config.of takes it
---@param opts {backend: ag.Backend, dtype: string?, cache: string?, codec: string?} as of
---qwen3_tts.open
---@return ag.Synthesizer
function M.make(files, opts)
  local cfg = assert(config.of(files))
  local scopes = M.scopes(opts.backend, cfg, 1)
  local tts = room.share(function()
    return assemble(cfg, tokenizer(cfg), scopes('', 'bf16'), scopes('', 'f32'),
      {backend = opts.backend, dtype = opts.dtype or 'bf16', cache = opts.cache,
        codec = opts.codec})
  end)
  tts.dir = 'random ' .. cfg.size
  tts.weights = {damaged = function() end}
  return tts
end

--- The same of a released size.
---@param size string one of qwen3_tts.released.sizes
---@param opts {backend: ag.Backend, dtype: string?, cache: string?, codec: string?}
---@return ag.Synthesizer
function M.open(size, opts)
  local tts = M.make(released.files(check.one_of(size, 'random: size', released.sizes)), opts)
  tts.dir = 'random ' .. size
  return tts
end

return M
