-- Writes a full-size Qwen3-TTS CustomVoice model with random weights: `argent run
-- scripts/make_full_model.lua DIR [0.6b|1.7b|CONFIGS] [SEED]`. It makes noise, at the speed of the
-- real one, and no speech ends before its limit; it is for measuring where the released weights are
-- not. Sizes are those of the released configs (spec/fixtures/configs), or of the model whose
-- directory CONFIGS is. The tokenizer is that of a small golden model, and which tensors there must
-- be is asked of the networks themselves.

local ag = require 'argent'
local CodePredictor = require 'argent.qwen3_tts.code_predictor'
local CodecDecoder = require 'argent.qwen3_tts.codec_decoder'
local Talker = require 'argent.qwen3_tts.talker'
local config = require 'argent.qwen3_tts.config'
local dtypes = require 'argent.dtype'
local ffi = require 'ffi'
local json = require 'argent.json'
local lfs = require 'lfs'
local lib = require 'argent.ffi'

local dir, size, seed = arg[1], arg[2] or '0.6b', tonumber(arg[3] or 1)
local root = arg[0]:match '^(.*)/scripts/[^/]*$' or '.'
local released = {['0.6b'] = true, ['1.7b'] = true}
local configs = released[size] and ('%s/spec/fixtures/configs/%s-custom-voice'):format(root, size)
  or size
if not dir or not seed or lfs.attributes(configs, 'mode') ~= 'directory' then
  io.stderr:write('usage: argent run scripts/make_full_model.lua DIR [0.6b|1.7b|CONFIGS] [SEED]\n')
  os.exit(2, true)
end
local small = root .. '/spec/fixtures/golden/custom/model'
local be = assert(ag.backend('cpu', {threads = 1}))

local function die(err)
  io.stderr:write(dir, ': ', tostring(err), '\n')
  os.exit(6, true)
end

-- ---- files that are not weights ----

local function read(path)
  local f = assert(io.open(path, 'rb'))
  local s = f:read '*a'
  f:close()
  return s
end

local function write(name, text)
  local f, err = io.open(dir .. '/' .. name, 'wb')
  if not f then die(err) end
  f:write(text)
  f:close()
end

for _, folder in ipairs {dir, dir .. '/speech_tokenizer'} do
  local ok, err = lfs.mkdir(folder)
  if not ok and lfs.attributes(folder, 'mode') ~= 'directory' then die(err) end
end
for _, name in ipairs {'generation_config.json', 'speech_tokenizer/config.json'} do
  write(name, read(configs .. '/' .. name))
end
for _, name in ipairs {'vocab.json', 'merges.txt', 'tokenizer_config.json'} do
  write(name, read(small .. '/' .. name))
end
local raw, ids = json.read(configs .. '/config.json'), json.read(small .. '/config.json')
for _, token in ipairs {'im_start', 'im_end', 'tts_bos', 'tts_eos', 'tts_pad', 'assistant'} do
  raw[token .. '_token_id'] = ids[token .. '_token_id']
end
write('config.json', json.encode(raw))
local cfg = assert(config.read(dir))

-- ---- numbers ----

-- One block of normal numbers, from which every tensor takes pieces at changing places.
local POOL = 2 ^ 20
local normal = ffi.new('float[?]', POOL)
math.randomseed(seed)
for i = 0, POOL - 2, 2 do
  local r, a = math.sqrt(-2 * math.log(1 - math.random())), 2 * math.pi * math.random()
  normal[i], normal[i + 1] = r * math.cos(a), r * math.sin(a)
end

-- Where a tensor's numbers are.
local function memory(t, kind) return ffi.cast(kind, lib.ag_tensor_host(t)) end

-- The block times std, in dtype.
local pools = {}
local function pool(dtype, std)
  local key = ('%s %.6g'):format(dtype, std)
  if not pools[key] then
    local t = ag.zeros(be, {POOL})
    local x = memory(t, 'float *')
    for i = 0, POOL - 1 do x[i] = normal[i] * std end
    pools[key] = t:to(dtype)
  end
  return memory(pools[key], 'const char *')
end

local function fill_normal(t, std)
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

-- What numbers a tensor has, by the end of its name: a constant, or normal ones of a deviation such
-- that signals stay of about one size.
local CONSTANT = {
  {'norm%.weight$', 1}, {'cluster_usage$', 1}, {'bias$', 0}, {'alpha$', 0}, {'beta$', 0},
  {'scale$', 0.01}, {'gamma$', 0.01},
}
local function fill(name, t)
  for _, c in ipairs(CONSTANT) do
    if name:find(c[1]) then return t:fill(c[2]) end
  end
  local fan_in = t:count() / t.shape[1]
  local std = t.dtype == 'f32' and 0.5 * fan_in ^ -0.5 or name:find '_head%.' and 0.05 or 0.02
  fill_normal(t, std)
  -- Logit 0 of the end token is never among the 50 largest of thousands.
  if name == 'talker.codec_head.weight' then t:select(1, cfg.talker.codec.eos + 1):fill(0) end
  return t
end

-- ---- weights ----

-- Stands where the networks look for their tensors, and makes each that they ask for.
local Scope = {}
Scope.__index = Scope

local function scope(made, dtype, prefix)
  return setmetatable({made = made, dtype = dtype, prefix = prefix}, Scope)
end

function Scope:scope(prefix) return scope(self.made, self.dtype, self.prefix .. prefix) end
function Scope:look_later() return self end
function Scope.unusable() end -- what is made here is sound
function Scope.has() return false end
function Scope.try() return nil end

function Scope:get(name, shape, dtype)
  local whole = self.prefix .. name
  local t = ag.zeros(be, shape, self.dtype)
  self.made[whole] = fill(whole, t)
  return dtype and dtype ~= self.dtype and t:to(dtype) or t
end

local function save(file, tensors)
  local ok, err = ag.save(dir .. '/' .. file, tensors)
  if not ok then die(err) end
end

local codec = {}
CodecDecoder.load(be, cfg.codec, scope(codec, 'f32', 'decoder.'))
save('speech_tokenizer/model.safetensors', codec)
local model = {}
Talker.load(be, cfg.talker, scope(model, 'bf16', 'talker.'), 'bf16')
CodePredictor.load(be, cfg.predictor, cfg.talker.hidden_size,
  scope(model, 'bf16', 'talker.code_predictor.'), 'bf16')
save('model.safetensors', model)
