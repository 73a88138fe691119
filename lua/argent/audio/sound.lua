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

--- Sounds one after the other.
---@param list (ag.Tensor|ag.Sound)[] samples f32 [n], or sounds of one rate; at least one
---@param opts? {pause: number?, rate: integer?} pause: seconds of silence between two, default 0;
---rate default that of the sounds, else 24000
---@return ag.Sound
function M.join(list, opts)
  check.type(list, 'join: sounds', 'table')
  opts = check.options(opts, 'join', {'pause', 'rate'})
  local rate, parts, n = opts.rate, {}, 0
  for i, s in ipairs(list) do
    local samples = tensor.is(s) and s or type(s) == 'table' and s.samples
    if not tensor.is(samples) or #samples.shape ~= 1 then
      error(('join: sounds[%d]: expected a sound or samples [n]'):format(i), 2)
    end
    local own = not tensor.is(s) and s.rate
    if own and rate and own ~= rate then
      local err = 'join: sounds[%d] has %d samples a second, not %d; resample it'
      error(err:format(i, own, rate), 2)
    end
    rate = rate or own or nil
    parts[i] = samples
  end
  if #parts == 0 then error('join: no sounds', 2) end
  rate = rate or 24000
  local gap = math.floor(check.number(opts.pause or 0, 'join: pause', 0, 3600) * rate + 0.5)
  for _, p in ipairs(parts) do n = n + #p end
  local out, at = tensor.zeros(parts[1].backend, {n + gap * (#parts - 1)}), 0
  for _, p in ipairs(parts) do
    if #p > 0 then out:narrow(1, at + 1, #p):copy(p) end
    at = at + #p + gap
  end
  return M.new {samples = out, rate = rate}
end

---@class ag.Sound
---@field samples ag.Tensor f32 [n] in [-1, 1]
---@field rate integer samples a second
---@field codes ag.Tensor i32 [frames, G]
---@field stats table see ag.SpeechSoFar.stats
---@field utterance ag.Utterance? what has been spoken, see ag.Synthesizer.align
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
  check.type(path, 'save: path', 'string')
  opts = check.options(opts, 'save', {'bits'})
  local ok, err, code = M.write(path, self.samples, {rate = self.rate, bits = opts.bits})
  return ok, err, code
end

Sound.__tostring = function(s)
  return ('sound: %.2f s at %d Hz'):format(s:seconds(), s.rate)
end

check.methods(Sound, 'sound')

return M
