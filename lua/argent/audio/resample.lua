-- Another sample rate, by libsoxr at its high quality (20 bits): what librosa does by default, as
-- the official implementation uses it.

local ffi = require 'ffi'
local check = require 'argent.check'
local library = require 'argent.library'
local lib = require 'argent.ffi'
local status = require 'argent.status'
local tensor = require 'argent.tensor'

-- busted loads modules again while ffi.cdef is permanent.
if not pcall(ffi.typeof, 'struct argent_soxr') then
  ffi.cdef [[
    struct argent_soxr;
    struct argent_soxr *soxr_create(double from, double to, unsigned channels, const char **err,
                                    const void *io, const void *quality, const void *runtime);
    const char *soxr_process(struct argent_soxr *s, const float *in, size_t n, size_t *used,
                             float *out, size_t room, size_t *made);
    void soxr_delete(struct argent_soxr *s);
  ]]
end

local M = {}

local BLOCK = 8192

local opened
local function soxr()
  local err, code
  if not opened then
    opened, err, code = library.open({'libsoxr.so.0'}, 'libsoxr is missing: apt install libsoxr0')
  end
  return opened, err, code
end

---@class ag.Resampler samples in by push, all of them out by finish
---@field samples integer taken so far
local Resampler = {}
Resampler.__index = Resampler

--- A resampler of one channel. Equal rates pass every bit.
---@param from integer Hz
---@param to integer Hz
---@return ag.Resampler?
---@return string? err
---@return string? code 'unsupported' without the library, 'memory'
function M.new(from, to)
  check.int(from, 'resample: from', 1, 1e6)
  check.int(to, 'resample: to', 1, 1e6)
  local self = setmetatable({from = from, to = to, samples = 0, n = 0, room = 0}, Resampler)
  if from ~= to then
    local so, err, code = soxr()
    if not so then return nil, err, code end
    local why = ffi.new 'const char *[1]'
    local raw = so.soxr_create(from, to, 1, why, nil, nil, nil)
    if raw == nil then return nil, 'libsoxr: ' .. ffi.string(why[0]), 'memory' end
    self.raw = ffi.gc(raw, so.soxr_delete)
    self.used, self.made = ffi.new 'size_t[1]', ffi.new 'size_t[1]'
  end
  return self
end

local function reserve(self, n)
  if self.n + n <= self.room then return end
  local room = math.max(2 * self.room, self.n + n, BLOCK)
  local more = ffi.new('float[?]', room)
  if self.n > 0 then ffi.copy(more, self.out, self.n * 4) end
  self.out, self.room = more, room
end

-- Everything that comes out for n more samples; nil for the end.
local function process(self, ptr, n)
  repeat
    reserve(self, BLOCK)
    local room = self.room - self.n
    local err = opened.soxr_process(self.raw, ptr, n, self.used, self.out + self.n, room,
      self.made)
    if err ~= nil then error('libsoxr: ' .. ffi.string(err), 0) end
    local used, made = tonumber(self.used[0]), tonumber(self.made[0])
    self.n = self.n + made
    if ptr ~= nil then ptr, n = ptr + used, n - used end
  until (ptr == nil and made == 0) or (ptr ~= nil and n == 0 and made < room)
end

--- Takes n samples.
---@param ptr ffi.cdata* float array or pointer
---@param n integer
function Resampler:push(ptr, n)
  self.samples = self.samples + n
  if self.raw then
    process(self, ffi.cast('const float *', ptr), n)
  else
    reserve(self, n)
    ffi.copy(self.out + self.n, ptr, n * 4)
    self.n = self.n + n
  end
end

--- How many samples librosa makes of n: it rounds the ratio of the rates first, and so ends a
--- second at 44.1 kHz with a sample of silence, the 24,001st. The official prompt is of such
--- recordings, and one sample can be one frame.
---@param n integer
---@param from integer Hz
---@param to integer Hz
---@return integer
function M.librosa_length(n, from, to)
  return math.ceil(n * (to / from))
end

--- The end: all samples at the new rate.
---@param n? integer how many; what is not there is silence; default ceil(samples * to / from)
---@return ffi.cdata* float array
---@return integer n
function Resampler:finish(n)
  if self.raw and self.samples > 0 then process(self, nil, 0) end
  n = n or math.ceil(self.samples * self.to / self.from)
  local have = self.n
  if n > have then
    reserve(self, n - have)
    ffi.fill(self.out + have, (n - have) * 4)
  end
  self.raw, self.n = nil, n
  return self.out or ffi.new 'float[1]', n
end

--- Samples at another rate.
---@param samples ag.Tensor f32 [n]
---@param from integer Hz
---@param to integer Hz
---@param length? integer of the result, with silence at its end; default ceil(n * to / from)
---@return ag.Tensor? f32 [length]
---@return string? err
---@return string? code
function M.resample(samples, from, to, length)
  if not tensor.is(samples) or #samples.shape ~= 1 or samples.dtype ~= 'f32' then
    error('resample: samples: expected a tensor f32 [n]', 2)
  end
  local r, err, code = M.new(from, to)
  if not r then return nil, err, code end
  local ptr, n = samples:host()
  r:push(ptr, n)
  ptr, n = r:finish(length)
  local out = tensor.zeros(samples.backend, {n})
  status.raise(lib.ag_tensor_write(out, ptr, n * 4))
  return out
end

check.methods(Resampler, 'resampler')

return M
