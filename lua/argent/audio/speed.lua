-- Faster and slower speech at the same pitch, by libsonic, which is made for speech.

local check = require 'argent.check'
local ffi = require 'ffi'
local library = require 'argent.library'

-- busted loads modules again while ffi.cdef is permanent.
if not pcall(ffi.typeof, 'struct argent_sonic') then
  ffi.cdef [[
    struct argent_sonic;
    struct argent_sonic *sonicCreateStream(int rate, int channels);
    void sonicDestroyStream(struct argent_sonic *s);
    void sonicSetSpeed(struct argent_sonic *s, float speed);
    int sonicWriteFloatToStream(struct argent_sonic *s, const float *samples, int n);
    int sonicReadFloatFromStream(struct argent_sonic *s, float *samples, int most);
    int sonicFlushStream(struct argent_sonic *s);
    int sonicSamplesAvailable(struct argent_sonic *s);
  ]]
end

local M = {}

--- What can be asked for.
M.SLOWEST, M.FASTEST = 0.25, 4

local opened
local function sonic()
  local err, code
  if not opened then
    opened, err, code = library.open({'libsonic.so.0'},
      'libsonic is missing: apt install libsonic0')
  end
  return opened, err, code
end

---@class ag.Speed samples in, samples out at another speed
local Speed = {}
Speed.__index = Speed

--- Sound at another speed. At 1 every sample passes as it is.
---@param rate integer
---@param speed number M.SLOWEST to M.FASTEST; 2: in half the time
---@return ag.Speed?
---@return string? err
---@return string? code 'unsupported' without the library, 'memory'
function M.new(rate, speed)
  check.int(rate, 'speed: rate', 8000, 192000)
  check.number(speed, 'speed', M.SLOWEST, M.FASTEST)
  if speed == 1 then return setmetatable({}, Speed) end
  local lib, err, code = sonic()
  if not lib then return nil, err, code end
  local raw = lib.sonicCreateStream(rate, 1)
  if raw == nil then return nil, 'libsonic: out of memory', 'memory' end
  raw = ffi.gc(raw, lib.sonicDestroyStream)
  lib.sonicSetSpeed(raw, speed)
  return setmetatable({raw = raw}, Speed)
end

-- All that is ready.
local function take(self)
  local n = opened.sonicSamplesAvailable(self.raw)
  local out = ffi.new('float[?]', math.max(n, 1))
  return out, n > 0 and opened.sonicReadFloatFromStream(self.raw, out, n) or 0
end

--- What n more samples make, perhaps nothing yet.
---@param ptr ffi.cdata* float array or pointer
---@param n integer
---@return ffi.cdata* samples float array or pointer
---@return integer n
function Speed:write(ptr, n)
  if not self.raw then return ptr, n end
  if opened.sonicWriteFloatToStream(self.raw, ffi.cast('const float *', ptr), n) == 0 then
    error('not enough memory', 0)
  end
  return take(self)
end

--- What is left.
---@return ffi.cdata* samples float array
---@return integer n
function Speed:finish()
  if not self.raw then return ffi.new 'float[1]', 0 end
  if opened.sonicFlushStream(self.raw) == 0 then error('not enough memory', 0) end
  return take(self)
end

check.methods(Speed, 'speed')

return M
