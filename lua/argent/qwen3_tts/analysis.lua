-- The networks that listen: `tts.speaker` and the encoder behind `tts.codec:encode`. A model opens
-- without them, as most speech needs neither; the first use reads their configuration and weights.

local check = require 'argent.check'
local encoder_config = require 'argent.qwen3_tts.encoder_config'
local weights = require 'argent.weights'

local M = {}

-- A function that gives make()'s result, made once; its faults are values and not kept.
local function once(make)
  local made
  return function()
    local err, code
    if not made then made, err, code = make() end
    return made, err, code
  end
end

-- A network from its checked configuration.
local function build(module, backend, cfg, err, scope)
  if not cfg then return nil, err, 'format' end
  return weights.build(function() return require(module).load(backend, cfg, scope) end)
end

--- What opens the codec's encoder.
---@param backend ag.Backend
---@param cfg argent.CodecConfig
---@param w ag.Weights of the speech tokenizer
---@return fun(): ag.CodecEncoder?, string?, string?
function M.codec_encoder(backend, cfg, w)
  return once(function()
    local scope = w:scope 'encoder.'
    if not scope:has 'downsample.conv.weight' then
      return nil, w.path .. ': has no encoder (encoder.*), so recordings cannot become codes; '
        .. 'fetch the whole speech_tokenizer, or clone from the speaker vector alone', 'unsupported'
    end
    local c, err = encoder_config.codec {codec = cfg}
    return build('argent.qwen3_tts.codec_encoder', backend, c, err, scope)
  end)
end

---@class ag.Speaker
local Speaker = {}
Speaker.__index = Speaker

--- The vector of who speaks in a recording, for the prompt of a cloned voice.
---@param samples ag.Tensor|number[] f32 [n] at 24 kHz, in [-1, 1]
---@param opts? {tap: fun(name: string, x: ag.Tensor)?, pause: fun()?} tap sees the stages, pause is
---called between pieces of the work, see ag.SpeakerEncoder
---@return ag.Tensor? vector f32 [hidden_size of the talker]
---@return string? err
---@return string? code 'value' (too short, NaN), 'unsupported', 'format', 'memory', 'interrupted'
function Speaker:embed(samples, opts)
  opts = check.options(opts, 'embed', {'tap', 'pause'})
  local encoder, err, code = self.open_encoder()
  if not encoder then return nil, err, code end
  return encoder:embed(samples, opts) -- a tail call: what it refuses is the caller's line
end

--- `tts.speaker`, also for models without a speaker encoder, which say so.
---@param backend ag.Backend
---@param cfg argent.Config
---@param w ag.Weights of the model
---@return ag.Speaker
function M.speaker(backend, cfg, w)
  local scope = w:scope 'speaker_encoder.'
  return setmetatable({open_encoder = once(function()
    if cfg.kind ~= 'base' or not scope:has 'fc.weight' then
      local instead = {
        custom_voice = 'choose a voice by its name',
        voice_design = 'describe the voice with an instruction',
        base = 'fetch the whole model',
      }
      return nil, ('%s: a %s model without a speaker encoder; %s, or clone with a Base model')
        :format(w.path, cfg.kind, instead[cfg.kind]), 'unsupported'
    end
    local c, err = encoder_config.speaker(cfg)
    return build('argent.qwen3_tts.speaker_encoder', backend, c, err, scope)
  end)}, Speaker)
end

--- Loads the networks that otherwise wait for a recording, so that what they lack is found too.
--- Only a Base model has to have them.
---@param tts ag.Synthesizer
---@return string? err
function M.lacks(tts)
  local _, no_speaker = tts.speaker.open_encoder()
  local _, no_codes = tts.codec.open_encoder()
  return tts.cfg.kind == 'base' and (no_speaker or no_codes) or nil
end

check.methods(Speaker, 'speaker encoder')

return M
