-- A table of vectors, one for each id, and the head that is tied to it: the same matrix gives the
-- logits of the ids.

local Linear = require 'argent.nn.linear'
local check = require 'argent.check'
local ops = require 'argent.ops'
local scope = require 'argent.nn.scope'
local tensor = require 'argent.tensor'

---@class nn.Embedding
---@field weight ag.Tensor [count, width]
---@field count integer
---@field width integer
local Embedding = {}
Embedding.__index = Embedding

--- A table of one's own.
---@param opts {weight: ag.Tensor} f32 or bf16 [count, width]
---@return nn.Embedding
function Embedding.new(opts)
  check.options(opts, 'Embedding.new', {'weight'})
  local weight = (opts or {}).weight
  if not tensor.is(weight) then check.type(weight, 'Embedding.new: weight', 'tensor') end
  check.int(weight:dim(), 'Embedding.new: dimensions of the weight', 2, 2)
  local of = scope.new(weight.backend, {weight = weight})
  return Embedding.load(of, unpack(weight.shape))
end

--- Takes `weight` [count, width] as it is stored, so that the table stays in the mapped file: it is
--- looked up, never multiplied. What is stored in a form that no op reads becomes f32, or `dtype`.
---@param from ag.Scope|nn.Scope named like the table, with its trailing dot: 'embed_tokens.'
---@param count integer
---@param width integer
---@param dtype? string
---@return nn.Embedding
function Embedding.load(from, count, width, dtype)
  local weight = from:get('weight', {count, width}, not from:readable 'weight' and dtype or nil)
  return setmetatable({weight = weight, count = count, width = width, scope = from}, Embedding)
end

--- out [..., width] = the vectors of ids.
---@param out ag.Tensor
---@param ids ag.Tensor i32 [...], 0 .. count - 1
---@param faults? ag.Tensor i32 [rows] words of the rows whose id is not in the table; default: that
---fails
function Embedding:forward(out, ids, faults)
  ops.embedding(out, self.weight, ids, 0, faults)
end

--- out [..., width] += the vectors of ids.
---@param out ag.Tensor
---@param ids ag.Tensor i32 [...]
function Embedding:add(out, ids)
  ops.embedding(out, self.weight, ids, 1)
end

--- The head of a model that ties it to its embeddings: width -> count. Call inside weights.build.
---@param dtype string of its weight; where it is the stored one, both are one memory
---@return nn.Linear
function Embedding:head(dtype)
  return Linear.load(self.scope, self.count, self.width, dtype, 'none')
end

check.methods(Embedding, 'embedding')

return Embedding
