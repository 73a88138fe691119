-- Grouped-query attention over a cache, with rotary positions and, where the model has them, norms
-- on queries and keys. head_dim is always explicit: heads * head_dim is not hidden_size in these
-- models.

local Linear = require 'argent.nn.linear'
local ops = require 'argent.ops'

local Attention = {}
Attention.__index = Attention

---@param scope ag.Scope 'self_attn.'
---@param cfg ag.BackboneConfig
---@param dtype string
function Attention.load(scope, cfg, dtype)
  local D, d = cfg.hidden_size, cfg.head_dim
  local q, kv = cfg.num_attention_heads * d, cfg.num_key_value_heads * d
  local bias = cfg.attention_bias and 'required' or nil
  local function linear(name, outs, ins)
    return Linear.load(scope:scope(name), outs, ins, dtype, bias)
  end
  return setmetatable({
    q = linear('q_proj.', q, D),
    k = linear('k_proj.', kv, D),
    v = linear('v_proj.', kv, D),
    o = linear('o_proj.', D, q),
    q_norm = cfg.qk_norm and scope:get('q_norm.weight', {d}, 'f32') or nil,
    k_norm = cfg.qk_norm and scope:get('k_norm.weight', {d}, 'f32') or nil,
    scale = d ^ -0.5,
    window = cfg.sliding_window or 0,
    eps = cfg.rms_norm_eps,
  }, Attention)
end

--- out [R, T, D] from the normalised x [R, T, D], appending T positions after pos [R] to the cache.
---@param ws table scratch with q [R, T, H * d], k, v [R, T, K * d], their views by head q4, k4, v4,
---and angles [R, T, d]
---@param cache {k: ag.Tensor, v: ag.Tensor} [capacity, R, K, d]
function Attention:forward(out, x, ws, cache, pos)
  self.q:forward(ws.q, x)
  self.k:forward(ws.k, x)
  self.v:forward(ws.v, x)
  ops.rope_append(ws.q4, ws.k4, ws.v4, ws.angles, pos, cache.k, cache.v, self.q_norm, self.k_norm,
    self.eps)
  ops.attention(ws.q4, ws.q4, cache.k, cache.v, pos, self.scale, self.window)
  self.o:forward(out, ws.q)
end

return Attention
