-- The codec's encoder: a recording -> codes [F, G] (REFERENCE.md, "Codec encoder"), a Mimi encoder.
-- Causal strided convolutions and a transformer take the sound chunk by chunk, so that a long
-- recording needs little scratch; one more strided convolution and the split residual quantiser
-- then see all frames at once.

local Backbone = require 'argent.nn.backbone'
local check = require 'argent.check'
local codebook = require 'argent.qwen3_tts.codebook'
local layers = require 'argent.qwen3_tts.codec_layers'
local ops = require 'argent.ops'
local plan = require 'argent.plan'
local recording = require 'argent.qwen3_tts.recording'
local tensor = require 'argent.tensor'

---@class ag.CodecEncoder
---@field rate integer samples a second
---@field samples_per_frame integer
---@field chunk integer rows (of samples_per_row samples) that go through the convolutions at once:
---scratch grows with it, fewer rows read the weights more often; the codes do not depend on it
local CodecEncoder = {chunk = 32}
CodecEncoder.__index = CodecEncoder

-- x + conv2(elu(conv1(elu x))), elu, and a convolution that makes one row of `rate`.
local function load_block(backend, cfg, scope, at, channels, rate)
  local inner = channels / cfg.compress
  local unit = scope:scope(('layers.%d.block.'):format(at))
  return {
    conv1 = layers.conv(backend, unit:scope '1.conv.', inner, channels, cfg.residual_kernel),
    conv2 = layers.conv(backend, unit:scope '3.conv.', channels, inner, 1),
    down = layers.downsampling_conv(backend, scope:scope(('layers.%d.conv.'):format(at + 2)),
      2 * channels, channels, rate),
    channels = channels, inner = inner, rate = rate,
  }
end

-- Semantic and acoustic branch: a projection and codebooks each.
local function load_quantizer(backend, cfg, scope)
  local hidden, dim = cfg.transformer.hidden_size, cfg.codebook_dim
  local function branch(name, n)
    local s, scopes = scope:scope(name .. '_residual_vector_quantizer.'), {}
    for i = 1, n do scopes[i] = s:scope(('layers.%d.codebook.'):format(i - 1)) end
    -- Codebooks as wide as the transformer have no projection.
    local proj = dim ~= hidden and s:get('input_proj.weight', {dim, hidden, 1}, 'f32') or nil
    return {
      proj = proj and proj:view(dim, hidden),
      books = codebook.stack(backend, scopes, 'embed_sum', cfg.codebook_size, dim), count = n,
    }
  end
  return {branch('semantic', 1), branch('acoustic', cfg.groups - 1)}
end

--- Takes `encoder.*` of the speech tokenizer, all in f32.
---@param backend ag.Backend
---@param cfg argent.CodecEncoderConfig
---@param scope ag.Scope 'encoder.'
function CodecEncoder.load(backend, cfg, scope)
  local sea, hidden = scope:scope 'encoder.', cfg.transformer.hidden_size
  local self = setmetatable({
    backend = backend, cfg = cfg, rate = cfg.rate,
    samples_per_frame = cfg.samples_per_frame, blocks = {},
    samples_per_row = cfg.samples_per_frame / cfg.downsample,
    first = layers.conv(backend, sea:scope 'layers.0.conv.', cfg.filters, 1, cfg.kernel),
    transformer = Backbone.load(backend, cfg.transformer, scope:scope 'encoder_transformer.',
      'f32'),
    downsample = layers.pack(backend, scope:get('downsample.conv.weight',
      {hidden, hidden, 2 * cfg.downsample}, 'f32')),
    quantizer = load_quantizer(backend, cfg, scope:scope 'quantizer.'),
  }, CodecEncoder)
  local channels = cfg.filters
  for i, rate in ipairs(cfg.rates) do
    self.blocks[i] = load_block(backend, cfg, sea, 3 * i - 2, channels, rate)
    channels = 2 * channels
  end
  self.last = layers.conv(backend, sea:scope(('layers.%d.conv.'):format(3 * #cfg.rates + 2)),
    hidden, channels, cfg.last_kernel)
  return self
end

-- codes [F, G] of the latent y [F, hidden]. Both branches begin at y; in each, a codebook takes
-- what the ones before it left over.
function CodecEncoder:quantize(codes, y, cut)
  local F, at = #y, 0
  local rest = tensor.zeros(self.backend, {F, self.cfg.codebook_dim})
  local entry = tensor.zeros(self.backend, {F, self.cfg.codebook_dim})
  for _, branch in ipairs(self.quantizer) do
    if branch.proj then ops.linear(rest, y, branch.proj, nil) else ops.copy(rest, y) end
    for i = 1, branch.count do
      at = at + 1
      local book, ids = branch.books:select(1, i), codes:select(2, at)
      ops.nearest(ids, rest, book)
      if i < branch.count then
        ops.embedding(entry, book, ids, 0)
        ops.add(rest, rest, entry, -1)
      end
      if cut then cut() end
    end
  end
end

-- The ops from the transformer's rows to codes. Rows [before + n + after, hidden] have room for the
-- padding of the last convolution, which repeats the first row and the last.
function CodecEncoder:finish(codes, rows, n, tap, cut)
  local before = self.cfg.downsample
  for i = 1, before do ops.copy(rows:narrow(1, i, 1), rows:narrow(1, before + 1, 1)) end
  for i = before + n + 1, #rows do
    ops.copy(rows:narrow(1, i, 1), rows:narrow(1, before + n, 1))
  end
  local y = tensor.zeros(self.backend, {#codes, self.cfg.transformer.hidden_size})
  ops.conv1d(y, rows, self.downsample, nil, 1, before)
  if tap then tap('downsample', y) end
  self:quantize(codes, y, cut)
end

--- The codes of a recording.
---@param samples ag.Tensor|number[] f32 [n] at `rate`, in [-1, 1]
---@param opts? {tap: fun(name: string, x: ag.Tensor)?, pause: fun()?} tap sees the stages, [T,
---channels]: seanet and transformer (chunk by chunk), downsample; pause is called between pieces of
---the work and may yield
---@return ag.Tensor? codes i32 [ceil(n / samples_per_frame), G]
---@return string? err
---@return string? code 'value', 'capacity', 'memory', 'interrupted', 'format'
function CodecEncoder:encode(samples, opts)
  local x, err, code = recording.take(self.backend, samples, 1, self.rate, 'encode')
  if not x then return nil, err, code end
  local tap, pause, before = opts and opts.tap, opts and opts.pause, self.cfg.downsample
  local n = math.ceil(#x / self.samples_per_row)
  local F = math.ceil(n / before)
  local rows = tensor.zeros(self.backend, {before + F * before, self.cfg.transformer.hidden_size})
  local stream = require('argent.qwen3_tts.codec_encoder_stream').new(self, n)
  local ok
  ok, err, code = stream:push(rows:narrow(1, before + 1, n), x, tap, pause)
  stream:release()
  if not ok then return nil, err, code end
  local codes = tensor.zeros(self.backend, {F, self.cfg.groups}, 'i32')
  if tap then
    self:finish(codes, rows, n, tap)
    return codes
  end
  local p = plan.program(self.backend, function(call)
    self:finish(codes, rows, n, nil, pause and function() call(pause) end)
  end)
  ok, err, code = p:try()
  p:release()
  rows:release()
  recording.collect(pause)
  if ok then return codes end
  if code == 'value' then return recording.too_large 'encode' end
  return nil, err, code
end

check.methods(CodecEncoder, 'codec encoder')

return CodecEncoder
