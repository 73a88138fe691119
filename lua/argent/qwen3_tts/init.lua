-- Qwen3-TTS from a model directory in the released layout. `open` reads the config, assembles the
-- networks and returns what speaks; `codec` opens the codec alone.

local Backend = require 'argent.backend'
local CodecDecoder = require 'argent.qwen3_tts.codec_decoder'
local Session = require 'argent.nn.session'
local Tokenizer = require 'argent.text.tokenizer'
local analysis = require 'argent.qwen3_tts.analysis'
local assemble = require 'argent.qwen3_tts.assemble'
local check = require 'argent.check'
local config = require 'argent.qwen3_tts.config'
local dtypes = require 'argent.dtype'
local hub = require 'argent.hub'
local lfs = require 'lfs'
local weights = require 'argent.weights'

local M = {}

M.find = hub.find

-- The backend of the options, else the CPU.
local function backend_of(opts)
  if opts.backend then return opts.backend end
  local backend, err, code = Backend.open 'cpu'
  return backend, err, code
end

-- How the codec computes, if the options say it.
local function codec_mode(opts, what)
  return opts.codec and check.one_of(opts.codec, what .. ': codec', CodecDecoder.MODES, 1)
end

-- Gives a codec its encoder, which is loaded when it is needed.
local function can_listen(codec, backend, cfg, w)
  codec.open_encoder = analysis.codec_encoder(backend, cfg, w)
  codec.weights = w
end

--- Opens the codec alone, for codes of recordings and sound of codes: codec:encode, codec:decode,
--- codec:stream. It does not speak.
---@param name? string a directory of the codec (its own, or the speech_tokenizer of a model), that
---of a model, or what `find` finds
---@param opts? {backend: ag.Backend?, codec: string?} backend: default CPU, one thread per core;
---codec: as for `open`
---@return ag.CodecDecoder? codec
---@return string? err one line
---@return string? code
function M.codec(name, opts)
  if name ~= nil then check.type(name, 'codec: model', 'string') end
  opts = check.options(opts, 'codec', {'backend', 'dtype', 'cache', 'codec'})
  local mode = codec_mode(opts, 'codec') or CodecDecoder.mode_of(opts.dtype)
  local backend, err, code = backend_of(opts)
  if not backend then return nil, err, code end
  local dir, cfg, w, codec
  dir, err, code = hub.find(name, nil, 'codec')
  if not dir then return nil, err, code end
  if lfs.attributes(dir .. '/speech_tokenizer/config.json') then
    dir = dir .. '/speech_tokenizer'
  end
  cfg, err = config.read_codec(dir)
  if not cfg then return nil, ('%s/%s'):format(dir, err), 'format' end
  w, err, code = weights.open(dir, {backend = backend})
  if not w then return nil, err, code or 'format' end
  codec, err, code = weights.build(function()
    return CodecDecoder.load(backend, cfg, w:scope 'decoder.', mode)
  end)
  if not codec then return nil, err, code or 'format' end
  can_listen(codec, backend, cfg, w)
  codec.dir = dir
  return codec
end

--- Opens a model. Without a name it is what `find` finds, at last the demo voice, whose first voice
--- speaks when none is named.
---@param name? string a directory, or what `find` finds
---@param opts? {backend: ag.Backend?, dtype: string?, cache: string?, codec: string?} backend:
---default CPU, one thread per core; dtype of the linear weights of talker and predictor: 'bf16'
---(default), 'f32' (the reference mode), 'q8' or 'q4' (8 and 4 bits and a scale for every 32, on
---the CPU); a model that is stored in q8 or q4 is opened so; cache: the dtype of the talker's keys
---and values, 'f32' or 'bf16' (half the memory, rounded to 8 bits), default 'f32' with f32 and bf16
---weights; codec: how sound is made of codes, 'fast', near f32 (default), 'bf16', so with weights
---rounded to bf16 (default where dtype is q8 or q4), or 'f32' (default where dtype is f32; a card's
---is always f32). The networks that analyse recordings (tts.speaker,
---tts.codec:encode) are f32 and loaded when they are first used.
---@return ag.Synthesizer?
---@return string? err one line: file, place, fact
---@return string? code
function M.open(name, opts)
  if name ~= nil then check.type(name, 'open: model', 'string') end
  opts = check.options(opts, 'open', {'backend', 'dtype', 'cache', 'codec'})
  if opts.dtype ~= nil then check.one_of(opts.dtype, 'open: dtype', dtypes.weights) end
  local cache = opts.cache and check.one_of(opts.cache, 'open: cache', Session.DTYPES)
  local mode = codec_mode(opts, 'open')
  local backend, err, code = backend_of(opts)
  if not backend then return nil, err, code end
  local cfg, tokenizer, w, cw, dir
  dir, err, code = hub.find(name)
  if not dir then return nil, err, code end
  cfg, err = config.read(dir)
  if not cfg then return nil, err, 'format' end
  tokenizer, err = Tokenizer.open(dir)
  if not tokenizer then return nil, err, 'format' end
  w, err, code = weights.open(dir, {backend = backend})
  if not w then return nil, err, code or 'format' end
  local dtype
  dtype, err, code = w:dtype(opts.dtype)
  if not dtype then return nil, err, code end
  cw, err, code = weights.open(dir .. '/speech_tokenizer', {backend = backend})
  if not cw then return nil, err, code or 'format' end

  local tts
  tts, err, code = weights.build(function()
    return assemble(cfg, tokenizer, w:scope '', cw:scope '',
      {backend = backend, dtype = dtype, cache = cache, codec = mode})
  end)
  if not tts then return nil, err, code or 'format' end
  tts.dir, tts.weights, tts.codec_weights = dir, w, cw
  tts.speaker = analysis.speaker(backend, cfg, w)
  can_listen(tts.codec, backend, cfg.codec, cw)
  if hub.is_demo(dir) then cfg.default_voice = tts:voices()[1] end
  return tts
end

return M
