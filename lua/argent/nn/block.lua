-- One decoder layer, pre-norm: x += attention(norm x); x += mlp(norm x), each branch scaled where
-- the model has LayerScale. The sum of a branch is left to the norm that follows it (rms_norm takes
-- the residual in), so a layer hands its MLP branch on.

local Attention = require 'argent.nn.attention'
local Mlp = require 'argent.nn.mlp'
local ops = require 'argent.ops'

local Block = {}
Block.__index = Block

---@param scope ag.Scope 'layers.N.'
---@param cfg ag.BackboneConfig
---@param dtype string
function Block.load(scope, cfg, dtype)
  local D = cfg.hidden_size
  return setmetatable({
    attn_norm = scope:get('input_layernorm.weight', {D}, 'f32'),
    attn = Attention.load(scope:scope('self_attn.'), cfg, dtype),
    attn_scale = cfg.layer_scale and scope:get('self_attn_layer_scale.scale', {D}, 'f32') or nil,
    mlp_norm = scope:get('post_attention_layernorm.weight', {D}, 'f32'),
    mlp = Mlp.load(scope:scope('mlp.'), cfg, dtype),
    mlp_scale = cfg.layer_scale and scope:get('mlp_layer_scale.scale', {D}, 'f32') or nil,
    eps = cfg.rms_norm_eps,
  }, Block)
end

--- Takes the residual stream ws.x [R, T, D] and the branch of the layer before (in ws.branch; nil
--- for the first), leaves its own MLP branch in ws.branch.
---@param before? ag.Block whose branch has not been added yet
---@param tap? fun(name: string, x: ag.Tensor|fun(): ag.Tensor) sees attn.* and mlp.*, and as
---`before` the residual stream after the layer before
function Block:forward(ws, cache, pos, before, tap)
  local attn_tap = tap and function(name, x) tap('attn.' .. name, x) end
  local mlp_tap = tap and function(name, x) tap('mlp.' .. name, x) end
  ops.rms_norm(ws.n, ws.x, self.attn_norm, self.eps, before and ws.branch,
    before and before.mlp_scale)
  if tap then tap('before', ws.x) end
  self.attn:forward(ws.branch, ws.n, ws, cache, pos, attn_tap)
  ops.rms_norm(ws.n, ws.x, self.mlp_norm, self.eps, ws.branch, self.attn_scale)
  self.mlp:forward(ws.branch, ws.n, ws, mlp_tap)
end

--- What a tap sees of a layer, but for the residual stream.
Block.TAPS = {'attn.q', 'attn.k', 'attn.v', 'attn.probs', 'attn.out', 'mlp.act', 'mlp.out'}

return Block
