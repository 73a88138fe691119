-- The causal layers of the codec, time first: x [T, C]. A layer that looks back keeps the rows it
-- still needs in a small state tensor, so that a stream of chunks is exactly the one pass over all
-- of them. `stage(name, ...)` is the decoder's business; here are the parts.

local ops = require 'argent.ops'
local room = require 'argent.room'
local tensor = require 'argent.tensor'
local weights = require 'argent.weights'

local M = {}

local LARGEST = 3.4028234663852886e38 -- of f32
local TOO_LARGE = 'e^%g is infinite'

--- [a, b, c] -> [a, c, b], packed: the channels of one tap lie together, as the kernels walk them.
function M.pack(backend, w)
  local s = w.shape
  local out = tensor.zeros(backend, {s[1], s[3], s[2]})
  ops.copy(out, w:transpose(2, 3))
  return out
end

---@class ag.CausalConv
local CausalConv = {stride = 1}
CausalConv.__index = CausalConv

local function linear(self, out, window)
  ops.linear(out, window, self.weight, self.bias)
end

local function conv1d(self, out, window)
  ops.conv1d(out, window, self.weight, self.bias, self.dilation, self.stride)
end

local function packed_conv1d(self, out, window, act, accumulate)
  ops.packed_conv1d(out, window, self.weight, self.bias, act and act.alpha, act and act.inv_beta,
    self.taps, self.dilation, self.period, accumulate and 1 or 0)
end

--- Whether this backend has the ops of packed weights.
function M.packs(backend)
  return backend:packed_conv1d_size(1, 1, 1) > 0
end

-- A weight of the files, which the layer uses as a copy in another order.
local function to_copy(scope, shape)
  scope:copied 'weight'
  return scope:get('weight', shape, 'f32')
end

--- Packs the weights of a convolution of stride 1 for its backend, see M.packs.
---@param conv ag.CausalConv
---@param period? integer rows of a frame, see ops.packed_conv1d: chunks must be whole frames
---(default 1: chunks of any rows, but filters of 7 taps are slow then)
---@param dtype? string 'bf16': of the weights, which are rounded to it (default: none is)
---@return ag.CausalConv conv
function M.fast(conv, period, dtype)
  if weights.only_headers() then return conv end
  if conv.file then conv.file:copied 'weight' end
  local w, backend = conv.weight, conv.weight.backend
  if #w.shape == 2 then w = w:view(w.shape[1], 1, w.shape[2]) end
  local outs, taps, channels = unpack(w.shape)
  local size = backend:packed_conv1d_size(outs, taps, channels)
  conv.period = period or 1
  conv.weight, conv.taps, conv.packed = room.tensor(backend, {size}, 'f32'), taps, true
  local rounded = dtype and w:to(dtype)
  ops.pack_conv1d(conv.weight, rounded or w)
  if rounded then rounded:release() end
  w:release()
  conv.forward_op = packed_conv1d
  return conv
end

--- Packs those of the linear layers of a transformer.
---@param backbone ag.Backbone
---@param scope ag.Scope of its weights
---@param dtype? string as of M.fast
function M.fast_linears(backbone, scope, dtype)
  local function replace(part, file, names)
    for _, name in ipairs(names) do
      local layer = part[name]
      local conv = M.fast(setmetatable({
        weight = layer.weight, bias = layer.bias, past = 0, dilation = 1, forward_op = linear,
        file = file:scope(name .. '_proj.'),
      }, CausalConv), nil, dtype)
      part[name] = {forward = function(_, out, x) conv:forward_op(out, x) end}
    end
  end
  for i, block in ipairs(backbone.blocks) do
    local file = scope:scope(('layers.%d.'):format(i - 1))
    replace(block.attn, file:scope 'self_attn.', {'q', 'k', 'v', 'o'})
    replace(block.mlp, file:scope 'mlp.', {'gate', 'up', 'down'})
  end
end

--- A convolution of stride 1 with (K - 1) * dilation rows of past.
---@param scope ag.Scope with weight [O, C, K] and bias [O]
function M.conv(backend, scope, outs, channels, taps, dilation)
  dilation = dilation or 1
  return setmetatable({
    weight = M.pack(backend, to_copy(scope, {outs, channels, taps})),
    bias = scope:get('bias', {outs}, 'f32'),
    past = (taps - 1) * dilation, channels = channels, outs = outs, dilation = dilation, step = 1,
    forward_op = conv1d,
  }, CausalConv)
end

--- A linear layer, as a convolution of one tap.
---@param scope ag.Scope with weight [O, C] and bias [O]
function M.linear(scope, outs, channels)
  return setmetatable({
    weight = scope:get('weight', {outs, channels}, 'f32'), bias = scope:get('bias', {outs}, 'f32'),
    past = 0, channels = channels, outs = outs, dilation = 1, step = 1,
    forward_op = linear, file = scope,
  }, CausalConv)
end

--- A convolution of K = 2 * rate taps and stride `rate`: of `rate` rows it makes one, and the taps
--- reach back over the `rate` rows before.
---@param scope ag.Scope with weight [O, C, 2 * rate] and bias [O]
function M.downsampling_conv(backend, scope, outs, channels, rate)
  return setmetatable({
    weight = M.pack(backend, to_copy(scope, {outs, channels, 2 * rate})),
    bias = scope:get('bias', {outs}, 'f32'),
    past = rate, channels = channels, outs = outs, dilation = 1, step = 1, stride = rate,
    forward_op = conv1d,
  }, CausalConv)
end

