-- Samples as integers: the one rounding that files and the raw stream share, and the raw stream
-- itself.

local ffi = require 'ffi'
local bit = require 'bit'
local posix = require 'argent.posix'

local M = {}

local int16s = ffi.typeof 'int16_t[?]'

-- To the nearest integer, halves up, within [-limit - 1, limit].
local function round(x, limit)
  local v = math.floor(x * limit + 0.5)
  return v < -limit - 1 and -limit - 1 or v > limit and limit or v
end

--- The first sample that is not a number (0-based), or nil: it would become some integer silently.
---@param ptr ffi.cdata* const float *
function M.find_nan(ptr, n)
  for i = 0, n - 1 do
    if ptr[i] ~= ptr[i] then return i end
  end
end

--- 16-bit samples: x * 32767 to the nearest integer, clipped.
---@param ptr ffi.cdata* const float *
---@param n integer
---@return ffi.cdata* int16_t[n]
function M.to_int16(ptr, n)
  local out = int16s(n + 1)
  for i = 0, n - 1 do out[i] = round(ptr[i], 32767) end
  return out
end

--- 24-bit samples in the upper bits of int32, as libsndfile takes them: x * 8388607 to the nearest
--- integer, clipped.
function M.to_int24(ptr, n)
  local out = ffi.new('int32_t[?]', n + 1)
  for i = 0, n - 1 do out[i] = bit.lshift(round(ptr[i], 8388607), 8) end
  return out
end

--- 16-bit samples as a string of little-endian bytes.
function M.s16(ptr, n)
  return ffi.string(M.to_int16(ptr, n), 2 * n) -- this file assumes a little-endian host, as LuaJIT's targets are
end

local Sink = {}
Sink.__index = Sink

--- A writer of raw s16le to a file descriptor, with the interface of audio.file.
---@param fd integer
function M.sink(fd)
  return setmetatable({fd = fd, samples = 0}, Sink)
end

--- Writes n samples now.
---@return boolean? ok
---@return string? err
---@return string? code 'io'
function Sink:write(ptr, n)
  local nan = M.find_nan(ptr, n)
  if nan then return nil, ('sample %d is not a number'):format(self.samples + nan), 'internal' end
  local ok, err, errno = posix.write(self.fd, M.to_int16(ptr, n), 2 * n)
  if not ok then
    return nil, errno == posix.EPIPE and 'standard output was closed' or 'standard output: ' .. err, 'io'
  end
  self.samples = self.samples + n
  return true
end

function Sink:finish() return true end
function Sink:abort() end

return M
