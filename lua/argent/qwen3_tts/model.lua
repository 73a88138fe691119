-- Qwen3-TTS as argent.models knows it: what a directory holds, and how it is opened, inspected and
-- measured.

local config = require 'argent.qwen3_tts.config'
local dtypes = require 'argent.dtype'
local json = require 'argent.json'
local languages = require 'argent.qwen3_tts.languages'
local released = require 'argent.qwen3_tts.released'
local weights = require 'argent.weights'

---@type argent.Model
local M = {
  types = {'qwen3_tts'}, name = 'Qwen3-TTS',
  handle = 'tts',
  provides = {speech = true, codec = true},
  released = {
    'Qwen/Qwen3-TTS-12Hz-0.6B-CustomVoice', 'Qwen/Qwen3-TTS-12Hz-1.7B-CustomVoice',
    'Qwen/Qwen3-TTS-12Hz-1.7B-VoiceDesign', 'Qwen/Qwen3-TTS-12Hz-0.6B-Base',
    'Qwen/Qwen3-TTS-12Hz-1.7B-Base',
  },
  files = {
    'config.json', 'generation_config.json', 'vocab.json', 'merges.txt', 'tokenizer_config.json',
    'model.safetensors',
    'speech_tokenizer/config.json', 'speech_tokenizer/model.safetensors',
  },
}

function M.matches(name)
  return name:find '^Qwen3%-TTS' ~= nil and not name:find 'Tokenizer'
end

function M.open(dir, opts)
  return require('argent.qwen3_tts').open(dir, opts)
end

function M.summary(tts)
  return ('%s (%s, %s), weights in %s, %s codec'):format(tts.dir, tts.cfg.kind, tts.cfg.size,
    tts.dtype, tts.codec.mode)
end

function M.describe(dir)
  local cfg = config.read(dir)
  return cfg and {kind = cfg.kind, size = cfg.size}
end

function M.fault(dir, be)
  local tts, err = M.open(dir, {backend = be})
  if not tts then return err end
  return require('argent.qwen3_tts.analysis').lacks(tts)
end

local function facts(dir, cfg)
  local t, c = cfg.talker, cfg.codec
  return {
    directory = dir, kind = cfg.kind, size = cfg.size,
    talker = {layers = t.num_hidden_layers, hidden = t.hidden_size, heads = t.num_attention_heads,
      kv_heads = t.num_key_value_heads, head_dim = t.head_dim,
      positions = t.max_position_embeddings},
    predictor = {layers = cfg.predictor.num_hidden_layers, hidden = cfg.predictor.hidden_size},
    codec = {rate = c.sample_rate, samples_per_frame = c.samples_per_frame,
      groups = c.num_quantizers, book = c.codebook_size},
    speakers = json.array(languages.sorted_keys(t.speakers)),
    languages = json.array(languages.sorted_keys(t.languages)),
  }
end

local function lines(f)
  local t, p, c = f.talker, f.predictor, f.codec
  return {
    ('%s: Qwen3-TTS, kind %s, size %s'):format(f.directory, f.kind, f.size),
    ('talker: %d layers of %d, %d heads over %d of %d, up to %d positions'):format(t.layers,
      t.hidden, t.heads, t.kv_heads, t.head_dim, t.positions),
    ('code predictor: %d layers of %d, %d groups of %d codes'):format(p.layers, p.hidden, c.groups,
      c.book),
    ('codec: %d Hz, %d samples a frame'):format(c.rate, c.samples_per_frame),
    'speakers: ' .. (#f.speakers > 0 and table.concat(f.speakers, ', ') or 'none'),
    'languages: ' .. table.concat(f.languages, ', '),
  }
end

function M.inspect(dir, be)
  local cfg, err = config.read(dir)
  if not cfg then return nil, err end
  local f = facts(dir, cfg)
  local r = {facts = f, lines = lines(f), parts = {}}
  local tts
  weights.by_headers(function()
    tts, err = M.open(dir, {backend = be})
    r.missing = tts and require('argent.qwen3_tts.analysis').lacks(tts) or err
  end)
  -- A model that does not open is described as well, by the files that are there.
  local w = tts and tts.weights or weights.open(dir, {backend = be})
  local cw = tts and tts.codec_weights or weights.open(dir .. '/speech_tokenizer', {backend = be})
  if w then r.parts[1] = {name = 'model', prefix = '', weights = w} end
  if cw then
    r.parts[#r.parts + 1] = {name = 'speech_tokenizer', prefix = 'speech_tokenizer: ', weights = cw}
  end
  if not tts then return r end
  if not dtypes.float[tts.dtype] then
    f.weights = tts.dtype
    r.lines[#r.lines + 1] = ('weights: %s, in blocks of 32'):format(tts.dtype)
  end
  r.unused = w:unused()
  for _, name in ipairs(cw:unused()) do r.unused[#r.unused + 1] = name end
  return r
end

function M.voices(dir)
  local cfg, err = config.read(dir)
  if not cfg then return nil, err end
  local voices = {}
  for i, name in ipairs(languages.sorted_keys(cfg.talker.speakers)) do
    voices[i] = {name = name, dialect = cfg.talker.dialects[name] or nil}
  end
  return {kind = cfg.kind, voices = voices, languages = languages.list(cfg.talker)}
end

function M.bench()
  return require 'argent.qwen3_tts.bench'
end

M.sizes = released.sizes

function M.random(size, opts)
  local tts = require('argent.qwen3_tts.random').open(size, opts)
  return tts
end

function M.record()
  return require 'argent.qwen3_tts.record'
end

return M
