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

-- The largest [rows, channels] any stage writes for a chunk, windows with their past included.
local function scratch_size(decoder, chunk)
  local cfg, rows, most = decoder.cfg, chunk, 0
  local function need(n) most = math.max(most, n) end
  need((rows + decoder.pre_conv.past) * cfg.codebook_dim)
  for _, u in ipairs(decoder.upsample) do
    rows = rows * u.up.step
    need((rows + u.convnext.dwconv.past) * u.convnext.channels)
  end
  need((rows + decoder.first.past) * cfg.latent_dim)
  need((rows + 1) * cfg.decoder_dim)
  for _, b in ipairs(decoder.blocks) do
    rows = rows * b.up.step
    need((rows + b.units[#b.units].conv1.past) * b.channels)
  end
  return most
end

--- Made by codec:stream.
function Stream.new(decoder, chunk)
  chunk = check.int(chunk or 8, 'stream: chunk', 1, 64, 1)
  local be, cfg = decoder.backend, decoder.cfg
  local size = scratch_size(decoder, chunk)
  local function flat(n) return tensor.zeros(be, {n}) end
  local rows = chunk
  for _, ratio in ipairs(cfg.upsampling_ratios) do rows = rows * ratio end
  local s = setmetatable({
    decoder = decoder, chunk = chunk, frames = 0, plans = {}, states = {},
    session = decoder.transformer:session {chunk = chunk},
    codes = tensor.zeros(be, {chunk, decoder.groups}, 'i32'),
    work = flat(size), x = flat(size), y = flat(size),
    hidden = flat(math.max(rows * 4 * cfg.latent_dim, chunk * cfg.transformer.hidden_size)),
    samples = flat(chunk * decoder.samples_per_frame),
  }, Stream)
  local function remember(conv) s.states[conv] = conv.past > 0 and conv:state(be) or false end
  remember(decoder.pre_conv)
  for _, u in ipairs(decoder.upsample) do
    remember(u.up)
    remember(u.convnext.dwconv)
  end
  remember(decoder.first)
  for _, b in ipairs(decoder.blocks) do
    remember(b.up)
    for _, u in ipairs(b.units) do
      remember(u.conv1)
      remember(u.conv2)
    end
  end
  remember(decoder.last)
  return s
end

--- Starts anew: what came before is zeros, as at the start of an utterance.
function Stream:reset()
  self.session:reset()
  for _, state in pairs(self.states) do
    if state then state:fill(0) end
  end
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
  for layer, state in pairs(self.states) do states[layer] = state and state:clone() end
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
  for layer, state in pairs(self.states) do
    if state then state:copy(saved.states[layer]) end
  end
  self.frames = saved.frames
  return true
end

local function shaped(flat, T, C)
  return flat:narrow(1, 1, T * C):view(T, C)
end

function Stream:conv(layer, out, T, fill)
  layer:forward(out, self.states[layer], self.work, T, fill)
end

-- Codes -> latent [n, codebook_dim], written where pre_conv reads it.
function Stream:dequantize(out, n)
  local q, codes = self.decoder.quantizer, self.codes:narrow(1, 1, n)
  local G = self.decoder.groups
  local sum, rest = shaped(self.x, n, q.dim), shaped(self.y, n, #q.rest_proj)
  ops.embedding(sum, q.first, codes:narrow(2, 1, 1), 0)
  ops.linear(out, sum, q.first_proj, nil)
  ops.embedding(sum, q.rest, codes:narrow(2, 2, G - 1), 0)
  ops.linear(rest, sum, q.rest_proj, nil)
  ops.add(out, out, rest, 1)
end

-- x + gamma * pwconv2(gelu(pwconv1(norm(dwconv(x))))), in place; `spare` is scratch of the size of
-- x.
function Stream:convnext(block, x, spare, T)
  local C = block.channels
  local d, h = shaped(spare, T, C), shaped(self.hidden, T, 4 * C)
  self:conv(block.dwconv, d, T, function(rows) ops.copy(rows, x) end)
  ops.layer_norm(d, d, block.norm.w, block.norm.b, self.decoder.norm_eps)
  block.pwconv1:forward(h, d)
  ops.gelu(h, h)
  block.pwconv2:forward(d, h)
  ops.mul(d, d, block.gamma)
  ops.add(x, x, d, 1)
end

-- x + conv2(snake(conv1(snake(x)))), in place.
function Stream:residual_unit(unit, x, spare, T, C)
  local y = shaped(spare, T, C)
  self:conv(unit.conv1, y, T, function(rows) unit.act1:forward(rows, x) end)
  unit.act2:forward(y, y)
  local z = shaped(self.work, T, C)
  ops.conv1d(z, y, unit.conv2.weight, unit.conv2.bias, 1, 1)
  ops.add(x, x, z, 1)
end

--- The ops of n frames, eager or recorded, from self.codes to self.samples, which are not clamped
--- yet: a clamp would hide an infinity. The signal goes back and forth between two buffers, as an
--- op does not write what it reads.
---@param tap fun(name: string, x: ag.Tensor)
function Stream:ops(n, tap)
  local d, cfg = self.decoder, self.decoder.cfg
  local L, H = cfg.latent_dim, cfg.transformer.hidden_size
  local here, there = self.x, self.y
  local x, T = shaped(there, n, L), n
  self:conv(d.pre_conv, x, n, function(rows)
    self:dequantize(rows, n)
    tap('latent', rows)
  end)
  tap('pre_conv', x)
  local h = shaped(self.hidden, n, H)
  d.input_proj:forward(h, x)
  d.transformer:step(self.session, h:view(1, n, H), h:view(1, n, H), nil, d.watchers.count > 0
    and function(name, t) tap('pre_transformer.' .. name, t) end or nil)
  x = shaped(here, n, L)
  d.output_proj:forward(x, h)
  tap('pre_transformer', x)
  for i, u in ipairs(d.upsample) do
    u.up:forward_op(shaped(there, T, u.up.step * L), x)
    here, there, T = there, here, T * u.up.step
    x = shaped(here, T, L)
    self:convnext(u.convnext, x, there, T)
    tap(('upsample.%d'):format(i - 1), x)
  end
  local C = cfg.decoder_dim
  local wide = shaped(there, T, C)
  self:conv(d.first, wide, T, function(rows) ops.copy(rows, x) end)
  here, there, x = there, here, wide
  tap('decoder.0', x)
  for i, b in ipairs(d.blocks) do
    wide = shaped(there, T, b.up.step * b.channels)
    self:conv(b.up, wide, T, function(rows) b.act:forward(rows, x) end)
    here, there, T, C = there, here, T * b.up.step, b.channels
    x = shaped(here, T, C)
    for _, unit in ipairs(b.units) do self:residual_unit(unit, x, there, T, C) end
    tap(('decoder.%d'):format(i), x)
  end
  local samples = self.samples:narrow(1, 1, T)
  self:conv(d.last, samples:view(T, 1), T, function(rows)
    d.last_act:forward(rows, x)
    tap(('decoder.%d'):format(#d.blocks + 1), rows)
  end)
  tap(('decoder.%d'):format(#d.blocks + 2), samples:view(T, 1))
end

local function no_tap() end

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
