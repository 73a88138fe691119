-- Qwen3-TTS from a model directory in the released layout. `open` reads the config, assembles the
-- networks and returns what speaks.

local Backend = require 'argent.backend'
local CodePredictor = require 'argent.qwen3_tts.code_predictor'
local CodecDecoder = require 'argent.qwen3_tts.codec_decoder'
local Lane = require 'argent.qwen3_tts.lane'
local Pool = require 'argent.pool'
local Synthesizer = require 'argent.qwen3_tts.synthesizer'
local Talker = require 'argent.qwen3_tts.talker'
local Tokenizer = require 'argent.text.tokenizer'
local analysis = require 'argent.qwen3_tts.analysis'
local check = require 'argent.check'
local config = require 'argent.qwen3_tts.config'
local dtypes = require 'argent.dtype'
local hub = require 'argent.hub'
local weights = require 'argent.weights'

local M = {}


M.find = hub.find

--- Opens a model. Without a name it is what `find` finds, at last the demo voice, whose first voice
--- speaks when none is named.
---@param name? string a directory, or what `find` finds
---@param opts? {backend: ag.Backend?, dtype: string?} backend: default CPU, one thread per core;
---dtype of the linear weights of talker and predictor: 'bf16' (default) or 'f32' (the reference
---mode). The codec is f32. The networks that analyse recordings (tts.speaker, tts.codec:encode) are
---loaded when they are first used.
---@return ag.Synthesizer?
---@return string? err one line: file, place, fact
---@return string? code
function M.open(name, opts)
  if name ~= nil then check.type(name, 'open: model', 'string') end
  opts = check.options(opts, 'open', {'backend', 'dtype'})
  local dtype = check.one_of(opts.dtype or 'bf16', 'open: dtype', dtypes.weights)
  local backend, err, code = opts.backend
  if not backend then
    backend, err, code = Backend.open 'cpu'
    if not backend then return nil, err, code end
  end
  local cfg, tokenizer, w, cw, dir
  dir, err, code = hub.find(name)
  if not dir then return nil, err, code end
  cfg, err = config.read(dir)
  if not cfg then return nil, err, 'format' end
  tokenizer, err = Tokenizer.open(dir)
  if not tokenizer then return nil, err, 'format' end
  w, err, code = weights.open(dir, {backend = backend})
  if not w then return nil, err, code or 'format' end
  cw, err, code = weights.open(dir .. '/speech_tokenizer', {backend = backend})
  if not cw then return nil, err, code or 'format' end

  local tts
  tts, err, code = weights.build(function()
    local talker = Talker.load(backend, cfg.talker, w:scope 'talker.', dtype)
    local predictor = CodePredictor.load(backend, cfg.predictor, cfg.talker.hidden_size,
      w:scope 'talker.code_predictor.', dtype)
    local codec = CodecDecoder.load(backend, cfg.codec, cw:scope 'decoder.')
    codec.open_encoder = analysis.codec_encoder(backend, cfg, cw)
    return setmetatable({
      dir = dir, cfg = cfg, backend = backend, dtype = dtype, tokenizer = tokenizer,
      weights = w, codec_weights = cw,
      talker = talker, predictor = predictor, codec = codec,
      speaker = analysis.speaker(backend, cfg, w),
      lanes = Pool.new(function() return Lane.new(talker, predictor) end),
      streams = Pool.new(function() return codec:stream() end),
    }, Synthesizer)
  end)
  if not tts then return nil, err, code or 'format' end
  if hub.is_demo(dir) then cfg.default_voice = tts:voices()[1] end
  return tts
end

return M
