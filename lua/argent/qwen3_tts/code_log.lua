-- The codes of an utterance's frames, on the host, growing.

local check = require 'argent.check'
local ffi = require 'ffi'
local lib = require 'argent.ffi'
local status = require 'argent.status'
local tensor = require 'argent.tensor'

---@class ag.CodeLog
---@field n integer frames
---@field groups integer
---@field data ffi.cdata* int32 [n * groups]
local CodeLog = {}
CodeLog.__index = CodeLog

---@param groups integer
---@return ag.CodeLog
function CodeLog.new(groups)
  check.int(groups, 'groups', 1, 2 ^ 16)
  local data = ffi.new('int32_t[?]', 64 * groups)
  return setmetatable({n = 0, groups = groups, room = 64, data = data}, CodeLog)
end

--- One more frame.
---@param frame ffi.cdata* int32 [groups]
function CodeLog:add(frame)
  if self.n == self.room then
    local more = ffi.new('int32_t[?]', 2 * self.room * self.groups)
    ffi.copy(more, self.data, self.n * self.groups * 4)
    self.data, self.room = more, 2 * self.room
  end
  ffi.copy(self.data + self.n * self.groups, frame, self.groups * 4)
  self.n = self.n + 1
end

--- The first code of a frame.
---@param i integer from 0
---@return integer
function CodeLog:first(i)
  return self.data[i * self.groups]
end

--- A second log of the same frames.
---@return ag.CodeLog
function CodeLog:clone()
  local log = CodeLog.new(self.groups)
  for i = 0, self.n - 1 do log:add(self.data + i * self.groups) end
  return log
end

--- Frames first + 1 .. first + n.
---@param backend ag.Backend
---@param first integer
---@param n integer
---@return ag.Tensor i32 [n, groups]
function CodeLog:tensor(backend, first, n)
  local t = tensor.zeros(backend, {n, self.groups}, 'i32')
  status.raise(lib.ag_tensor_write(t, self.data + first * self.groups, n * self.groups * 4))
  return t
end

return CodeLog
