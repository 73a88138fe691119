-- The state of a backbone for a fixed number of rows: positions, the key and value caches, and
-- scratch. Caches reserve addresses for the config's maximum and commit memory in blocks, so they
-- grow without moving and a plan made early stays valid. With a sliding window the cache is a ring
-- that never grows.

local check = require 'argent.check'
local ops = require 'argent.ops'
local tensor = require 'argent.tensor'

local Session = {}

-- Positions a session grows by, and the most that one pass takes (longer inputs go in several):
-- bounds the scratch.
local BLOCK, CHUNK = 256, 64

local function round_up(n, step)
  return math.ceil(n / step) * step
end

-- Scratch for every activation of a layer, sized for `chunk` positions of each row; `views[T]` are
-- its shapes for T positions.
local function scratch(backend, cfg, rows, chunk)
  local d = cfg.head_dim
  local kv = cfg.num_key_value_heads * d
  local width = {
    x = cfg.hidden_size, n = cfg.hidden_size, branch = cfg.hidden_size,
    q = cfg.num_attention_heads * d, k = kv, v = kv,
    gate = cfg.intermediate_size, up = cfg.intermediate_size, angles = d,
  }
  local flat = {}
  for name, w in pairs(width) do flat[name] = tensor.zeros(backend, {rows * chunk * w}) end
  local function shaped(R, T)
    local ws = {}
    for name, w in pairs(width) do ws[name] = flat[name]:narrow(1, 1, R * T * w):view(R, T, w) end
    for _, name in ipairs {'q', 'k', 'v'} do
      ws[name .. '4'] = ws[name]:view(R, T, width[name] / d, d)
    end
    return ws
  end
  local memo = {}
  return function(R, T)
    local key = R * (chunk + 1) + T
    memo[key] = memo[key] or shaped(R, T)
    return memo[key]
  end
end

---@class ag.Session
---@field rows integer
---@field pos integer|integer[] positions consumed: a number for one row, a list for more
---@field maximum integer positions there is room for at most; math.huge with a sliding window
local methods = {}

local meta = {
  __index = function(s, key)
    if key == 'pos' then return s.rows == 1 and s.consumed[1] or {unpack(s.consumed)} end
    return methods[key]
  end,
  __newindex = function(_, key)
    error(("a session's '%s' cannot be set"):format(tostring(key)), 2)
  end,
}

--- Made by backbone:session.
---@param backbone ag.Backbone
---@param opts {rows: integer?, capacity: integer?, chunk: integer?}
function Session.new(backbone, opts)
  local cfg, be = backbone.cfg, backbone.backend
  local rows = check.int(opts.rows or 1, 'session: rows', 1, 4096, 1)
  local window, maximum = cfg.sliding_window, cfg.max_position_embeddings
  local most = window and 2 ^ 31 or maximum
  local capacity = opts.capacity or math.min(BLOCK, most)
  check.int(capacity, 'session: capacity', 1, most, 1)
  local chunk = check.int(opts.chunk or CHUNK, 'session: chunk', 1, 4096, 1)
  local slots = window and window - 1 + chunk or maximum
  local committed = window and slots or math.min(round_up(capacity, BLOCK), maximum)
  local s = {
    backbone = backbone, rows = rows, chunk = chunk,
    maximum = window and math.huge or maximum, committed = committed,
    consumed = {}, positions = tensor.zeros(be, {rows}, 'i32'), caches = {},
    scratch = scratch(be, cfg, rows, chunk),
  }
  for r = 1, rows do s.consumed[r] = 0 end
  local shape = {slots, rows, cfg.num_key_value_heads, cfg.head_dim}
  for i = 1, cfg.num_hidden_layers do
    s.caches[i] = {
      k = tensor.reserve(be, shape, 'f32', committed),
      v = tensor.reserve(be, shape, 'f32', committed),
    }
  end
  return setmetatable(s, meta)
end

--- Makes room for `count` more positions in every row (or in one). Running out is an error value.
---@return boolean? ok
---@return string? err
---@return string? code 'capacity' or 'memory'
function methods:ensure(count, row)
  local need = 0
  for r = row or 1, row or self.rows do need = math.max(need, self.consumed[r] + count) end
  if need > self.maximum then
    local err = 'session full: %d positions wanted, the model has %d'
    return nil, err:format(need, self.maximum), 'capacity'
  end
  if need <= self.committed or self.maximum == math.huge then return true end
  local committed = math.min(round_up(need, BLOCK), self.maximum)
  for _, cache in ipairs(self.caches) do
    for _, t in pairs(cache) do
      local ok, err, code = t:commit(committed)
      if not ok then return nil, err, code end
    end
  end
  rawset(self, 'committed', committed)
  return true
end

--- Notes on the host that a plan has advanced every row by `count` positions.
function methods:advanced(count)
  for r = 1, self.rows do self.consumed[r] = self.consumed[r] + count end
end

--- Forgets everything and frees nothing: the next forward starts at position 0.
---@param row? integer only this row
function methods:reset(row)
  local first, last = row or 1, row or self.rows
  check.int(first, 'reset: row', 1, self.rows)
  ops.fill(self.positions:narrow(1, first, last - first + 1), 0)
  for r = first, last do self.consumed[r] = 0 end
end

--- Makes this session stand where `other` stands: a copy of what has been consumed, with which both
--- go on alone.
---@param other ag.Session of the same backbone, with as many rows
---@return boolean? ok
---@return string? err
---@return string? code 'memory'
function methods:copy(other)
  if other.backbone ~= self.backbone or other.rows ~= self.rows then
    error('copy: the other session is of another network or has other rows', 2)
  end
  local most = 0
  for r = 1, self.rows do most = math.max(most, other.consumed[r]) end
  local ring = self.maximum == math.huge
  if ring and self.chunk ~= other.chunk then
    error('copy: sessions with a sliding window need the same chunk', 2)
  end
  if most > self.committed and not ring then
    for r = 1, self.rows do self.consumed[r] = 0 end
    local ok, err, code = self:ensure(most)
    if not ok then return nil, err, code end
  end
  local slots = ring and self.committed or most
  if slots > 0 then
    for i, cache in ipairs(self.caches) do
      cache.k:narrow(1, 1, slots):copy(other.caches[i].k:narrow(1, 1, slots))
      cache.v:narrow(1, 1, slots):copy(other.caches[i].v:narrow(1, 1, slots))
    end
  end
  self.positions:copy(other.positions)
  for r = 1, self.rows do self.consumed[r] = other.consumed[r] end
  return true
end

--- A second session that stands where this one stands; both go on alone.
---@return ag.Session? session
---@return string? err
---@return string? code 'memory'
function methods:fork()
  local s = Session.new(self.backbone, {rows = self.rows, chunk = self.chunk})
  local ok, err, code = s:copy(self)
  if not ok then return nil, err, code end
  return s
end

--- The caches and device positions of one row, or of all of them.
---@return {k: ag.Tensor, v: ag.Tensor}[] caches
---@return ag.Tensor positions
function methods:state(row)
  if not row then return self.caches, self.positions end
  local caches = {}
  for i, c in ipairs(self.caches) do
    caches[i] = {k = c.k:narrow(2, row, 1), v = c.v:narrow(2, row, 1)}
  end
  return caches, self.positions:narrow(1, row, 1)
end

-- For completion and documentation.
Session.methods = methods

return Session
