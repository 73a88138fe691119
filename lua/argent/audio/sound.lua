-- A sound: samples and their rate, and whatever else its maker says of it.

local check = require 'argent.check'
local file = require 'argent.audio.file'
local tensor = require 'argent.tensor'

local M = {}

--- Writes samples to a sound file, whole or not at all.
---@param path string wav, flac, ogg, opus or mp3 by its extension
---@param samples ag.Tensor|number[] f32 [n] in [-1, 1]; what is beyond is clipped
---@param opts? {rate: integer?, bits: string?} rate default 24000; bits: '16' (default), '24' (wav,
---flac), 'float' (wav)
---@return boolean? ok
---@return string? err
---@return string? code 'usage' for the name or the format, 'io', 'internal' when a sample is NaN
function M.write(path, samples, opts)
  check.type(path, 'write: path', 'string')
  opts = check.options(opts, 'write', {'rate', 'bits'})
  local ptr, n
  if tensor.is(samples) then
    if #samples.shape ~= 1 then
      error(('write: samples: expected [n], got %s'):format(tostring(samples)), 2)
    end
    ptr, n = samples:host()
  else
    check.type(samples, 'write: samples', 'table')
    n = #samples
    ptr = require('ffi').new('float[?]', n + 1)
    for i = 1, n do ptr[i - 1] = check.number(samples[i], 'write: samples') end
  end
  local writer, err, code = file.create(path, opts)
  if not writer then return nil, err, code end
  local ok
  ok, err, code = writer:write(ptr, n)
  if ok then ok, err, code = writer:finish() end
  if not ok then
    writer:abort()
    return nil, err, code
  end
  return true
end

---@class ag.Sound
---@field samples ag.Tensor f32 [n] in [-1, 1]
---@field rate integer samples a second
---@field codes ag.Tensor i32 [frames, G]
---@field stats table see ag.SpeechSoFar.stats
local Sound = {}
Sound.__index = Sound

--- Gives a table with samples and rate the methods of a sound.
---@return ag.Sound
function M.new(t)
  return setmetatable(t, Sound)
end

--- How long it lasts.
---@return number seconds
function Sound:seconds()
  return self.samples:count() / self.rate
end

--- Writes it to a sound file; see argent.audio.sound.write.
---@param path string
---@param opts? {bits: string?}
---@return boolean? ok
---@return string? err
---@return string? code
function Sound:save(path, opts)
  opts = check.options(opts, 'save', {'bits'})
  local ok, err, code = M.write(path, self.samples, {rate = self.rate, bits = opts.bits})
  return ok, err, code
end

Sound.__tostring = function(s)
  return ('sound: %.2f s at %d Hz'):format(s:seconds(), s.rate)
end

return M
