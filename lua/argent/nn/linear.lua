-- A linear layer: y = W x + b.

local check = require 'argent.check'
local dtypes = require 'argent.dtype'
local load = require('argent.nn.weight').load
local ops = require 'argent.ops'
local tensor = require 'argent.tensor'
local weights = require 'argent.weights'

---@class nn.Linear
---@field weight ag.Tensor [outs, ins] as the file has it, in the layer's dtype where that is a
---float; a copy where products read it packed (ops.pack) or quantised
---@field bias ag.Tensor? [outs]
---@field outs integer
---@field ins integer
local Linear = {}

--- A layer of tensors of one's own: `Linear.new {weight = w, bias = b}`. It reads them where they
--- are, so what is written into them is in the next product.
---@param opts {weight: ag.Tensor, bias: ag.Tensor?} f32 or bf16 [outs, ins]; f32 [outs]
---@return nn.Linear
function Linear.new(opts)
  check.options(opts, 'Linear.new', {'weight', 'bias'})
  local weight, bias = (opts or {}).weight, (opts or {}).bias
  if not tensor.is(weight) then check.type(weight, 'Linear.new: weight', 'tensor') end
  local shape = weight.shape
  check.int(#shape, 'Linear.new: dimensions of the weight', 2, 2)
  if bias ~= nil then
    if not tensor.is(bias) then check.type(bias, 'Linear.new: bias', 'tensor') end
    if bias:dim() ~= 1 or #bias ~= shape[1] then
      error(('Linear.new: bias [%s] for a weight of [%s]'):format(table.concat(bias.shape, ', '),
        table.concat(shape, ', ')), 2)
    end
  end
  return setmetatable({weight = weight, w = weight, bias = bias, outs = shape[1], ins = shape[2]},
    Linear)
end

--- Takes `weight` [outs, ins], and `bias` [outs]: 'required', 'none', or nil = whenever it is
--- there.
---@param scope ag.Scope named like the layer, with its trailing dot: 'q_proj.'
---@param outs integer
---@param ins integer
---@param dtype string of the weight: one of argent.dtype.weights; the bias is f32
---@param bias? string
---@return nn.Linear
function Linear.load(scope, outs, ins, dtype, bias)
  local self = setmetatable({scope = scope, dtype = dtype, outs = outs, ins = ins}, Linear)
  if bias == 'required' then self.bias = scope:get('bias', {outs}, 'f32')
  elseif bias ~= 'none' then self.bias = scope:try('bias', {outs}, 'f32') end
  local packed
  self.w, self.scale, packed = load(scope, outs, ins, dtype)
  if not packed then self.weight = self.w end
  return self
end

function Linear.__index(self, key)
  if key ~= 'weight' then return Linear[key] end
  local w, err = weights.build(function()
    local dense = dtypes.float[self.dtype] and self.dtype
    return self.scope:get('weight', {self.outs, self.ins}, dense or nil)
  end)
  if not w then error(err, 2) end
  self.weight = w
  return w
end

--- out [..., outs] = x [..., ins] W^T + b.
function Linear:forward(out, x)
  ops.linear(out, x, self.w, self.bias, self.scale)
end

--- Bytes of memory that a product reads of the weight.
---@return number
function Linear:bytes()
  local scales = self.scale and self.scale:count() * dtypes.size[self.scale.dtype] or 0
  return self.w:count() * dtypes.size[self.w.dtype] + scales
end

check.methods(Linear, 'linear layer')

return Linear
