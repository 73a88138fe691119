-- The state of a backbone for a fixed number of rows (sequences): positions, key and value caches,
-- and scratch. Each row is a slot of its own, whose memory is committed block by block as it grows,
-- without moving: a plan made early stays valid, and a long row costs the others nothing. With a
-- sliding window a slot is a ring that never grows.

local check = require 'argent.check'
local ops = require 'argent.ops'
local status = require 'argent.status'
local tensor = require 'argent.tensor'

local Session = {}

-- Positions a row's memory grows by, and the most positions that one pass takes (longer inputs go
-- in several), which bounds the scratch.
local BLOCK, CHUNK = 256, 64

-- What keys and values can be kept in.
Session.DTYPES = {'f32', 'bf16'}
-- Weights that are as in the file, or nearly: with them the cache is no less exact.
local EXACT = {f32 = true, bf16 = true}

--- What keys and values are kept in when nobody says it.
---@param weights string the dtype of the linear weights
---@return string dtype
function Session.dtype_for(weights)
  return EXACT[weights] and 'f32' or 'bf16'
end

-- Scratch for every activation of a layer, sized for `most` positions of all rows together;
-- scratch(R, T) are its shapes for R rows of T positions.
local function scratch(backend, cfg, most)
  local d = cfg.head_dim
  local kv = cfg.num_key_value_heads * d
  local width = {
    x = cfg.hidden_size, n = cfg.hidden_size, branch = cfg.hidden_size,
    q = cfg.num_attention_heads * d, k = kv, v = kv,
    gate = cfg.intermediate_size, up = cfg.intermediate_size, angles = d,
  }
  local flat = {}
  for name, w in pairs(width) do flat[name] = tensor.zeros(backend, {most * w}) end
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
    local key = R * (most + 1) + T
    memo[key] = memo[key] or shaped(R, T)
    return memo[key]
  end
end

---@class ag.Session
---@field rows integer
---@field pos integer|integer[] positions consumed: a number for one row, a list for more
---@field maximum integer positions there is room for at most; math.huge with a sliding window
---@field positions ag.Tensor i32 [rows] the same on the device
---@field slots ag.Tensor i32 [rows] 0 .. rows - 1: its narrowings name a row to backbone:step
---@field dtype string of keys and values: 'f32' or 'bf16'
---@field memory ag.Tensor [rows, blocks, layers, 2, K, block, d] all keys and values: what a head
---reads lies together
---@field caches {k: ag.Tensor, v: ag.Tensor}[] of each layer, views [rows, blocks, block, K, d]
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
---@param opts {rows: integer?, capacity: integer?, chunk: integer?, block: integer?,
---dtype: string?}
function Session.new(backbone, opts)
  local cfg, be = backbone.cfg, backbone.backend
  local rows = check.int(opts.rows or 1, 'session: rows', 1, 4096, 1)
  local window, maximum = cfg.sliding_window, cfg.max_position_embeddings
  local capacity = check.int(opts.capacity or 0, 'session: capacity', 0,
    window and 2 ^ 31 or maximum, 1)
  local chunk = check.int(opts.chunk or CHUNK, 'session: chunk', 1, 4096, 1)
  local block = check.int(opts.block or BLOCK, 'session: block', 1, 2 ^ 20, 1)
  local dtype = check.one_of(opts.dtype or backbone.cache_dtype, 'session: dtype',
    Session.DTYPES, 1)
  local blocks
  if window then
    blocks, block = 1, window - 1 + chunk
  else
    block = 2 ^ math.ceil(math.log(block) / math.log(2))
    blocks = math.ceil(maximum / block)
  end
  local L, K, d = cfg.num_hidden_layers, cfg.num_key_value_heads, cfg.head_dim
  local s = {
    backbone = backbone, rows = rows, chunk = chunk, block = block, dtype = dtype,
    maximum = window and math.huge or maximum,
    consumed = {}, committed = {}, -- positions of each row
    positions = tensor.zeros(be, {rows}, 'i32'), slots = tensor.zeros(be, {rows}, 'i32'),
    memory = tensor.reserve(be, {rows, blocks, L, 2, K, block, d}, dtype), caches = {},
    scratch = scratch(be, cfg, math.max(rows, chunk)),
  }
  local names = {}
  for r = 1, rows do s.consumed[r], s.committed[r], names[r] = 0, 0, r - 1 end
  s.slots:set(names)
  for i = 1, L do
    local layer = s.memory:select(3, i)
    s.caches[i] = {
      k = layer:select(3, 1):transpose(3, 4), v = layer:select(3, 2):transpose(3, 4),
    }
  end
  setmetatable(s, meta)
  for r = 1, capacity > 0 and rows or 0 do
    local ok, err, code = s:ensure(capacity, r)
    if not ok then status.throw('session: ' .. err, code) end
  end
  return s
end

