-- The codec of Qwen3-TTS in a directory of its own, as argent.models knows it: it makes codes of
-- recordings and sound of codes, and does not speak.

local config = require 'argent.qwen3_tts.config'
local weights = require 'argent.weights'

---@type argent.Model
local M = {
  types = {'qwen3_tts_tokenizer_12hz'}, name = 'the codec of Qwen3-TTS',
  handle = 'codec',
  provides = {codec = true},
  released = {'Qwen/Qwen3-TTS-Tokenizer-12Hz'},
  files = {'config.json', 'model.safetensors'},
}

function M.matches(name)
  return name:find '^Qwen3%-TTS%-Tokenizer' ~= nil
end

function M.open(dir, opts)
  return require('argent.qwen3_tts').codec(dir, opts)
end

function M.summary(codec)
  return ('%s (%s), %s'):format(codec.dir, M.name, codec.mode)
end

function M.describe(dir)
  return config.read_codec(dir) and {kind = 'codec'}
end

-- Why an open codec cannot encode; nil when it can.
local function lacks(codec)
  local encoder, err = codec.open_encoder()
  return not encoder and err or nil
end

function M.fault(dir, be)
  local codec, err = M.open(dir, {backend = be})
  if not codec then return err end
  return lacks(codec)
end

function M.inspect(dir, be)
  local c, err = config.read_codec(dir)
  if not c then return nil, err end
  local r = {
    facts = {directory = dir, kind = 'codec', codec = {rate = c.sample_rate,
      samples_per_frame = c.samples_per_frame, groups = c.num_quantizers,
      book = c.codebook_size}},
    lines = {
      dir .. ': ' .. M.name,
      ('codec: %d Hz, %d samples a frame, %d groups of %d codes'):format(c.sample_rate,
        c.samples_per_frame, c.num_quantizers, c.codebook_size),
    },
    parts = {},
  }
  local codec
  weights.by_headers(function()
    codec, r.missing = M.open(dir, {backend = be})
    if codec then r.missing = lacks(codec) end
  end)
  local w = codec and codec.weights or weights.open(dir, {backend = be})
  if w then r.parts[1] = {name = 'model', prefix = '', weights = w} end
  r.unused = codec and w:unused()
  return r
end

return M
