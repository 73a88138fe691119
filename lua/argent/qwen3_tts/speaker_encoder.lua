-- The speaker encoder: a recording -> one vector that says who speaks (REFERENCE.md, "Speaker
-- encoder"), an ECAPA-TDNN: convolutions over the mel spectrogram, which is mirrored at its ends,
-- gates from the mean over time, and a pooling that weights each moment. Every value depends on the
-- whole recording, so it is taken in at once, and few tensors of its length are kept.

local Linear = require 'argent.nn.linear'
local check = require 'argent.check'
local layers = require 'argent.qwen3_tts.codec_layers'
local lib = require 'argent.ffi'
local mel = require 'argent.audio.mel'
local ops = require 'argent.ops'
local plan = require 'argent.plan'
local recording = require 'argent.qwen3_tts.recording'
local tensor = require 'argent.tensor'

local FLOOR = 1e-12       -- of a variance
local ROWS = 256          -- rows that are taken at once where a wide result replaces its input

---@class ag.SpeakerEncoder
---@field rate integer samples a second
---@field least integer samples that a recording must have
local SpeakerEncoder = {}
SpeakerEncoder.__index = SpeakerEncoder

local function nothing() end

local function relu(x)
  ops.clamp(x, x, 0, math.huge)
end

-- A convolution of one tap, of the files' shape [outs, ins, 1].
local function pointwise(scope, outs, ins)
  return Linear.new {weight = scope:get('weight', {outs, ins, 1}, 'f32'):view(outs, ins),
    bias = scope:get('bias', {outs}, 'f32')}
end

local function conv(backend, scope, outs, ins, taps, dilation)
  return {
    weight = layers.pack(backend, scope:get('weight', {outs, ins, taps}, 'f32')),
    bias = scope:get('bias', {outs}, 'f32'), ins = ins, dilation = dilation,
    reach = dilation * (taps - 1) / 2,
  }
end

-- A Res2Net block with its gate.
local function load_block(backend, cfg, scope, i)
  local C, group = cfg.channels[1], cfg.channels[1] / cfg.scale
  local block = {
    tdnn1 = pointwise(scope:scope 'tdnn1.conv.', C, C),
    tdnn2 = pointwise(scope:scope 'tdnn2.conv.', C, C),
    squeeze = pointwise(scope:scope 'se_block.conv1.', cfg.se_channels, C),
    excite = pointwise(scope:scope 'se_block.conv2.', C, cfg.se_channels),
    group = group, convs = {},
  }
  for g = 1, cfg.scale - 1 do
    block.convs[g] = conv(backend, scope:scope(('res2net_block.blocks.%d.conv.'):format(g - 1)),
      group, group, cfg.kernels[i], cfg.dilations[i])
  end
  return block
end

--- Takes `speaker_encoder.*`, in f32.
---@param backend ag.Backend
---@param cfg argent.SpeakerEncoderConfig
---@param scope ag.Scope 'speaker_encoder.'
function SpeakerEncoder.load(backend, cfg, scope)
  local C, n = cfg.channels[1], #cfg.channels
  local wide = cfg.channels[n]
  local self = setmetatable({
    backend = backend, cfg = cfg, rate = cfg.rate, blocks = {},
    first = conv(backend, scope:scope 'blocks.0.conv.', C, cfg.mel_dim, cfg.kernels[1],
      cfg.dilations[1]),
    mfa = pointwise(scope:scope 'mfa.conv.', wide, wide),
    attend = pointwise(scope:scope 'asp.tdnn.conv.', cfg.attention_channels, 3 * wide),
    weigh = pointwise(scope:scope 'asp.conv.', wide, cfg.attention_channels),
    fc = pointwise(scope:scope 'fc.', cfg.dim, 2 * wide),
  }, SpeakerEncoder)
  local reach = self.first.reach
  for i = 2, n - 1 do
    local block = load_block(backend, cfg, scope:scope(('blocks.%d.'):format(i - 1)), i)
    self.blocks[i - 1] = block
    reach = math.max(reach, block.convs[1].reach)
  end
  -- A mirrored end takes `reach` rows beside the outermost one.
  self.least = (reach + 1) * mel.HOP
  return self
end

-- For each row of [reach + T + reach, C] the row of [T, C] that lies there when both ends mirror.
local function mirror(backend, T, reach)
  local ids = {}
  for t = -reach, T + reach - 1 do
    ids[#ids + 1] = t < 0 and -t or t >= T and 2 * (T - 1) - t or t
  end
  return tensor.from(backend, ids, 'i32')
end

-- out [T, outs] = relu(conv(x)), both ends mirrored; out may be x.
local function mirrored_conv(layer, out, x, ws)
  local ids = ws.mirrors[layer.reach]
  local window = ws.window:narrow(1, 1, #ids * layer.ins):view(#ids, layer.ins)
  ops.embedding(window, x, ids, 0)
  ops.conv1d(out, window, layer.weight, layer.bias, layer.dilation, 1)
  relu(out)
end

-- out [T, C] = x + gate * tdnn2(res2net(tdnn1 x)).
local function gated_block(block, out, x, ws)
  local t, g = ws.hidden, block.group
  block.tdnn1:forward(t, x)
  relu(t)
  ws.cut()
  -- In place: each group of channels but the first takes in the result of the one before.
  for i, layer in ipairs(block.convs) do
    local part = t:narrow(2, i * g + 1, g)
    if i > 1 then ops.add(part, part, t:narrow(2, (i - 1) * g + 1, g), 1) end
    mirrored_conv(layer, part, part, ws)
    ws.cut()
  end
  block.tdnn2:forward(out, t)
  relu(out)
  ws.cut()
  ops.pool(ws.gate, out, nil, 0)
  block.squeeze:forward(ws.squeezed, ws.gate)
  relu(ws.squeezed)
  block.excite:forward(ws.gate, ws.squeezed)
  ops.sigmoid(ws.gate, ws.gate)
  ops.mul(out, out, ws.gate:view(-1))
  ops.add(out, out, x, 1)
end

-- y = relu(mfa(y)), some rows at a time.
function SpeakerEncoder:aggregate(y, ws)
  for first = 1, #y, ROWS do
    local n = math.min(ROWS, #y - first + 1)
    local rows, out = y:narrow(1, first, n), ws.wide:narrow(1, 1, n)
    self.mfa:forward(out, rows)
    ops.clamp(rows, out, 0, math.huge)
    ws.cut()
  end
end

-- out [2, C] = mean and deviation of y [T, C], each moment weighted. The attention sees y beside
-- the plain mean and deviation, which are the same for every row: their part is a bias.
function SpeakerEncoder:pool(out, y, ws)
  local C = y.shape[2]
  ops.pool(out, y, nil, FLOOR)
  local w = self.attend.weight
  ops.linear(ws.bias, out:view(1, 2 * C), w:narrow(2, C + 1, 2 * C), self.attend.bias)
  ops.linear(ws.attention, y, w:narrow(2, 1, C), ws.bias:view(-1))
  relu(ws.attention)
  ops.tanh(ws.attention, ws.attention)
  ws.cut()
  -- Channels are independent from here on: as many at a time as the scratch is wide.
  local most = ws.hidden.shape[2]
  for first = 1, C, most do
    local n = math.min(most, C - first + 1)
    local logits = ws.hidden:narrow(2, 1, n)
    ops.linear(logits, ws.attention, self.weigh.weight:narrow(1, first, n),
      self.weigh.bias:narrow(1, first, n))
    ops.pool(out:narrow(2, first, n), y:narrow(2, first, n), logits, FLOOR)
    ws.cut()
  end
end

-- Scratch for T rows.
function SpeakerEncoder:scratch(T)
  local cfg, be = self.cfg, self.backend
  local C, wide = cfg.channels[1], cfg.channels[#cfg.channels]
  local function rows(n) return tensor.zeros(be, {T, n}) end
  local window, mirrors = 0, {}
  local function reserve(layer)
    local reach = layer.reach
    window = math.max(window, (T + 2 * reach) * layer.ins)
    mirrors[reach] = mirrors[reach] or mirror(be, T, reach)
  end
  reserve(self.first)
  for _, b in ipairs(self.blocks) do reserve(b.convs[1]) end
  return {
    first = rows(C), hidden = rows(C), y = rows(wide), attention = rows(cfg.attention_channels),
    wide = tensor.zeros(be, {math.min(T, ROWS), wide}), window = tensor.zeros(be, {window}),
    gate = tensor.zeros(be, {1, C}), squeezed = tensor.zeros(be, {1, cfg.se_channels}),
    bias = tensor.zeros(be, {1, cfg.attention_channels}), pooled = tensor.zeros(be, {2, wide}),
    mirrors = mirrors, cut = nothing,
  }
end

--- The ops from a spectrogram to the vector, eager or recorded.
function SpeakerEncoder:ops(out, spectrogram, ws, tap)
  local x, C = ws.first, self.cfg.channels[1]
  mirrored_conv(self.first, x, spectrogram, ws)
  tap('block.0', x)
  for i, block in ipairs(self.blocks) do
    local y = ws.y:narrow(2, (i - 1) * C + 1, C)
    gated_block(block, y, x, ws)
    tap('block.' .. i, y)
    x = y
  end
  self:aggregate(ws.y, ws)
  tap('mfa', ws.y)
  self:pool(ws.pooled, ws.y, ws)
  tap('pool', ws.pooled)
  self.fc:forward(out:view(1, -1), ws.pooled:view(1, -1))
end

--- The vector of a mel spectrogram (argent.audio.mel).
---@param spectrogram ag.Tensor f32 [T, 128]
---@param opts? {tap: fun(name: string, x: ag.Tensor)?, pause: fun()?} tap sees the stages, [T,
---channels]: block.0 and so on, mfa, pool [2, channels]; pause is called between pieces of the work
---and may yield
---@return ag.Tensor? vector f32 [dim]
---@return string? err
---@return string? code 'value', 'interrupted', 'format'
function SpeakerEncoder:vector(spectrogram, opts)
  local out, ws = tensor.zeros(self.backend, {self.cfg.dim}), self:scratch(#spectrogram)
  local tap, pause = opts and opts.tap, opts and opts.pause
  spectrogram = recording.on(self.backend, spectrogram)
  if tap then
    self:ops(out, spectrogram, ws, tap)
  else
    local p = plan.program(self.backend, function(call)
      if pause then ws.cut = function() call(pause) end end
      self:ops(out, spectrogram, ws, nothing)
    end)
    local ok, err, code = p:try()
    p:release()
    if not ok then return nil, err, code end
  end
  for _, x in pairs(ws) do
    if tensor.is(x) then x:release() end
  end
  recording.collect(pause)
  if lib.ag_tensor_count_nonfinite(out) > 0 then
    return recording.too_large 'embed'
  end
  return out
end

--- The speaker of a recording.
---@param samples ag.Tensor|number[] f32 [n] at `rate`, in [-1, 1]
---@param opts? {tap: fun(name: string, x: ag.Tensor)?, pause: fun()?} as for vector; tap sees `mel`
---too
---@return ag.Tensor? vector f32 [dim]
---@return string? err
---@return string? code 'value', 'interrupted', 'format'
function SpeakerEncoder:embed(samples, opts)
  local x, err, code = recording.take(self.backend, samples, self.least, self.rate, 'embed')
  if not x then return nil, err, code end
  local spectrogram
  spectrogram, err, code = mel.spectrogram(x, opts and opts.pause)
  if not spectrogram then return nil, err, code end
  if opts and opts.tap then opts.tap('mel', spectrogram) end
  return self:vector(spectrogram, opts)
end

check.methods(SpeakerEncoder, 'speaker encoder')

return SpeakerEncoder
