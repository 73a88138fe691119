-- Makes a synthesizer of weights, wherever they come from.

local Batch = require 'argent.qwen3_tts.batch'
local CodePredictor = require 'argent.qwen3_tts.code_predictor'
local CodecDecoder = require 'argent.qwen3_tts.codec_decoder'
local Pool = require 'argent.pool'
local Session = require 'argent.nn.session'
local Synthesizer = require 'argent.qwen3_tts.synthesizer'
local Talker = require 'argent.qwen3_tts.talker'

--- A synthesizer that speaks; what listens to recordings, and the weights, are the caller's to add.
---@param cfg argent.Config
---@param tokenizer ag.Tokenizer
---@param scope ag.Scope of the model
---@param codec_scope ag.Scope of the speech tokenizer
---@param opts {backend: ag.Backend, dtype: string, cache: string?, codec: string?} cache: the dtype
---of the talker's keys and values; default: f32 where the weights are f32 or bf16, else bf16;
---codec: how it computes, see CodecDecoder.MODES; default: as goes with the dtype
---@return ag.Synthesizer
return function(cfg, tokenizer, scope, codec_scope, opts)
  local backend, dtype = opts.backend, opts.dtype
  local talker = Talker.load(backend, cfg.talker, scope:scope 'talker.', dtype)
  local predictor = CodePredictor.load(backend, cfg.predictor, cfg.talker.hidden_size,
    scope:scope 'talker.code_predictor.', dtype)
  -- The predictor's cache is of one frame and the codec's a window: neither is long.
  talker.backbone.cache_dtype = opts.cache or Session.dtype_for(dtype)
  local codec = CodecDecoder.load(backend, cfg.codec, codec_scope:scope 'decoder.',
    opts.codec or CodecDecoder.mode_of(dtype))
  local tts = {
    cfg = cfg, backend = backend, dtype = dtype, cache = talker.backbone.cache_dtype,
    tokenizer = tokenizer,
    talker = talker, predictor = predictor, codec = codec,
    streams = Pool.new(function() return codec:stream() end),
  }
  tts.batches = Pool.new(function() return Batch.new(talker, predictor, tts:pad_vector()) end)
  return setmetatable(tts, Synthesizer)
end
