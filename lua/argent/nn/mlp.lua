-- SwiGLU: down(silu(gate x) * up x).

local Linear = require 'argent.nn.linear'
local ops = require 'argent.ops'

local Mlp = {}
Mlp.__index = Mlp

---@param scope ag.Scope 'mlp.'
---@param cfg ag.BackboneConfig
---@param dtype string
function Mlp.load(scope, cfg, dtype)
  local D, I = cfg.hidden_size, cfg.intermediate_size
  return setmetatable({
    gate = Linear.load(scope:scope('gate_proj.'), I, D, dtype),
    up = Linear.load(scope:scope('up_proj.'), I, D, dtype),
    down = Linear.load(scope:scope('down_proj.'), D, I, dtype),
  }, Mlp)
end

--- out [R, T, D] from x [R, T, D]; uses ws.gate and ws.up [R, T, I].
---@param tap? fun(name: string, x: ag.Tensor) sees act (what goes into down) and out
function Mlp:forward(out, x, ws, tap)
  self.gate:forward(ws.gate, x)
  self.up:forward(ws.up, x)
  ops.silu_mul(ws.gate, ws.gate, ws.up)
  if tap then tap('act', ws.gate) end
  self.down:forward(out, ws.gate)
  if tap then tap('out', out) end
end

return Mlp
