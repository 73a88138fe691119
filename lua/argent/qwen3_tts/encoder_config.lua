-- What the configuration says of the two analysis networks (REFERENCE.md, "Speaker encoder
-- configuration" and "Codec configuration"). It is checked like the rest, but only when one of them
-- is needed, as a model speaks without them. Fields that would make another network than the one
-- that is built are refused.

local json = require 'argent.json'
local transformer = require 'argent.nn.config'

local M = {}

local size, MAX_SIZE = transformer.size, transformer.MAX_SIZE
local MAX_STAGES = 16
-- The encoder's transformer. Its positions are computed, not looked up, and attention takes all of
-- them in: this is 43 minutes of sound, and only bounds the addresses that a session reserves.
local TRANSFORMER = {
  norm = 'layer', final_norm = false, mlp = 'plain', hidden_act = 'gelu', eps = 'norm_eps',
  qk_norm = false, layer_scale = true, positions = 2 ^ 16,
}

---@class argent.CodecEncoderConfig
---@field rate integer of the recording, Hz
---@field samples_per_frame integer
---@field groups integer codes in a frame
---@field filters integer channels after the first convolution
---@field kernel integer
---@field residual_kernel integer
---@field last_kernel integer
---@field compress integer the residual units' inner channels are a compress-th
---@field rates integer[] strides in their order
---@field downsample integer stride after the transformer
---@field transformer ag.BackboneConfig
---@field codebook_size integer
---@field codebook_dim integer

local function read_codec(codec)
  local s = json.object(codec.encoder, codec.file, 'encoder_config')
  local e = {
    rate = codec.input_sample_rate, samples_per_frame = codec.encode_downsample_rate,
    groups = codec.num_quantizers, codebook_size = size(s, 'codebook_size'),
    filters = size(s, 'num_filters'), compress = size(s, 'compress'),
    kernel = s:int('kernel_size', 1, 1024),
    residual_kernel = s:int('residual_kernel_size', 1, 1024),
    last_kernel = s:int('last_kernel_size', 1, 1024),
    codebook_dim = size(s, 'codebook_dim'),
    transformer = transformer.transformer(s, TRANSFORMER), rates = {},
  }
  for _, key in ipairs {'audio_channels', 'num_residual_layers', 'num_semantic_quantizers'} do
    s:expect(s:get(key) == 1, key, '1')
  end
  s:expect(s:boolean('use_causal_conv', true), 'use_causal_conv', 'true')
  s:expect(not s:boolean('use_conv_shortcut', false), 'use_conv_shortcut', 'false')
  if s:get('pad_mode') ~= nil then s:one_of('pad_mode', {'constant'}) end
  s:expect(e.filters % e.compress == 0, 'compress', 'a divisor of num_filters (%d)', e.filters)
  s:expect(size(s, 'vector_quantization_hidden_dimension') == e.codebook_dim,
    'vector_quantization_hidden_dimension', '%d (codebook_dim)', e.codebook_dim)
  s:expect(e.codebook_size == codec.codebook_size, 'codebook_size',
    '%d (decoder_config.codebook_size)', codec.codebook_size)
  s:expect(s:int('num_quantizers', 1, 1024) >= e.groups, 'num_quantizers', '%d or more', e.groups)

  local given, product = s:integers('upsampling_ratios', MAX_STAGES, 1, MAX_SIZE), 1
  for i, rate in ipairs(given) do
    e.rates[#given + 1 - i] = rate -- the list is the way back
    product = product * rate
  end
  e.downsample = e.samples_per_frame / product
  s:expect(e.downsample % 1 == 0 and e.downsample >= 2, 'upsampling_ratios',
    'a product that divides encode_downsample_rate (%d) into 2 or more', e.samples_per_frame)
  return e
end

--- The codec's encoder.
---@param cfg argent.Config|{codec: argent.CodecConfig}
---@return argent.CodecEncoderConfig?
---@return string? err
function M.codec(cfg)
  return json.checked(read_codec, cfg.codec)
end

---@class argent.SpeakerEncoderConfig
---@field rate integer of the recording, Hz
---@field dim integer of the vector
---@field mel_dim integer
---@field channels integer[] of each block, the last of what they make together
---@field kernels integer[]
---@field dilations integer[]
---@field attention_channels integer
---@field scale integer groups of channels in a block
---@field se_channels integer

local function integers(s, key, most, lo, hi, default)
  if s:get(key) == nil then return default end
  return s:integers(key, most, lo, hi)
end

local function read_speaker(cfg)
  local s = json.object(cfg.speaker_encoder, 'config.json', 'speaker_encoder_config')
  -- The released files leave out what equals these.
  local e = {
    rate = size(s, 'sample_rate', 24000), dim = size(s, 'enc_dim', cfg.talker.hidden_size),
    mel_dim = size(s, 'mel_dim', 128),
    channels = integers(s, 'enc_channels', 64, 1, MAX_SIZE, {512, 512, 512, 512, 1536}),
    kernels = integers(s, 'enc_kernel_sizes', 64, 1, 1023, {5, 3, 3, 3, 1}),
    dilations = integers(s, 'enc_dilations', 64, 1, 1023, {1, 2, 3, 4, 1}),
    attention_channels = size(s, 'enc_attention_channels', 128),
    scale = size(s, 'enc_res2net_scale', 8), se_channels = size(s, 'enc_se_channels', 128),
  }
  local n = #e.channels
  s:expect(e.mel_dim == 128, 'mel_dim', '128')
  s:expect(e.rate == 24000, 'sample_rate', '24000')
  s:expect(n >= 3, 'enc_channels', 'a list of 3 or more integers')
  s:expect(#e.kernels == n, 'enc_kernel_sizes', 'a list of %d integers', n)
  s:expect(#e.dilations == n, 'enc_dilations', 'a list of %d integers', n)
  local sum = 0
  for i = 1, n - 1 do
    s:expect(e.channels[i] == e.channels[1], 'enc_channels', 'equal numbers but for the last')
    s:expect(e.kernels[i] % 2 == 1, 'enc_kernel_sizes', 'odd numbers')
    if i > 1 then sum = sum + e.channels[i] end
  end
  s:expect(e.channels[n] == sum, 'enc_channels', 'a last number of %d, the sum of the others but '
    .. 'the first', sum)
  s:expect(e.kernels[n] == 1, 'enc_kernel_sizes', 'a last number of 1')
  s:expect(e.channels[1] % e.scale == 0 and e.scale >= 2, 'enc_res2net_scale',
    'a divisor of enc_channels (%d), 2 or more', e.channels[1])
  return e
end

--- The speaker encoder (Base models).
---@param cfg argent.Config
---@return argent.SpeakerEncoderConfig?
---@return string? err
function M.speaker(cfg)
  return json.checked(read_speaker, cfg)
end

return M
