-- The mel spectrogram that the speaker encoder reads (REFERENCE.md, "Mel spectrogram"), which also
-- makes good pictures: magnitudes of a short-time Fourier transform, summed into bands of the
-- Slaney scale.

local ffi = require 'ffi'
local check = require 'argent.check'
local fft = require 'argent.audio.fft'
local lib = require 'argent.ffi'
local status = require 'argent.status'
local tensor = require 'argent.tensor'

local M = {RATE = 24000, HOP = 256, BANDS = 128, HIGHEST = 12000}

local SIZE = 1024                    -- of the window and the transform
local PAD = (SIZE - M.HOP) / 2       -- samples mirrored at each end
local BINS = SIZE / 2 + 1
local PIECE = 128                    -- frames between two pauses
local LOG_STEP = math.log(6.4) / 27  -- of the scale above 1 kHz

--- Hz to mel on Slaney's scale: linear below 1 kHz, logarithmic above.
---@param hz number
---@return number
function M.from_hz(hz)
  return hz < 1000 and 3 * hz / 200 or 15 + math.log(hz / 1000) / LOG_STEP
end

--- Mel to Hz.
---@param mel number
---@return number
function M.to_hz(mel)
  return mel < 15 and 200 * mel / 3 or 1000 * math.exp((mel - 15) * LOG_STEP)
end

-- The triangles of the bands: for each its first bin and its weights, of area one.
local function filters()
  local edges, list = {}, {}
  for i = 0, M.BANDS + 1 do edges[i] = M.to_hz(M.from_hz(M.HIGHEST) * i / (M.BANDS + 1)) end
  for b = 1, M.BANDS do
    local low, middle, high = edges[b - 1], edges[b], edges[b + 1]
    local band = {first = nil, weights = {}}
    for k = 0, BINS - 1 do
      local hz = k * M.RATE / SIZE
      local w = math.min((hz - low) / (middle - low), (high - hz) / (high - middle))
      if w > 0 then
        band.first = band.first or k
        band.weights[k - band.first + 1] = w * 2 / (high - low)
      end
    end
    local n = #band.weights
    list[b] = {first = band.first or 0, n = n, weights = ffi.new('double[?]', n + 1, band.weights)}
  end
  return list
end

local bank, window

local function prepare()
  bank = filters()
  window = ffi.new('float[?]', SIZE)
  for i = 0, SIZE - 1 do window[i] = 0.5 - 0.5 * math.cos(2 * math.pi * i / SIZE) end
end

--- The log-mel spectrogram: natural logarithms of band magnitudes, at least ln 1e-5; frame t stands
--- for the 256 samples from 256 t, that is at t * 256 / 24000 s.
---@param samples ag.Tensor f32 [n] at 24 kHz, n > 384
---@param pause? fun() called between pieces of some milliseconds; may yield
---@return ag.Tensor? mel f32 [floor(n / 256), 128], on the backend of samples
---@return string? err
---@return string? code 'value' when there are too few samples, 'unsupported' without kissfft
function M.spectrogram(samples, pause)
  if not tensor.is(samples) then check.type(samples, 'spectrogram: samples', 'tensor') end
  if #samples.shape ~= 1 or samples.dtype ~= 'f32' then
    error(('spectrogram: expected samples f32 [n], got %s'):format(tostring(samples)), 2)
  end
  local x, n = samples:host()
  if n <= PAD then
    return nil, ('the sound is too short: %d samples, %d are needed'):format(n, PAD + 1), 'value'
  end
  local transform, err, code = fft.real(SIZE)
  if not transform then return nil, err, code end
  if not bank then prepare() end

  local padded = ffi.new('float[?]', n + 2 * PAD)
  ffi.copy(padded + PAD, x, n * 4)
  for i = 1, PAD do -- mirrored about the first and the last sample
    padded[PAD - i] = x[i]
    padded[PAD + n - 1 + i] = x[n - 1 - i]
  end
  local frames = math.floor(n / M.HOP)
  local out = ffi.new('float[?]', frames * M.BANDS + 1)
  local block, spectrum = ffi.new('float[?]', SIZE), ffi.new('argent_complex[?]', BINS)
  local magnitude = ffi.new('double[?]', BINS)
  for t = 0, frames - 1 do
    status.heed_interrupt()
    if pause and t % PIECE == 0 then pause() end
    local from = padded + t * M.HOP
    for i = 0, SIZE - 1 do block[i] = from[i] * window[i] end
    transform(block, spectrum)
    for k = 0, BINS - 1 do
      local re, im = spectrum[k].re, spectrum[k].im
      magnitude[k] = math.sqrt(re * re + im * im + 1e-9)
    end
    for b = 1, M.BANDS do
      local band, sum = bank[b], 0
      local weights, first = band.weights, band.first
      for i = 0, band.n - 1 do sum = sum + weights[i] * magnitude[first + i] end
      out[t * M.BANDS + b - 1] = math.log(math.max(sum, 1e-5))
    end
  end
  local mel = tensor.zeros(samples.backend, {frames, M.BANDS})
  status.raise(lib.ag_tensor_write(mel, out, frames * M.BANDS * 4))
  return mel
end

return M
