-- One decoder layer, pre-norm: x += attention(norm x); x += mlp(norm x), each branch scaled where
-- the model has LayerScale. The sum of a branch is left to the norm that follows it (it takes
-- the residual in), so a layer hands its MLP branch on.

local Attention = require 'argent.nn.attention'
local Mlp = require 'argent.nn.mlp'
local Norm = require 'argent.nn.norm'
local check = require 'argent.check'

local Block = {}
Block.__index = Block

---@param scope ag.Scope 'layers.N.'
---@param cfg ag.BackboneConfig
---@param dtype string
function Block.load(scope, cfg, dtype)
  local D = cfg.hidden_size
  local function norm(name)
    return Norm.load(scope:scope(name .. '.'), cfg.norm, D, cfg.rms_norm_eps)
  end
  return setmetatable({
    attn_norm = norm 'input_layernorm',
    attn = Attention.load(scope:scope('self_attn.'), cfg, dtype),
    attn_scale = cfg.layer_scale and scope:get('self_attn_layer_scale.scale', {D}, 'f32') or nil,
    mlp_norm = norm 'post_attention_layernorm',
    mlp = Mlp.load(scope:scope('mlp.'), cfg, dtype),
    mlp_scale = cfg.layer_scale and scope:get('mlp_layer_scale.scale', {D}, 'f32') or nil,
  }, Block)
end

--- Takes the residual stream ws.x [R, T, D] and the branch of the layer before (in ws.branch; nil
--- for the first), leaves its own MLP branch in ws.branch. cache and `at` are as of attention.
---@param before? ag.Block whose branch has not been added yet
---@param tap? fun(name: string, x: ag.Tensor|fun(): ag.Tensor) sees attn.* and mlp.*, and as
---`before` the residual stream after the layer before
function Block:forward(ws, cache, at, before, tap)
  local attn_tap = tap and function(name, x) tap('attn.' .. name, x) end
  local mlp_tap = tap and function(name, x) tap('mlp.' .. name, x) end
  self.attn_norm:forward(ws.n, ws.x, before and ws.branch, before and before.mlp_scale)
  if tap then tap('before', ws.x) end
  self.attn:forward(ws.branch, ws.n, ws, cache, at, attn_tap)
  self.mlp_norm:forward(ws.n, ws.x, ws.branch, self.attn_scale)
  self.mlp:forward(ws.branch, ws.n, ws, mlp_tap)
end

--- What a tap sees of a layer, but for the residual stream.
Block.TAPS = {'attn.q', 'attn.k', 'attn.v', 'attn.probs', 'attn.out', 'mlp.act', 'mlp.out'}

check.methods(Block, 'block')

return Block
