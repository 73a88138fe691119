-- The feed-forward half of a layer: SwiGLU, down(silu(gate x) * up x), or the plain one with GELU,
-- fc2(gelu(fc1 x)).

local Linear = require 'argent.nn.linear'
local check = require 'argent.check'
local ops = require 'argent.ops'

local Gated = {}
Gated.__index = Gated

--- out [R, T, D] from x [R, T, D]; uses ws.gate and ws.up [R, T, I].
---@param tap? fun(name: string, x: ag.Tensor) sees act (what goes into down) and out
function Gated:forward(out, x, ws, tap)
  self.gate:forward(ws.gate, x)
  self.up:forward(ws.up, x)
  ops.silu_mul(ws.gate, ws.gate, ws.up)
  if tap then tap('act', ws.gate) end
  self.down:forward(out, ws.gate)
  if tap then tap('out', out) end
end

local Plain = {}
Plain.__index = Plain

--- As Gated.forward; act is what goes into fc2.
function Plain:forward(out, x, ws, tap)
  self.fc1:forward(ws.gate, x)
  ops.gelu(ws.gate, ws.gate)
  if tap then tap('act', ws.gate) end
  self.fc2:forward(out, ws.gate)
  if tap then tap('out', out) end
end

local M = {}

--- Takes `gate_proj`, `up_proj` and `down_proj`, or `fc1` and `fc2` where cfg.mlp is 'plain'.
---@param scope ag.Scope 'mlp.'
---@param cfg ag.BackboneConfig
---@param dtype string
function M.load(scope, cfg, dtype)
  local D, I = cfg.hidden_size, cfg.intermediate_size
  if cfg.mlp == 'plain' then
    return setmetatable({
      fc1 = Linear.load(scope:scope('fc1.'), I, D, dtype),
      fc2 = Linear.load(scope:scope('fc2.'), D, I, dtype),
    }, Plain)
  end
  return setmetatable({
    gate = Linear.load(scope:scope('gate_proj.'), I, D, dtype),
    up = Linear.load(scope:scope('up_proj.'), I, D, dtype),
    down = Linear.load(scope:scope('down_proj.'), D, I, dtype),
  }, Gated)
end

check.methods(Gated, 'MLP')
check.methods(Plain, 'MLP')

return M
