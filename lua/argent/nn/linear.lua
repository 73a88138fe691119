-- A linear layer: y = W x + b.

local check = require 'argent.check'
local ops = require 'argent.ops'

local Linear = {}
Linear.__index = Linear

--- Takes `weight` [outs, ins], and `bias` [outs]: 'required', 'none', or nil = whenever it is
--- there.
---@param scope ag.Scope named like the layer, with its trailing dot: 'q_proj.'
---@param outs integer
---@param ins integer
---@param dtype string of the weight: 'f32' or 'bf16'; the bias is f32
---@param bias? string
function Linear.load(scope, outs, ins, dtype, bias)
  local b
  if bias == 'required' then b = scope:get('bias', {outs}, 'f32')
  elseif bias ~= 'none' then b = scope:try('bias', {outs}, 'f32') end
  local w = scope:get('weight', {outs, ins}, dtype)
  return setmetatable({weight = w, bias = b, outs = outs, ins = ins}, Linear)
end

--- out [..., outs] = x [..., ins] W^T + b.
function Linear:forward(out, x)
  ops.linear(out, x, self.weight, self.bias)
end

check.methods(Linear, 'linear layer')

return Linear
