-- A linear layer: y = W x + b.

local check = require 'argent.check'
local dtypes = require 'argent.dtype'
local lib = require 'argent.ffi'
local ops = require 'argent.ops'
local room = require 'argent.room'
local weights = require 'argent.weights'

---@class nn.Linear
---@field weight ag.Tensor [outs, ins]; a copy where the layer has its own packed (ops.pack)
---@field bias ag.Tensor? [outs]
---@field outs integer
---@field ins integer
local Linear = {}

-- The weight in the form that products read fastest. f32 stays as the file has it: it is the
-- codec's, whose products are of many rows and wait for arithmetic.
local function packed(scope, outs, ins, dtype)
  local w = scope:get('weight', {outs, ins})
  if dtype == 'f32' and w.dtype == 'f32' then return w end
  local out = room.tensor(w.backend, {math.ceil(outs / 16), math.ceil(ins / 32), 16, 32}, dtype)
  ops.pack(out, w)
  lib.ag_tensor_forget(w)
  return out
end

--- A layer of tensors that are there.
---@param weight ag.Tensor [outs, ins]
---@param bias? ag.Tensor [outs]
---@return nn.Linear
function Linear.of(weight, bias)
  local shape = weight.shape
  return setmetatable({weight = weight, w = weight, bias = bias, outs = shape[1], ins = shape[2]},
    Linear)
end

--- Takes `weight` [outs, ins], and `bias` [outs]: 'required', 'none', or nil = whenever it is
--- there.
---@param scope ag.Scope named like the layer, with its trailing dot: 'q_proj.'
---@param outs integer
---@param ins integer
---@param dtype string of the weight: 'f32' or 'bf16'; the bias is f32
---@param bias? string
---@return nn.Linear
function Linear.load(scope, outs, ins, dtype, bias)
  local self = setmetatable({scope = scope, dtype = dtype, outs = outs, ins = ins}, Linear)
  if bias == 'required' then self.bias = scope:get('bias', {outs}, 'f32')
  elseif bias ~= 'none' then self.bias = scope:try('bias', {outs}, 'f32') end
  if scope.backend.packed and not weights.only_headers() then
    self.w = packed(scope, outs, ins, dtype)
  else
    self.weight = scope:get('weight', {outs, ins}, dtype)
    self.w = self.weight
  end
  return self
end

function Linear.__index(self, key)
  if key ~= 'weight' then return Linear[key] end
  local w, err = weights.build(function()
    return self.scope:get('weight', {self.outs, self.ins}, self.dtype)
  end)
  if not w then error(err, 2) end
  self.weight = w
  return w
end

--- out [..., outs] = x [..., ins] W^T + b.
function Linear:forward(out, x)
  ops.linear(out, x, self.w, self.bias)
end

--- Bytes of memory that a product reads of the weight.
---@return number
function Linear:bytes()
  return self.w:count() * dtypes.size[self.w.dtype]
end

check.methods(Linear, 'linear layer')

return Linear
