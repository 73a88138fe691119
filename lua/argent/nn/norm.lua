-- The norms of a residual stream. Each first takes in the branch that waits to be added, scaled
-- where the model has LayerScale: x += scale * add; then out = norm(x).

local check = require 'argent.check'
local ops = require 'argent.ops'
local scope = require 'argent.nn.scope'
local tensor = require 'argent.tensor'

local M = {}

local Rms = {}
Rms.__index = Rms

function Rms:forward(out, x, add, scale)
  ops.rms_norm(out, x, self.weight, self.eps, add, scale)
end

-- rms_norm takes the branch in by itself; for the others it is done here. add is overwritten.
local function take_in(x, add, scale)
  if not add then return end
  if scale then ops.mul(add, add, scale) end
  ops.add(x, x, add, 1)
end

local Layer = {}
Layer.__index = Layer

function Layer:forward(out, x, add, scale)
  take_in(x, add, scale)
  ops.layer_norm(out, x, self.weight, self.bias, self.eps)
end

local None = {}
None.__index = None

function None.forward(_, out, x, add, scale)
  take_in(x, add, scale)
  ops.copy(out, x)
end

--- Takes `weight` [n], and `bias` [n] for 'layer'; 'none' has neither and only adds the branch.
--- Its forward(out, x, add?, scale?) works on tensors of one shape [..., n] and changes x and add.
---@param from ag.Scope|nn.Scope named like the norm, with its trailing dot
---@param kind? string 'rms' (default), 'layer', 'none'
---@param n integer
---@param eps number
function M.load(from, kind, n, eps)
  if kind == 'none' then return setmetatable({}, None) end
  local weight = from:get('weight', {n}, 'f32')
  if kind ~= 'layer' then return setmetatable({weight = weight, eps = eps}, Rms) end
  return setmetatable({weight = weight, bias = from:get('bias', {n}, 'f32'), eps = eps}, Layer)
end

--- A norm of one's own tensors: with a bias it is layer_norm, without rms_norm.
---@param opts {weight: ag.Tensor, bias: ag.Tensor?, eps: number?} f32 [n]; eps default 1e-6
function M.new(opts)
  check.options(opts, 'Norm.new', {'weight', 'bias', 'eps'})
  local weight, bias = (opts or {}).weight, (opts or {}).bias
  if not tensor.is(weight) then check.type(weight, 'Norm.new: weight', 'tensor') end
  local of = scope.new(weight.backend, {weight = weight, bias = bias})
  return M.load(of, bias and 'layer' or 'rms', weight:numel(), opts.eps or 1e-6)
end

check.methods(Rms, 'norm')
check.methods(Layer, 'norm')

return M
