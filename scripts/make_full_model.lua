-- Writes a full-size Qwen3-TTS CustomVoice model with random weights: `argent run
-- scripts/make_full_model.lua DIR [0.6b|1.7b|CONFIGS] [SEED]`. It makes noise, at the speed of the
-- real one, and no speech ends before its limit; it is for measuring where the released weights are
-- not (`argent bench --random` needs no files at all). Sizes are those of the released configs
-- (spec/fixtures/configs), or of the model whose directory CONFIGS is. The tokenizer is that of a
-- small golden model.

local ag = require 'argent'
local CodePredictor = require 'argent.qwen3_tts.code_predictor'
local CodecDecoder = require 'argent.qwen3_tts.codec_decoder'
local Talker = require 'argent.qwen3_tts.talker'
local config = require 'argent.qwen3_tts.config'
local json = require 'argent.json'
local lfs = require 'lfs'
local random = require 'argent.qwen3_tts.random'

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

-- ---- weights ----

local function save(file, tensors)
  local ok, err = ag.save(dir .. '/' .. file, tensors)
  if not ok then die(err) end
end

local codec, model = {}, {}
local scopes = random.scopes(be, cfg, seed, codec)
CodecDecoder.load(be, cfg.codec, scopes('decoder.', 'f32'))
save('speech_tokenizer/model.safetensors', codec)
scopes = random.scopes(be, cfg, seed, model)
Talker.load(be, cfg.talker, scopes('talker.', 'bf16'), 'bf16')
CodePredictor.load(be, cfg.predictor, cfg.talker.hidden_size,
  scopes('talker.code_predictor.', 'bf16'), 'bf16')
save('model.safetensors', model)
