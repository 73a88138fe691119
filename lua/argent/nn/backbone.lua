-- A stack of decoder layers and its final norm: the talker, the code predictor and the codec's two
-- transformers are uses of it. One row of one position is decode, more is prefill; both run
-- the same ops and continue where the session stands.

local Block = require 'argent.nn.block'
local Norm = require 'argent.nn.norm'
local Session = require 'argent.nn.session'
local Watch = require 'argent.nn.watch'
local check = require 'argent.check'
local ops = require 'argent.ops'
local plan = require 'argent.plan'
local rope = require 'argent.nn.rope'
local tensor = require 'argent.tensor'

---@class ag.BackboneConfig the names of the released configs
---@field hidden_size integer
---@field intermediate_size integer
---@field num_hidden_layers integer
---@field num_attention_heads integer
---@field num_key_value_heads integer
---@field head_dim integer
---@field rms_norm_eps number
---@field rope_theta number
---@field rope_scaling argent.RopeScaling?
---@field max_position_embeddings integer
---@field sliding_window integer? keys that a query sees, its own included
---@field attention_bias boolean? biases are required; otherwise they are taken where present
---@field qk_norm boolean? norms on queries and keys (Qwen3)
---@field layer_scale boolean? branches are scaled (the codec)
---@field norm string? 'rms' (default) or 'layer' (the codec's encoder)
---@field final_norm boolean? false: none (the codec's encoder)
---@field mlp string? 'gated' (default, SwiGLU) or 'plain' (GELU; the codec's encoder)

---@class ag.Backbone
---@field cfg ag.BackboneConfig
---@field backend ag.Backend
---@field cache_dtype string what sessions keep keys and values in unless they are told: 'f32', or
---'bf16', which halves their memory and rounds each to 8 bits (a relative error of 2^-9 at most)
local Backbone = {}
Backbone.__index = Backbone

--- Takes `layers.N.*` and `norm.*` from the scope.
---@param backend ag.Backend
---@param cfg ag.BackboneConfig
---@param scope ag.Scope
---@param dtype string of the linear weights
function Backbone.load(backend, cfg, scope, dtype)
  local self = setmetatable({backend = backend, cfg = cfg, blocks = {}, cache_dtype = 'f32'},
    Backbone)
  for i = 1, cfg.num_hidden_layers do
    self.blocks[i] = Block.load(scope:scope(('layers.%d.'):format(i - 1)), cfg, dtype)
  end
  self.norm = Norm.load(scope:scope 'norm.', cfg.final_norm == false and 'none' or cfg.norm,
    cfg.hidden_size, cfg.rms_norm_eps)
  self.inv_freq = tensor.from(backend, rope.inv_freq(cfg))
  self.watchers = Watch.new('network', function() return self:watch_names() end)
  return self
end

--- Everything that can be watched: `layers.N.out` is the residual stream after layer N, counted
--- from 0 as in the checkpoint, `embed` the input, `norm` the hidden state after the final norm.
---@return string[]
function Backbone:watch_names()
  local names = {'embed'}
  for i = 0, #self.blocks - 1 do
    for _, tap in ipairs(Block.TAPS) do names[#names + 1] = ('layers.%d.%s'):format(i, tap) end
    names[#names + 1] = ('layers.%d.out'):format(i)
  end
  names[#names + 1] = 'norm'
  return names
end

--- Sees a tensor by name, see ag.Watch.add: `bb:watch('layers.3.attn.probs', fn)`. Shapes: q [R, T,
--- H, d], k and v [R, T, K, d], probs [R, H, T, P], all others [R, T, width].
---@param name string one of watch_names()
---@param fn fun(x: ag.Tensor, info: {name: string, pos: integer})
---@return ag.WatchHandle
function Backbone:watch(name, fn)
  local handle = self.watchers:add(name, fn)
  return handle
end

--- A session: rows sequences side by side (default 1), room for `capacity` positions in each at
--- once (default none; more is committed as needed, by `block` positions, up to the config's
--- maximum), at most `chunk` positions of all rows in one pass (longer inputs go in several).
---@param opts? {rows: integer?, capacity: integer?, chunk: integer?, block: integer?,
---dtype: string?} dtype: of keys and values: 'f32' or 'bf16', default cache_dtype
---@return ag.Session
function Backbone:session(opts)
  opts = check.options(opts, 'session', {'rows', 'capacity', 'chunk', 'block', 'dtype'})
  local session = Session.new(self, opts)
  return session
end

--- The ops of T positions, eager or recorded: out [R, T, D] = hidden states after the final norm,
--- for x [R, T, D]. Room must have been made (session:ensure) and the host told (session:advanced).
---@param slots? ag.Tensor i32 [R] which rows of the session those of x are, counted from 0;
---default: the first R
---@param tap? fun(name: string, x: ag.Tensor|fun(): ag.Tensor) sees everything in watch_names()
function Backbone:step(session, out, x, slots, tap)
  local shape = x.shape
  local R, T = shape[1], shape[2]
  local ws, caches = session.scratch(R, T), session.caches
  local at = {pos = session.positions, slots = slots or session.slots:narrow(1, 1, R)}
  ops.rope_angles(ws.angles, at.pos, self.inv_freq, at.slots)
  ops.copy(ws.x, x)
  local before
  for i, block in ipairs(self.blocks) do
    local prefix = ('layers.%d.'):format(i - 1)
    block:forward(ws, caches[i], at, before, tap and function(name, t)
      if name ~= 'before' then tap(prefix .. name, t)
      else tap(i == 1 and 'embed' or ('layers.%d.out'):format(i - 2), t) end
    end)
    before = block
  end
  self.norm:forward(out, ws.x, before and ws.branch, before and before.mlp_scale)
  if tap then
    if before then tap(('layers.%d.out'):format(#self.blocks - 1), ws.x) end
    tap('norm', out)
  end
  ops.advance(at.pos, T, nil, at.slots)
end

local function shape_text(shape)
  return '[' .. table.concat(shape, ', ') .. ']'
end

--- Hidden states after the final norm for every position of x; the session moves on by as many.
---@param session ag.Session
---@param x ag.Tensor [T, hidden] for a session of one row or for one row of it, else [rows, T,
---hidden]
---@param opts? {row: integer?, out: ag.Tensor?} row: which row x is for (1-based); out: written
---instead of a new tensor
---@return ag.Tensor? hidden of the shape of x
---@return string? err when the session is full
---@return string? code
function Backbone:forward(session, x, opts)
  opts = check.options(opts, 'forward', {'row', 'out'})
  if not tensor.is(x) then check.type(x, 'forward: x', 'tensor') end
  local shape, D = x.shape, self.cfg.hidden_size
  local row = opts.row and check.int(opts.row, 'forward: row', 1, session.rows)
  local flat = session.rows == 1 or row ~= nil
  local want = flat and ('[T, %d]'):format(D) or ('[%d, T, %d]'):format(session.rows, D)
  local rows_fit = flat or shape[1] == session.rows
  if #shape ~= (flat and 2 or 3) or shape[#shape] ~= D or not rows_fit then
    error(('forward: x %s: expected %s'):format(shape_text(shape), want), 2)
  end
  local R, T = flat and 1 or shape[1], shape[#shape - 1]
  local ok, err, code = session:ensure(T, row)
  if not ok then return nil, err, code end
  local out = opts.out or tensor.zeros(self.backend, shape)
  local x3, out3 = x, out
  if flat then x3, out3 = x:contiguous():view(1, T, D), out:view(1, T, D) end
  local slots = row and session.slots:narrow(1, row, 1)
  local tap = self.watchers:tap(function() return session.consumed[row or 1] end)
  local most = math.max(1, math.floor(session.chunk / R))
  for first = 1, T, most do
    local n = math.min(most, T - first + 1)
    local part = tensor.zeros(self.backend, {R, n, D})
    local function step() self:step(session, part, x3:narrow(2, first, n), slots, tap) end
    if tap then
      step() -- it looks between the ops
    else
      ok, err, code = plan.once(self.backend, step)
      if not ok then return nil, err, code end
    end
    out3:narrow(2, first, n):copy(part)
    session:advanced(n, row)
  end
  return out
end

check.methods(Backbone, 'backbone')

return Backbone
