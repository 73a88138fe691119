-- FNV-1a, 64 bits: tells files and options apart that were changed. Not against forgery.

local bit = require 'bit'
local ffi = require 'ffi'

local M = {}

local START, PRIME = 0xcbf29ce484222325ULL, 0x100000001b3ULL

---@class ag.Hash
local Hash = {}
Hash.__index = Hash

--- A hash of nothing yet.
---@return ag.Hash
function M.new()
  return setmetatable({value = START}, Hash)
end

--- Goes on with n bytes.
---@param data string|ffi.cdata*
---@param n? integer default: all of a string
---@return ag.Hash self
function Hash:add(data, n)
  local bytes, value = ffi.cast('const uint8_t *', data), self.value
  for i = 0, (n or #data) - 1 do value = bit.bxor(value, bytes[i] + 0ULL) * PRIME end
  self.value = value
  return self
end

--- Of all bytes so far.
---@return string hex 16 digits
function Hash:hex()
  return bit.tohex(self.value, 16)
end

return M