--- One filter per channel.
---@param scope ag.Scope with weight [C, 1, K] and bias [C]
function M.depthwise(scope, channels, taps)
  local w = to_copy(scope, {channels, 1, taps}):view(channels, taps)
  return setmetatable({
    weight = w:transpose(1, 2):contiguous(), bias = scope:get('bias', {channels}, 'f32'),
    past = taps - 1, channels = channels, outs = channels, step = 1,
    forward_op = function(self, out, window)
      ops.depthwise_conv1d(out, window, self.weight, self.bias)
    end,
  }, CausalConv)
end

-- The bias of one step of a transposed convolution, once for each of the `rate` rows it makes.
local function repeated(backend, bias, rate)
  local out = tensor.zeros(backend, {rate, #bias})
  for j = 1, rate do out:select(1, j):copy(bias) end
  return out:view(-1)
end

--- A transposed convolution of K = 2 * rate taps and stride `rate`, its right end cut: y[t r + j] =
--- b + W[j] x[t] + W[j + r] x[t - 1]. As a convolution of two taps it makes rate * O outputs a row,
--- which are `rate` rows of O.
---@param scope ag.Scope with weight [C, O, 2 * rate] and bias [O]
function M.upsampling_conv(backend, scope, outs, channels, rate)
  local w = to_copy(scope, {channels, outs, 2 * rate})
  local packed = tensor.zeros(backend, {rate, outs, 2, channels})
  ops.copy(packed:select(3, 1), w:narrow(3, rate + 1, rate):transpose(1, 3))
  ops.copy(packed:select(3, 2), w:narrow(3, 1, rate):transpose(1, 3))
  return setmetatable({
    weight = packed:view(rate * outs, 2, channels),
    bias = repeated(backend, scope:get('bias', {outs}, 'f32'), rate),
    past = 1, channels = channels, outs = outs, step = rate,
    dilation = 1, forward_op = conv1d,
  }, CausalConv)
end

--- A transposed convolution of K = rate taps and stride `rate`: no overlap, nothing to remember, a
--- linear layer.
---@param scope ag.Scope with weight [C, O, rate] and bias [O]
function M.upsampling_linear(backend, scope, outs, channels, rate)
  local w = to_copy(scope, {channels, outs, rate})
  local packed = tensor.zeros(backend, {rate, outs, channels})
  ops.copy(packed, w:transpose(1, 3))
  return setmetatable({
    weight = packed:view(rate * outs, channels),
    bias = repeated(backend, scope:get('bias', {outs}, 'f32'), rate),
    past = 0, channels = channels, outs = outs, step = rate,
    dilation = 1, forward_op = linear,
  }, CausalConv)
end

--- The rows a stream of this layer carries from chunk to chunk, zero at the start (the left
--- padding).
function CausalConv:state(backend)
  return tensor.zeros(backend, {self.past, self.channels})
end

--- out [T * step, outs] from the T new rows of a window that begins with the past ones, or from
--- their snake. Adds to out instead where `accumulate`. A layer without past may overwrite its
--- input.
---@param out ag.Tensor
---@param window ag.Tensor [past + T, channels]
---@param work ag.Tensor flat scratch of at least (past + T) * channels, and of what out holds
---@param act? ag.Snake
---@param accumulate? boolean
function CausalConv:apply(out, window, work, act, accumulate)
  local n = #window
  local rows = out:view(n - self.past, -1)
  if self.packed then return self:forward_op(rows, window, act, accumulate) end
  if act then
    local to = self.past > 0 and work:narrow(1, 1, n * self.channels):view(n, -1) or window
    act:forward(to, window)
    window = to
  end
  if not accumulate then return self:forward_op(rows, window) end
  local sum = work:narrow(1, 1, rows:count()):view(n, -1)
  self:forward_op(sum, window)
  ops.add(rows, rows, sum, 1)
end

--- out [T * step / stride, outs] from T new rows. They are written by `fill(rows)` into the window
--- behind the past ones.
---@param out ag.Tensor
---@param state ag.Tensor of :state()
---@param work ag.Tensor flat scratch of at least (past + T) * channels
---@param T integer
---@param fill fun(rows: ag.Tensor) writes [T, channels]
function CausalConv:forward(out, state, work, T, fill)
  local past, C = self.past, self.channels
  local window = work:narrow(1, 1, (past + T) * C):view(past + T, C)
  if past > 0 then ops.copy(window:narrow(1, 1, past), state) end
  fill(window:narrow(1, past + 1, T))
  self:forward_op(out:view(T / self.stride, -1), window)
  if past > 0 then ops.copy(state, window:narrow(1, T + 1, past)) end
end

---@class ag.Snake x + sin(alpha x)^2 / beta per channel; the files hold log alpha and log beta
local Snake = {}
Snake.__index = Snake

function M.snake(backend, scope, channels)
  local function host(name) return (scope:get(name, {channels}, 'f32'):host()) end
  local alpha, beta, a, ib = host 'alpha', host 'beta', {}, {}
  for c = 0, channels - 1 do
    a[c + 1] = math.exp(alpha[c])
    ib[c + 1] = 1 / (math.exp(beta[c]) + 1e-9)
    -- An infinite beta would switch the snake off, and nobody would notice.
    if a[c + 1] > LARGEST then scope:unusable('alpha', TOO_LARGE:format(alpha[c])) end
    if math.exp(beta[c]) > LARGEST then scope:unusable('beta', TOO_LARGE:format(beta[c])) end
  end
  return setmetatable({alpha = tensor.from(backend, a), inv_beta = tensor.from(backend, ib)}, Snake)
end

function Snake:forward(out, x)
  ops.snake(out, x, self.alpha, self.inv_beta)
end

return M
