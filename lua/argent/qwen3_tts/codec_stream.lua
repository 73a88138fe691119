-- One stream through the codec decoder: the past of every layer that looks back, scratch for a
-- chunk, and a plan per chunk size.

local check = require 'argent.check'
local lib = require 'argent.ffi'
local ops = require 'argent.ops'
local plan = require 'argent.plan'
local tensor = require 'argent.tensor'

---@class ag.CodecStream
---@field frames integer decoded since the last reset
local Stream = {}
Stream.__index = Stream

-- Every convolution, in the order of the signal.
local function convolutions(d)
  local all = {d.pre_conv}
  for _, u in ipairs(d.upsample) do
    all[#all + 1] = u.up
    all[#all + 1] = u.convnext.dwconv
  end
  all[#all + 1] = d.first
  for _, b in ipairs(d.blocks) do
    all[#all + 1] = b.up
    for _, u in ipairs(b.units) do all[#all + 1] = u.conv1 end
  end
  all[#all + 1] = d.last
  return all
end

-- The most elements that a convolution reads or makes of a chunk, and the most that it looks back
-- on.
local function sizes(decoder, chunk)
  local rows, most, past = chunk, chunk * decoder.cfg.latent_dim, 0
  for _, conv in ipairs(convolutions(decoder)) do
    most = math.max(most, rows * conv.channels, rows * conv.step * conv.outs)
    past = math.max(past, conv.past * conv.channels)
    rows = rows * conv.step
  end
  return most, past
end

--- Made by codec:stream.
function Stream.new(decoder, chunk)
  chunk = check.int(chunk or 8, 'stream: chunk', 1, 64, 1)
  local be, cfg = decoder.backend, decoder.cfg
  local most, past = sizes(decoder, chunk)
  local function flat(n) return tensor.zeros(be, {n}) end
  local rows = chunk
  for _, ratio in ipairs(cfg.upsampling_ratios) do rows = rows * ratio end
  local s = setmetatable({
    decoder = decoder, chunk = chunk, frames = 0, plans = {}, states = {},
    session = decoder.transformer:session {chunk = chunk},
    codes = tensor.zeros(be, {chunk, decoder.groups}, 'i32'),
    past = past, work = flat(past + most), x = flat(past + most), y = flat(past + most),
    hidden = flat(math.max(rows * 4 * cfg.latent_dim, chunk * cfg.transformer.hidden_size)),
    last_x = flat(past + decoder.samples_per_frame * decoder.last.channels),
    samples = flat(chunk * decoder.samples_per_frame),
  }, Stream)
  for _, conv in ipairs(convolutions(decoder)) do
    if conv.past > 0 then s.states[conv] = conv:state(be) end
  end
  return s
end

--- Starts anew: what came before is zeros, as at the start of an utterance.
function Stream:reset()
  self.session:reset()
  for _, state in pairs(self.states) do state:fill(0) end
  self.frames = 0
end

--- What the stream remembers, to be restored into any stream of this decoder and chunk: then it
--- goes on as if it had just decoded the same frames.
---@return table? saved
---@return string? err
---@return string? code 'memory'
function Stream:save()
  local session, err, code = self.session:fork()
  if not session then return nil, err, code end
  local states = {}
  for layer, state in pairs(self.states) do states[layer] = state:clone() end
  return {session = session, states = states, frames = self.frames}
end

--- Goes back to what was saved.
---@param saved table of :save()
---@return boolean? ok
---@return string? err
---@return string? code 'memory'
function Stream:restore(saved)
  check.type(check.type(saved, 'restore', 'table').states, 'restore: states', 'table')
  local ok, err, code = self.session:copy(saved.session)
  if not ok then return nil, err, code end
  for layer, state in pairs(self.states) do state:copy(saved.states[layer]) end
  self.frames = saved.frames
  return true
end

local function shaped(flat, T, C)
  return flat:narrow(1, 1, T * C):view(T, C)
end

-- The T rows of a signal in x or y; before them is room for what a convolution looks back on.
function Stream:rows(flat, T, C)
  return flat:narrow(1, self.past + 1, T * C):view(T, C)
end

-- A convolution of the T rows of the signal in `flat`, or of their snake, with the ones before.
function Stream:conv(layer, out, flat, T, act, accumulate)
  local past, C, state = layer.past, layer.channels, self.states[layer]
  local window = flat:narrow(1, self.past + 1 - past * C, (past + T) * C):view(past + T, C)
  if past > 0 then ops.copy(window:narrow(1, 1, past), state) end
  layer:apply(out, window, self.work, act, accumulate)
  if past > 0 then ops.copy(state, window:narrow(1, T + 1, past)) end
end

-- Codes -> latent [n, codebook_dim].
function Stream:dequantize(out, n)
  local q, codes = self.decoder.quantizer, self.codes:narrow(1, 1, n)
  local G = self.decoder.groups
  local sum, rest = shaped(self.hidden, n, q.dim), shaped(self.work, n, #q.rest_proj)
  ops.embedding(sum, q.first, codes:narrow(2, 1, 1), 0)
  ops.linear(out, sum, q.first_proj, nil)
  ops.embedding(sum, q.rest, codes:narrow(2, 2, G - 1), 0)
  ops.linear(rest, sum, q.rest_proj, nil)
  ops.add(out, out, rest, 1)
end

-- x + gamma * pwconv2(gelu(pwconv1(norm(dwconv(x))))), in place; `spare` is scratch of the size of
-- x.
function Stream:convnext(block, flat, spare, T)
  local C = block.channels
  local x, d, h = self:rows(flat, T, C), self:rows(spare, T, C), shaped(self.hidden, T, 4 * C)
  self:conv(block.dwconv, d, flat, T)
  ops.layer_norm(d, d, block.norm.w, block.norm.b, self.decoder.norm_eps)
  block.pwconv1:apply(h, d, self.work)
  ops.gelu(h, h)
  block.pwconv2:apply(d, h, self.work)
  ops.mul(d, d, block.gamma)
  ops.add(x, x, d, 1)
end

-- x + conv2(snake(conv1(snake(x)))), in place.
function Stream:residual_unit(unit, flat, spare, T, C)
  self:conv(unit.conv1, self:rows(spare, T, C), flat, T, unit.act1)
  self:conv(unit.conv2, self:rows(flat, T, C), spare, T, unit.act2, true)
end

-- The signal `x` of the T rows in `from`, which `spare` may be; returns how many rows it has.
function Stream:block(b, x, spare, from, T)
  local C, rows = b.channels, T * b.up.step
  self:conv(b.up, self:rows(x, rows, C), from, T, b.act)
  for _, unit in ipairs(b.units) do self:residual_unit(unit, x, spare, rows, C) end
  return rows
end

-- The last block and what follows it, of T rows in `from`, to the samples that begin at `part` of
-- all.
function Stream:last_block(from, x, spare, T, part, tap)
  local d = self.decoder
  local n, C = #d.blocks, d.last.channels
  local rows = self:block(d.blocks[n], x, spare, from, T)
  tap(('decoder.%d'):format(n), self:rows(x, rows, C))
  local active = self:rows(spare, rows, C)
  d.last_act:forward(active, self:rows(x, rows, C))
  tap(('decoder.%d'):format(n + 1), active)
  local samples = self.samples:narrow(1, 1 + part, rows):view(rows, 1)
  self:conv(d.last, samples, spare, rows)
  tap(('decoder.%d'):format(n + 2), samples)
end

local function no_tap() end

--- The ops of n frames, eager or recorded, from self.codes to self.samples, which are not clamped
--- yet: a clamp would hide an infinity. The signal goes back and forth between two buffers, as an
--- op does not write what it reads.
---@param tap fun(name: string, x: ag.Tensor)
function Stream:ops(n, tap)
  local d, cfg = self.decoder, self.decoder.cfg
  local L, H = cfg.latent_dim, cfg.transformer.hidden_size
  local here, there, T = self.x, self.y, n
  local latent = self:rows(here, n, cfg.codebook_dim)
  self:dequantize(latent, n)
  tap('latent', latent)
  local x = self:rows(there, n, L)
  self:conv(d.pre_conv, x, here, n)
  tap('pre_conv', x)
  local h = shaped(self.hidden, n, H)
  d.input_proj:apply(h, x)
  d.transformer:step(self.session, h:view(1, n, H), h:view(1, n, H), nil, d.watchers.count > 0
    and function(name, t) tap('pre_transformer.' .. name, t) end or nil)
  x = self:rows(here, n, L)
  d.output_proj:apply(x, h)
  tap('pre_transformer', x)
  for i, u in ipairs(d.upsample) do
    self:conv(u.up, self:rows(there, T * u.up.step, L), here, T)
    here, there, T = there, here, T * u.up.step
    self:convnext(u.convnext, here, there, T)
    tap(('upsample.%d'):format(i - 1), self:rows(here, T, L))
  end
  self:conv(d.first, self:rows(there, T, cfg.decoder_dim), here, T)
  here, there = there, here
  tap('decoder.0', self:rows(here, T, cfg.decoder_dim))
  for i = 1, #d.blocks - 1 do
    T = self:block(d.blocks[i], there, here, here, T)
    here, there = there, here
    tap(('decoder.%d'):format(i), self:rows(here, T, d.blocks[i].channels))
  end
  -- The last block is wide in time: what a frame has there stays in the cache if the frames go one
  -- by one, and so they do unless somebody looks at the chunk.
  local pieces = tap == no_tap and n or 1
  local last_x, spare = self.last_x, there
  if pieces == 1 then last_x, spare = there, here end
  local C = d.blocks[#d.blocks].up.channels
  for p = 1, pieces do
    local from = here:narrow(1, 1 + (p - 1) * T / pieces * C, self.past + T / pieces * C)
    self:last_block(from, last_x, spare, T / pieces, (p - 1) * d.samples_per_frame, tap)
  end
end

-- Decodes the n <= chunk frames that lie in self.codes.
function Stream:run(n, tap)
  local ok, err, code = self.session:ensure(n)
  if not ok then return nil, err, code end
  local seen = self.decoder.watchers:tap(function() return self.frames end)
  if tap or seen then
    self:ops(n, function(name, x)
      if tap and not name:find '^pre_transformer%.' then tap(name, x) end
      if seen then seen(name, x) end
    end)
  else
    local be = self.decoder.backend
    self.plans[n] = self.plans[n] or plan.capture(be, function() self:ops(n, no_tap) end)
    ok, err, code = self.plans[n]:try()
    if not ok then return nil, err, code end
  end
  self.session:advanced(n)
  self.frames = self.frames + n
  return true
end

--- Decodes the next frames of the stream.
---@param codes ag.Tensor i32 [F, G]
---@param opts? {tap: fun(name: string, x: ag.Tensor)?}
---@return ag.Tensor? samples f32 [F * samples_per_frame], a new tensor
---@return string? err
---@return string? code 'value' for codes outside their tables, or when the sound is not finite;
---'interrupted'
function Stream:push(codes, opts)
  if not tensor.is(codes) then check.type(codes, 'push: codes', 'tensor') end
  opts = check.options(opts, 'push', {'tap'})
  local ok, err, code = self.decoder:check_codes(codes)
  if not ok then return nil, err, code end
  local F, per = #codes, self.decoder.samples_per_frame
  local out = tensor.zeros(self.decoder.backend, {F * per})
  local at = 0
  while at < F do
    local n = math.min(self.chunk, F - at)
    self.codes:narrow(1, 1, n):copy(codes:narrow(1, at + 1, n))
    ok, err, code = self:run(n, opts.tap)
    if not ok then return nil, err, code end
    local raw = self.samples:narrow(1, 1, n * per)
    if lib.ag_tensor_count_nonfinite(raw) > 0 then
      local fact = 'the codec made NaN or infinite samples of frames %d to %d'
      return nil, fact:format(self.frames - n, self.frames - 1), 'value'
    end
    ops.clamp(out:narrow(1, at * per + 1, n * per), raw, -1, 1)
    at = at + n
  end
  return out
end

check.methods(Stream, 'codec stream')

return Stream
