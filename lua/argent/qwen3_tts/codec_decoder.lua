-- The codec decoder: codes [F, G] -> samples (REFERENCE.md, "Codec decoder"). Split residual
-- codebooks, a causal convolution, a sliding-window transformer, upsampling by transposed
-- convolutions and ConvNeXt blocks, then the waveform decoder of snakes and dilated convolutions.
-- Every layer looks back only, so codes may come in chunks of any size: a stream gives exactly what
-- one pass gives.

local Backbone = require 'argent.nn.backbone'
local Watch = require 'argent.nn.watch'
local check = require 'argent.check'
local codebook = require 'argent.qwen3_tts.codebook'
local layers = require 'argent.qwen3_tts.codec_layers'
local tensor = require 'argent.tensor'

local NORM_EPS = 1e-6     -- of the ConvNeXt LayerNorm; not in the config
local DILATIONS = {1, 3, 9}

---@class ag.CodecDecoder
---@field model_type string of a codec that was opened alone, see argent.models
---@field mode string how it computes, one of MODES
---@field weights ag.Weights
---@field backend ag.Backend
---@field rate integer samples a second
---@field samples_per_frame integer
---@field open_encoder fun(): ag.CodecEncoder?, string?, string? set by ag.qwen3_tts
local CodecDecoder = {
  model_type = 'qwen3_tts_tokenizer_12hz',
  --- f32: each product as it is defined, in f32. fast: as fast as the instruction set can, near
  --- f32. bf16: so, with weights that are rounded to bf16, of which AMX reads half the bytes and
  --- multiplies two thirds.
  MODES = {'f32', 'fast', 'bf16'},
  --- The mode that goes with a dtype of the linear weights.
  mode_of = function(dtype)
    return ({f32 = 'f32', q8 = 'bf16', q4 = 'bf16'})[dtype or 'bf16'] or 'fast'
  end,
}
CodecDecoder.__index = CodecDecoder

local function load_quantizer(backend, cfg, scope)
  local G, dim = cfg.num_quantizers, cfg.codebook_dim / 2
  local function books(part, n)
    local scopes = {}
    for i = 1, n do scopes[i] = scope:scope(('%s.vq.layers.%d._codebook.'):format(part, i - 1)) end
    return codebook.stack(backend, scopes, 'embedding_sum', cfg.codebook_size, dim)
  end
  local function project(part)
    local outs = cfg.codebook_dim
    return scope:get(part .. '.output_proj.weight', {outs, dim, 1}, 'f32'):view(outs, dim)
  end
  return {
    first = books('rvq_first', 1), rest = books('rvq_rest', G - 1),
    first_proj = project 'rvq_first', rest_proj = project 'rvq_rest', dim = dim,
  }
end

local function load_convnext(scope, C, fast)
  local hidden = 4 * C
  return {
    dwconv = layers.depthwise(scope:scope('dwconv.conv.'), C, 7),
    norm = {w = scope:get('norm.weight', {C}, 'f32'), b = scope:get('norm.bias', {C}, 'f32')},
    pwconv1 = fast(layers.linear(scope:scope('pwconv1.'), hidden, C)),
    pwconv2 = fast(layers.linear(scope:scope('pwconv2.'), C, hidden)),
    gamma = scope:get('gamma', {C}, 'f32'), channels = C,
  }
end

-- rows: of a frame, behind the block's upsampling.
local function load_wave_block(backend, scope, channels, rate, rows, fast)
  local outs, units = channels / 2, {}
  for i, dilation in ipairs(DILATIONS) do
    local s = scope:scope(('block.%d.'):format(i + 1))
    units[i] = {
      act1 = layers.snake(backend, s:scope('act1.'), outs),
      conv1 = fast(layers.conv(backend, s:scope('conv1.conv.'), outs, outs, 7, dilation), rows),
      act2 = layers.snake(backend, s:scope('act2.'), outs),
      conv2 = fast(layers.conv(backend, s:scope('conv2.conv.'), outs, outs, 1)),
    }
  end
  return {
    act = layers.snake(backend, scope:scope('block.0.'), channels),
    up = fast(layers.upsampling_conv(backend, scope:scope('block.1.conv.'), outs, channels, rate)),
    units = units, channels = outs,
  }
end

local function as_it_is(conv) return conv end

