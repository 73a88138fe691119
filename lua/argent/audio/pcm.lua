-- Samples as integers: the one rounding that files and the raw stream share, and the raw stream
-- itself (s16le to a file descriptor). Hosts are little-endian, as all of LuaJIT's 64-bit ones.

local bit = require 'bit'
local ffi = require 'ffi'
local check = require 'argent.check'
local posix = require 'argent.posix'

local M = {}

--- Samples are converted this many at a time, so that memory does not grow with a call's length.
M.BLOCK = 4096

local pointer = ffi.typeof 'float *'

--- What every function that takes samples accepts: float memory and a count. Raises otherwise.
---
--- An array comes back as itself, because a bare pointer does not keep the array's memory: the
--- caller may hold no other reference to it (`writer:write(samples:host())`), and the collector
--- would take it in the middle of the call. Memory behind a pointer is the caller's to keep.
---@param samples ffi.cdata* float array or pointer
---@param n integer samples
---@param name string for the message
---@param level? integer extra levels up to the caller's line
---@return ffi.cdata* samples the array, or const float *: index it, or add to it for a C call
function M.samples(samples, n, name, level)
  level = level or 0
  check.int(n, name .. ': n', 0, 2 ^ 53, level + 1)
  -- ffi.cast takes anything; an initializer takes float memory and void * only.
  local ok, p = pcall(ffi.new, 'const float *[1]', {samples})
  local is_pointer = ok and ffi.istype(pointer, samples)
  if not ok or type(samples) ~= 'cdata' or (p[0] == nil and n > 0)
    or not is_pointer and tostring(ffi.typeof(samples)):find 'void %*' then
    error(('%s: expected a float pointer, got %s'):format(name, type(samples) == 'cdata'
      and tostring(ffi.typeof(samples)) or check.show(samples)), level + 3)
  end
  if is_pointer then return p[0] end
  local room = ffi.sizeof(samples) / 4
  if n > room then
    error(('%s: %.0f samples of an array of %d'):format(name, n, room), level + 3)
  end
  return samples
end

--- The first sample that is not a number (0-based), or nil: it would become some integer silently.
---@param ptr ffi.cdata* what samples() gives
---@param n integer samples
---@return integer?
function M.find_nan(ptr, n)
  for i = 0, n - 1 do
    if ptr[i] ~= ptr[i] then return i end
  end
end

-- To the nearest integer, halves up, within [-limit - 1, limit].
local function round(x, limit)
  local v = math.floor(x * limit + 0.5)
  return v < -limit - 1 and -limit - 1 or v > limit and limit or v
end

--- 16-bit samples: x * 32767 to the nearest integer, clipped to [-32768, 32767].
---@param out ffi.cdata* int16_t *, n of them
---@param ptr ffi.cdata* what samples() gives, no NaN
---@param n integer samples
function M.to_int16(out, ptr, n)
  for i = 0, n - 1 do out[i] = round(ptr[i], 32767) end
end

--- 24-bit samples in the upper bits of int32, as libsndfile takes them: x * 8388607 to the nearest
--- integer, clipped to [-8388608, 8388607].
---@param out ffi.cdata* int32_t *, n of them
---@param ptr ffi.cdata* what samples() gives, no NaN
---@param n integer samples
function M.to_int24(out, ptr, n)
  for i = 0, n - 1 do out[i] = bit.lshift(round(ptr[i], 8388607), 8) end
end

--- Float samples clipped to [-1, 1].
---@param out ffi.cdata* float *, n of them
---@param ptr ffi.cdata* what samples() gives, no NaN
---@param n integer samples
function M.clip(out, ptr, n)
  for i = 0, n - 1 do out[i] = math.max(-1, math.min(1, ptr[i])) end
end

local function nan_error(index)
  return nil, ('sample %d is not a number'):format(index), 'internal'
end

--- 16-bit samples as a string of little-endian bytes.
---@param ptr ffi.cdata* float array or pointer, samples in [-1, 1]
---@param n integer samples
---@return string? bytes 2 n of them
---@return string? err a sample is NaN (index from 0)
---@return string? code 'internal'
function M.s16(ptr, n)
  ptr = M.samples(ptr, n, 'pcm.s16')
  local nan = M.find_nan(ptr, n)
  if nan then return nan_error(nan) end
  local out = ffi.new('int16_t[?]', n)
  M.to_int16(out, ptr, n)
  return ffi.string(out, 2 * n)
end

---@class ag.SampleSink
---@field samples integer written so far
---@field fault string? why a write failed
local Sink = {}
Sink.__index = Sink

--- A writer of raw s16le to a file descriptor, with the interface of audio.file. The descriptor
--- stays the caller's: it is not closed. SIGPIPE must be ignored for a closed pipe to be an error.
---@param fd integer
---@return ag.SampleSink
function M.sink(fd)
  check.int(fd, 'pcm.sink: fd', 0)
  return setmetatable({fd = fd, samples = 0, block = ffi.new('int16_t[?]', M.BLOCK)}, Sink)
end

--- Writes n samples now.
---@param ptr ffi.cdata* float array or pointer, samples in [-1, 1]; what is beyond is clipped
---@param n integer samples
---@return boolean? ok
---@return string? err
---@return string? code 'io'; 'internal' when a sample is NaN: then none of the call is written
function Sink:write(ptr, n)
  if self.finished then error('write: the stream is finished', 2) end
  ptr = M.samples(ptr, n, 'write')
  local nan = M.find_nan(ptr, n)
  if nan then return nan_error(self.samples + nan) end
  for first = 0, n - 1, M.BLOCK do
    local count = math.min(M.BLOCK, n - first)
    M.to_int16(self.block, ptr + first, count)
    local ok, err, errno = posix.write(self.fd, self.block, 2 * count)
    if not ok then
      self.fault = errno == posix.EPIPE and 'standard output was closed'
        or 'standard output: ' .. err
      return nil, self.fault, 'io'
    end
  end
  self.samples = self.samples + n
  return true
end

--- Ends the stream; every sample was written when write() returned. The option `as` of audio.file
--- means nothing here.
---@return boolean? ok
---@return string? err a write had failed
---@return string? code 'io'
function Sink:finish()
  if self.finished then error('finish: the stream is finished', 2) end
  self.finished = true
  if self.fault then return nil, self.fault, 'io' end
  return true
end

--- Ends the stream; what was written cannot be taken back.
function Sink:abort() self.finished = true end

check.methods(Sink, 'sample sink')

return M
