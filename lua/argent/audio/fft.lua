-- The Fourier transform of real signals, by kissfft in single precision.

local ffi = require 'ffi'
local library = require 'argent.library'
require 'argent.posix' -- declares free

-- busted loads modules again while ffi.cdef is permanent.
if not pcall(ffi.typeof, 'argent_fftr') then
  ffi.cdef [[
    typedef struct argent_fftr argent_fftr;
    typedef struct { float re, im; } argent_complex;
    argent_fftr *kiss_fftr_alloc(int n, int inverse, void *memory, size_t *length);
    void kiss_fftr(argent_fftr *fft, const float *x, argent_complex *out);
  ]]
end

local M = {}

local opened
local function kissfft()
  local err, code
  if not opened then
    opened, err, code = library.open({'libkissfft-float.so.131'},
      'kissfft is missing: apt install libkissfft-float131')
  end
  return opened, err, code
end

--- A transform of n samples, n even: transform(x, out) takes float[n] and fills
--- argent_complex[n / 2 + 1].
---@param n integer
---@return (fun(x: ffi.cdata*, out: ffi.cdata*))? transform
---@return string? err
---@return string? code 'unsupported' without the library
function M.real(n)
  local lib, err, code = kissfft()
  if not lib then return nil, err, code end
  local fft = lib.kiss_fftr_alloc(n, 0, nil, nil)
  if fft == nil then return nil, 'out of memory', 'memory' end
  fft = ffi.gc(fft, ffi.C.free)
  return function(x, out) lib.kiss_fftr(fft, x, out) end
end

return M