--- Makes room for `count` more positions in one row, or in every row. Running out is an error
--- value.
---@param count integer
---@param row? integer
---@return boolean? ok
---@return string? err
---@return string? code 'capacity' or 'memory'
function methods:ensure(count, row)
  check.int(count, 'ensure: count', 0, 2 ^ 31 - 1)
  if row ~= nil then check.int(row, 'ensure: row', 1, self.rows) end
  for r = row or 1, row or self.rows do
    local need = self.consumed[r] + count
    if need > self.maximum then
      local err = 'session full: %d positions wanted, the model has %d'
      return nil, err:format(need, self.maximum), 'capacity'
    end
    if need > self.committed[r] then
      local ring = self.maximum == math.huge
      local blocks = ring and 1 or math.ceil(need / self.block)
      local ok, err, code = self.memory:commit(r, blocks)
      if not ok then return nil, err, code end
      self.committed[r] = ring and math.huge or blocks * self.block
    end
  end
  return true
end

--- Forgets a row and gives its memory back; see tensor:decommit.
---@param row integer
function methods:vacate(row)
  check.int(row, 'vacate: row', 1, self.rows)
  self:reset(row)
  local before = self.backbone.backend.live_bytes
  self.memory:decommit(row)
  if self.backbone.backend.live_bytes < before then self.committed[row] = 0 end
end

--- Notes on the host that a plan has advanced one row, or every row, by `count` positions.
---@param count integer
---@param row? integer
function methods:advanced(count, row)
  check.int(count, 'advanced: count', 0, 2 ^ 31 - 1)
  if row ~= nil then check.int(row, 'advanced: row', 1, self.rows) end
  for r = row or 1, row or self.rows do self.consumed[r] = self.consumed[r] + count end
end

--- Forgets everything and frees nothing: the next forward starts at position 0.
---@param row? integer only this row
function methods:reset(row)
  local first, last = row or 1, row or self.rows
  check.int(first, 'reset: row', 1, self.rows)
  ops.fill(self.positions:narrow(1, first, last - first + 1), 0)
  for r = first, last do self.consumed[r] = 0 end
end

-- Another session, from whose rows those of this one can be copied.
local function check_other(self, other, name)
  if getmetatable(other) ~= meta then check.type(other, name, 'session', 1) end
  if other.backbone ~= self.backbone or other.block ~= self.block or other.dtype ~= self.dtype then
    error(name .. ': it is of another network, or its blocks are of another size or dtype', 3)
  end
end

--- Makes a row stand where a row of another session (or of this one) stands: a copy of what it has
--- consumed, with which both go on alone. Where there is no memory for that it stands at 0.
---@param row integer
---@param other ag.Session of the same backbone
---@param other_row integer
---@return boolean? ok
---@return string? err
---@return string? code 'memory'
function methods:copy_row(row, other, other_row)
  check.int(row, 'copy_row: row', 1, self.rows)
  check_other(self, other, 'copy_row: the other session')
  check.int(other_row, 'copy_row: the other row', 1, other.rows)
  local ring = self.maximum == math.huge
  local n = other.consumed[other_row]
  self:reset(row)
  local ok, err, code = self:ensure(n, row)
  if not ok then return nil, err, code end
  local blocks = ring and math.min(n, 1) or math.ceil(n / self.block)
  if blocks > 0 then
    self.memory:select(1, row):narrow(1, 1, blocks)
      :copy(other.memory:select(1, other_row):narrow(1, 1, blocks))
  end
  ops.fill(self.positions:narrow(1, row, 1), n)
  self.consumed[row] = n
  return true
end

--- Makes this session stand where `other` stands, row by row.
---@param other ag.Session of the same backbone, with as many rows
---@return boolean? ok
---@return string? err
---@return string? code 'memory'
function methods:copy(other)
  check_other(self, other, 'copy: the other session')
  if other.rows ~= self.rows then error('copy: the other session has other rows', 2) end
  for r = 1, self.rows do
    local ok, err, code = self:copy_row(r, other, r)
    if not ok then return nil, err, code end
  end
  return true
end

--- A second session that stands where this one stands; both go on alone.
---@return ag.Session? session
---@return string? err
---@return string? code 'memory'
function methods:fork()
  local s = Session.new(self.backbone,
    {rows = self.rows, chunk = self.chunk, block = self.block, dtype = self.dtype})
  local ok, err, code = s:copy(self)
  if not ok then return nil, err, code end
  return s
end

--- Gives the memory back now; the collector does not see how much it is.
function methods:release()
  -- Views that the collector has not found yet would keep it.
  for r = 1, self.memory.released and 0 or self.rows do self.memory:decommit(r) end
  for _, cache in ipairs(self.caches) do
    cache.k:release()
    cache.v:release()
  end
  self.memory:release()
end

-- For completion and documentation.
Session.methods = methods

check.methods(methods, 'session', function(v) return getmetatable(v) == meta end)

return Session
