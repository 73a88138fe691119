-- Grouped-query attention over a cache, with rotary positions and, where the model has them, norms
-- on queries and keys. head_dim is always explicit: heads * head_dim is not hidden_size in these
-- models.

local Linear = require 'argent.nn.linear'
local check = require 'argent.check'
local ops = require 'argent.ops'
local tensor = require 'argent.tensor'

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

--- out [R, T, D] from the normalised x [R, T, D], appending T positions to the cache.
---@param ws table scratch with q [R, T, H * d], k, v [R, T, K * d], their views by head q4, k4, v4,
---and angles [R, T, d]
---@param cache {k: ag.Tensor, v: ag.Tensor} [S, blocks, block, K, d]
---@param at {pos: ag.Tensor, slots: ag.Tensor} i32 [S] positions that are there; i32 [R] which of
---the S slots the rows are
---@param tap? fun(name: string, x: ag.Tensor|fun(): ag.Tensor) sees q, k, v, probs, out
function Attention:forward(out, x, ws, cache, at, tap)
  self.q:forward(ws.q, x)
  self.k:forward(ws.k, x)
  self.v:forward(ws.v, x)
  ops.rope_append(ws.q4, ws.k4, ws.v4, ws.angles, at.pos, cache.k, cache.v, self.q_norm,
    self.k_norm, self.eps, at.slots)
  if tap then
    tap('q', ws.q4) -- normalised and rotated; the keys so are in the cache, these are as projected
    tap('k', ws.k4)
    tap('v', ws.v4)
    tap('probs', function() return self:probs(ws.q4, cache.k, at) end)
  end
  ops.attention(ws.q4, ws.q4, cache.k, cache.v, at.pos, self.scale, self.window, at.slots)
  self.o:forward(out, ws.q)
  if tap then tap('out', out) end
end

--- The weights [R, H, T, P] that queries q [R, T, H, d] give to all P positions up to their last.
function Attention:probs(q, k_cache, at)
  local shape, pos, last = q.shape, at.pos:totable(), 0
  for _, slot in ipairs(at.slots:totable()) do last = math.max(last, pos[slot + 1]) end
  local out = tensor.zeros(q.backend, {shape[1], shape[3], shape[2], last + shape[2]})
  ops.attention_probs(out, q, k_cache, at.pos, self.scale, self.window, at.slots)
  return out
end

check.methods(Attention, 'attention layer')

return Attention