--- Takes `decoder.*` of the speech tokenizer.
---@param backend ag.Backend
---@param cfg table cfg.codec of qwen3_tts.config
---@param scope ag.Scope 'decoder.'
---@param mode string one of MODES; f32 where the backend has no other
function CodecDecoder.load(backend, cfg, scope, mode)
  if not layers.packs(backend) then mode = 'f32' end
  local rounded = mode == 'bf16' and 'bf16' or nil
  local fast = mode == 'f32' and as_it_is
    or function(conv, period) return layers.fast(conv, period, rounded) end
  local L, H, D = cfg.latent_dim, cfg.transformer.hidden_size, cfg.decoder_dim
  local pre, wave = scope:scope('pre_transformer.'), scope:scope('decoder.')
  local rows = 1 -- of a frame
  for _, ratio in ipairs(cfg.upsampling_ratios) do rows = rows * ratio end
  local self = setmetatable({
    backend = backend, cfg = cfg, mode = mode, rate = cfg.sample_rate,
    samples_per_frame = cfg.samples_per_frame, groups = cfg.num_quantizers,
    quantizer = load_quantizer(backend, cfg, scope:scope('quantizer.')),
    pre_conv = fast(layers.conv(backend, scope:scope('pre_conv.conv.'), L, cfg.codebook_dim, 3)),
    input_proj = fast(layers.linear(pre:scope('input_proj.'), H, L)),
    transformer = Backbone.load(backend, cfg.transformer, pre, 'f32'),
    output_proj = fast(layers.linear(pre:scope('output_proj.'), L, H)),
    upsample = {}, blocks = {},
    first = fast(layers.conv(backend, wave:scope('0.conv.'), D, L, 7), rows),
  }, CodecDecoder)
  if mode ~= 'f32' then layers.fast_linears(self.transformer, pre, rounded) end
  for i, ratio in ipairs(cfg.upsampling_ratios) do
    local s = scope:scope(('upsample.%d.'):format(i - 1))
    self.upsample[i] = {
      up = fast(layers.upsampling_linear(backend, s:scope('0.conv.'), L, L, ratio)),
      convnext = load_convnext(s:scope('1.'), L, fast),
    }
  end
  local n = #cfg.upsample_rates
  for i, rate in ipairs(cfg.upsample_rates) do
    rows = rows * rate
    self.blocks[i] = load_wave_block(backend, wave:scope(i .. '.'), D / 2 ^ (i - 1), rate, rows,
      fast)
  end
  local C = D / 2 ^ n
  self.watchers = Watch.new('codec', function() return self:watch_names() end)
  self.last_act = layers.snake(backend, wave:scope((n + 1) .. '.'), C)
  self.last = layers.conv(backend, wave:scope((n + 2) .. '.conv.'), 1, C, 7)
  return self
end

--- Everything that can be watched: the stages by their names in the checkpoint, and what the
--- transformer has (`pre_transformer.layers.0.attn.probs`).
---@return string[]
function CodecDecoder:watch_names()
  local names = {'latent', 'pre_conv'}
  for _, name in ipairs(self.transformer:watch_names()) do
    names[#names + 1] = 'pre_transformer.' .. name
  end
  names[#names + 1] = 'pre_transformer'
  for i = 0, #self.upsample - 1 do names[#names + 1] = 'upsample.' .. i end
  for i = 0, #self.blocks + 2 do names[#names + 1] = 'decoder.' .. i end
  return names
end

--- Sees a stage [T, channels] by name, as ag.Talker.watch does; info.pos is the first frame of the
--- chunk, counted from 0.
---@param name string one of watch_names()
---@param fn fun(x: ag.Tensor, info: {name: string, pos: integer})
---@return ag.WatchHandle handle with :stop()
function CodecDecoder:watch(name, fn)
  local handle = self.watchers:add(name, fn)
  return handle
end

--- Refuses codes that are not whole frames of this codec.
---@param codes ag.Tensor i32 [F, G]
---@return boolean? ok
---@return string? err
---@return string? code 'value'
function CodecDecoder:check_codes(codes)
  if not tensor.is(codes) then check.type(codes, 'codes', 'tensor') end
  local shape = codes.shape
  if codes.dtype ~= 'i32' or #shape ~= 2 or shape[2] ~= self.groups then
    return nil, ('codes: expected i32 [frames, %d], got %s [%s]'):format(self.groups, codes.dtype,
      table.concat(shape, ', ')), 'value'
  end
  local host, size = codes:host(), self.cfg.codebook_size
  for i = 0, shape[1] * shape[2] - 1 do
    if host[i] < 0 or host[i] >= size then
      return nil, ('codes: frame %d, group %d is %d, outside 0 .. %d'):format(
        math.floor(i / shape[2]), i % shape[2], host[i], size - 1), 'value'
    end
  end
  return true
end

--- A decoder of one stream of codes.
---@param chunk? integer most frames that one pass takes (default 8): more is faster and needs more
---scratch
---@return ag.CodecStream
function CodecDecoder:stream(chunk)
  local stream = require('argent.qwen3_tts.codec_stream').new(self, chunk)
  return stream
end

--- Decodes whole utterances.
---@param codes ag.Tensor|integer[][] i32 [F, G], or a table of frames
---@param opts? {tap: fun(name: string, x: ag.Tensor)?} tap sees every stage of each chunk, [T,
---channels], named as in the checkpoint
---@return ag.Tensor? samples f32 [F * samples_per_frame] in [-1, 1]
---@return string? err
---@return string? code 'value'
function CodecDecoder:decode(codes, opts)
  opts = check.options(opts, 'decode', {'tap'})
  if not tensor.is(codes) then
    check.type(codes, 'decode: codes', 'table')
    codes = tensor.from(self.backend, codes, 'i32')
  end
  if #codes == 0 then return tensor.zeros(self.backend, {0}) end
  self.pooled = self.pooled or self:stream()
  local stream = self.pooled
  stream:reset()
  return stream:push(codes, opts)
end

--- The codes of a recording, for the prompt of a cloned voice or to be decoded again. The encoder
--- is loaded when it is first asked for.
---@param samples ag.Tensor|number[] f32 [n] at 24 kHz, in [-1, 1]
---@param opts? {tap: fun(name: string, x: ag.Tensor)?, pause: fun()?} tap sees the stages, pause is
---called between pieces of the work, see ag.CodecEncoder
---@return ag.Tensor? codes i32 [ceil(n / samples_per_frame), G]
---@return string? err
---@return string? code 'value' (too short, NaN), 'unsupported', 'format', 'memory', 'interrupted'
function CodecDecoder:encode(samples, opts)
  opts = check.options(opts, 'encode', {'tap', 'pause'})
  local encoder, err, code = self.open_encoder()
  if not encoder then return nil, err, code end
  return encoder:encode(samples, opts) -- a tail call: what it refuses is the caller's line
end

CodecDecoder.norm_eps = NORM_EPS

check.methods(CodecDecoder, 'codec')

return CodecDecoder
