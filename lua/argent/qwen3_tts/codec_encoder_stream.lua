-- One recording's way through the convolutions and the transformer of the codec's encoder: the past
-- of every layer that looks back, scratch for a chunk, and a plan for whole chunks.

local ops = require 'argent.ops'
local plan = require 'argent.plan'
local tensor = require 'argent.tensor'

---@class ag.CodecEncoderStream
local Stream = {}
Stream.__index = Stream

-- The largest [rows, channels] of a chunk, and the largest with its past.
local function scratch_size(encoder, samples)
  local T, signal = samples, samples * encoder.cfg.filters
  local window = samples + encoder.first.past
  for _, b in ipairs(encoder.blocks) do
    window = math.max(window, (T + math.max(b.conv1.past, b.rate)) * b.channels)
    T = T / b.rate
    signal = math.max(signal, T * 2 * b.channels)
    window = math.max(window, (T + encoder.last.past) * 2 * b.channels)
  end
  return math.max(signal, T * encoder.cfg.transformer.hidden_size), window
end

--- Made by encoder:encode, for a recording of `rows` rows.
function Stream.new(encoder, rows)
  local be, chunk = encoder.backend, math.min(encoder.chunk, rows)
  local samples = chunk * encoder.samples_per_row
  local signal, window = scratch_size(encoder, samples)
  local function flat(n) return tensor.zeros(be, {n}) end
  local s = setmetatable({
    encoder = encoder, chunk = chunk, states = {}, tensors = {},
    session = encoder.transformer:session {chunk = chunk},
    samples = flat(samples), x = flat(signal), y = flat(signal), work = flat(window),
    rows = tensor.zeros(be, {chunk, encoder.cfg.transformer.hidden_size}),
  }, Stream)
  local function remember(conv) s.states[conv] = conv:state(be) end
  remember(encoder.first)
  for _, b in ipairs(encoder.blocks) do
    remember(b.conv1)
    remember(b.down)
  end
  remember(encoder.last)
  return s
end

--- Gives the memory back now; the collector does not see how much it is.
function Stream:release()
  if self.plan then self.plan:release() end
  for _, name in ipairs {'samples', 'x', 'y', 'work', 'rows'} do self[name]:release() end
  self.session:release()
end

local function shaped(flat, T, C)
  return flat:narrow(1, 1, T * C):view(T, C)
end

function Stream:conv(layer, out, T, fill)
  layer:forward(out, self.states[layer], self.work, T, fill)
end

-- x + conv2(elu(conv1(elu x))), in place; spare is scratch of the size of x.
function Stream:residual(block, x, spare, T)
  local y = shaped(spare, T, block.inner)
  self:conv(block.conv1, y, T, function(rows) ops.elu(rows, x) end)
  ops.elu(y, y)
  local z = shaped(self.work, T, block.channels)
  ops.conv1d(z, y, block.conv2.weight, block.conv2.bias, 1, 1)
  ops.add(x, x, z, 1)
end

-- One row of every `rate` rows of elu x; zeros complete the last ones (at the recording's end).
function Stream:down(block, out, x, T)
  self:conv(block.down, out, #out * block.rate, function(rows)
    ops.elu(rows:narrow(1, 1, T), x)
    if #rows > T then ops.fill(rows:narrow(1, T + 1, #rows - T), 0) end
  end)
end

--- The ops of n samples, eager or recorded, from self.samples to self.rows. Only the recording's
--- last chunk may have an n that is not a whole number of rows.
function Stream:ops(n, tap, cut)
  local e, T, here, there = self.encoder, n, self.x, self.y
  local x = shaped(here, T, e.cfg.filters)
  self:conv(e.first, x, T, function(rows)
    ops.copy(rows, self.samples:narrow(1, 1, n):view(n, 1))
  end)
  for _, b in ipairs(e.blocks) do
    if cut then cut() end
    self:residual(b, x, there, T)
    if cut then cut() end
    local shorter = math.ceil(T / b.rate)
    local out = shaped(there, shorter, 2 * b.channels)
    self:down(b, out, x, T)
    x, T, here, there = out, shorter, there, here
  end
  local H = e.cfg.transformer.hidden_size
  local latent, rows = shaped(there, T, H), self.rows:narrow(1, 1, T)
  self:conv(e.last, latent, T, function(window) ops.elu(window, x) end)
  if tap then tap('seanet', latent) end
  if cut then cut() end
  e.transformer:step(self.session, rows:view(1, T, H), latent:view(1, T, H))
  if tap then tap('transformer', rows) end
end

-- Only the last chunk differs in size: one plan is kept.
function Stream:capture(n, pause)
  if self.plan then self.plan:release() end
  self.plan, self.planned = plan.program(self.encoder.backend, function(call)
    self:ops(n, nil, pause and function() call(pause) end)
  end), n
end

-- The n <= chunk samples in self.samples.
function Stream:run(n, tap, pause)
  local rows = math.ceil(n / self.encoder.samples_per_row)
  local ok, err, code = self.session:ensure(rows)
  if not ok then return nil, err, code end
  if tap then
    self:ops(n, tap)
  else
    if n ~= self.planned then self:capture(n, pause) end
    ok, err, code = self.plan:try()
    if not ok then return nil, err, code end
  end
  self.session:advanced(rows)
  return rows
end

--- A whole recording.
---@param out ag.Tensor [rows, hidden], written
---@param samples ag.Tensor f32 [n], rows = ceil(n / samples_per_row)
---@param tap? fun(name: string, x: ag.Tensor)
---@param pause? fun() called between pieces of a chunk
---@return boolean? ok
---@return string? err
---@return string? code
function Stream:push(out, samples, tap, pause)
  local total, most, at, done = #samples, #self.samples, 0, 0
  while at < total do
    local n = math.min(most, total - at)
    self.samples:narrow(1, 1, n):copy(samples:narrow(1, at + 1, n))
    local rows, err, code = self:run(n, tap, pause)
    if not rows then return nil, err, code end
    out:narrow(1, done + 1, rows):copy(self.rows:narrow(1, 1, rows))
    at, done = at + n, done + rows
  end
  return true
end

return Stream
