-- FNV-1a, 64 bits: a short name for many bytes. It finds accidents, not forgeries.

local bit = require 'bit'
local ffi = require 'ffi'

local M = {}

--- The hash of n bytes at p.
---@param p ffi.cdata*
---@param n integer
---@return string 16 hexadecimal digits
function M.bytes(p, n)
  local b, h = ffi.cast('const uint8_t *', p), 0xcbf29ce484222325ULL
  for i = 0, n - 1 do h = bit.bxor(h, b[i] + 0ULL) * 0x100000001b3ULL end
  return bit.tohex(h, 16)
end

--- The hash of a tensor's elements, 4 bytes each, in row-major order.
---@param t ag.Tensor f32 or i32
---@return string
function M.tensor(t)
  local a, n = t:host()
  return M.bytes(a, n * 4)
end

return M
