-- Sound files in, through libsndfile: any of the usual formats becomes one channel at the rate that
-- is asked for. Files come from strangers, so nothing in a header is believed that the samples do
-- not bear out, and reading ends at a bound.

local ffi = require 'ffi'
local check = require 'argent.check'
local data_url = require 'argent.audio.data_url'
local lib = require 'argent.ffi'
local pcm = require 'argent.audio.pcm'
local posix = require 'argent.posix'
local resample = require 'argent.audio.resample'
local sndfile = require 'argent.audio.sndfile'
local status = require 'argent.status'
local tensor = require 'argent.tensor'

local M = {}

-- Containers and codecs that are read. Rarely used decoders are left out: that is where libraries
-- have their faults.
local CONTAINERS = {[0x01] = 'wav', [0x13] = 'wav', [0x22] = 'wav', [0x17] = 'flac', [0x20] = 'ogg',
  [0x23] = 'mp3'}
local CODECS = {
  [0x01] = '8 bit', [0x02] = '16 bit', [0x03] = '24 bit', [0x04] = '32 bit', [0x05] = '8 bit',
  [0x06] = 'float', [0x07] = 'double', [0x10] = 'u-law', [0x11] = 'A-law',
  [0x60] = 'vorbis', [0x64] = 'opus', [0x82] = 'layer 3',
}
local MOST_CHANNELS = 16
local LOG_INFO = 0x1001

-- A message is one line, whatever the path holds.
local function fault(name, code, fmt, ...)
  return nil, ('%s: %s'):format(name:gsub('%c', '?'), fmt:format(...)), code
end

-- What the header promises and the file does not hold: libsndfile corrects the length of the data
-- chunk and notes it in its log. A length that a program wrote before it knew the true one is no
-- promise.
local function broken_promise(so, f)
  local text = ffi.new 'char[8192]'
  local n = so.sf_command(f, LOG_INFO, text, 8192)
  local log = ffi.string(text, math.max(0, math.min(n, 8191)))
  local promised, held = log:match 'data%s*:%s*(%d+) %(should be (%d+)%)'
  promised, held = tonumber(promised), tonumber(held)
  if promised and held < promised and promised < 0x7fffff00 and promised > 0 then
    return promised, held
  end
end

-- libmpg123 inside libsndfile prints messages about damaged files.
local function quietly(fn)
  return posix.silenced(2, fn)
end

local function open(path, name)
  local so, err, code = sndfile.load()
  if not so then return nil, err, code end
  if path:find('\0', 1, true) then return fault(name, 'io', 'a path cannot hold a zero byte') end
  local kind
  kind, err = posix.kind(path)
  if not kind then return fault(name, 'io', err) end
  if kind ~= 'file' then return fault(name, 'io', 'is a %s, not a file', kind) end
  local readable, errno -- libsndfile does not tell "may not" from "cannot"
  readable, err, errno = io.open(path, 'rb')
  if not readable then return nil, err, posix.code(errno) end
  readable:close()
  local info = ffi.new 'argent_sf_info'
  local f = quietly(function() return so.sf_open(path, sndfile.READ, info) end)
  if f == nil then
    if sndfile.lacked_memory() then return nil, 'out of memory', 'memory' end
    return fault(name, 'value', 'is no sound that can be read (%s)', sndfile.text(nil) or 'unknown')
  end
  return ffi.gc(f, so.sf_close), info, so
end

---@class ag.SoundInfo
---@field rate integer of the file, Hz
---@field channels integer
---@field seconds number read
---@field format string 'wav 16 bit', 'ogg opus', ...

-- Reads blocks, averages their channels, and hands them on; returns the frames read.
local function pump(name, so, f, info, limit, take, pause)
  local channels, total = info.channels, 0
  local block, mono = ffi.new('float[?]', pcm.BLOCK * channels), ffi.new('float[?]', pcm.BLOCK)
  local function next_block() return so.sf_read_float(f, block, pcm.BLOCK * channels) end
  while true do
    local n = math.floor(tonumber(quietly(next_block)) / channels)
    if n <= 0 then break end
    status.heed_interrupt()
    if pause then pause() end
    for i = 0, n - 1 do
      local sum = 0
      for c = 0, channels - 1 do sum = sum + block[i * channels + c] end
      mono[i] = sum / channels
    end
    for i = 0, n - 1 do
      if mono[i] - mono[i] ~= 0 then
        return fault(name, 'value', 'sample %d is NaN or infinite', total + i)
      end
    end
    total = total + n
    if total > limit then
      return fault(name, 'value', 'is longer than %g s; cut out the part that is needed',
        limit / info.samplerate)
    end
    take(mono, n)
  end
  if so.sf_error(f) ~= 0 then
    return fault(name, 'value', 'is damaged after %.2f s (%s)', total / info.samplerate,
      sndfile.text(f) or 'unknown')
  end
  return total
end

-- name: how messages call it.
local function read(path, name, backend, rate, seconds, pause)
  local f, info, so = open(path, name)
  if not f then return nil, info, so end
  local container = CONTAINERS[bit.band(bit.rshift(info.format, 16), 0xfff)]
  local codec = CODECS[bit.band(info.format, 0xffff)]
  if not container or not codec then
    return fault(name, 'value', 'its format is not among those that are read: wav (PCM, float, '
      .. 'u-law, A-law), flac, ogg (vorbis, opus), mp3')
  end
  if info.samplerate < 8000 or info.samplerate > 192000 then
    return fault(name, 'value', 'has %d samples a second; 8000 to 192000 are read', info.samplerate)
  end
  if info.channels < 1 or info.channels > MOST_CHANNELS then
    return fault(name, 'value', 'has %d channels; up to %d are read', info.channels, MOST_CHANNELS)
  end
  local promised, held = broken_promise(so, f)
  if promised then
    return fault(name, 'value', 'is cut off: its header promises %d bytes of sound, it holds %d',
      promised, held)
  end

  rate = rate == 0 and info.samplerate or rate
  local r, err, code = resample.new(info.samplerate, rate)
  if not r then return nil, err, code end
  local limit = math.floor(seconds * info.samplerate)
  local total
  total, err, code = pump(name, so, f, info, limit, function(mono, n) r:push(mono, n) end, pause)
  quietly(function() so.sf_close(ffi.gc(f, nil)) end)
  if not total then return nil, err, code end
  if total == 0 then return fault(name, 'value', 'holds no samples') end
  -- Flac that was streamed leaves its length open, which libsndfile gives as the largest number.
  if container == 'flac' and info.frames > 0 and info.frames < 2LL ^ 62 and total < info.frames then
    return fault(name, 'value', 'is cut off: its header promises %d samples, it holds %d',
      tonumber(info.frames), total)
  end
  local ptr, n = r:finish(resample.librosa_length(total, info.samplerate, rate))
  local samples = tensor.zeros(backend, {n})
  status.raise(lib.ag_tensor_write(samples, ptr, n * 4))
  return samples, {
    rate = info.samplerate, channels = info.channels, seconds = total / info.samplerate,
    format = container .. ' ' .. codec,
  }
end

--- How messages call a sound: its path on one line, or that it is a data URL.
---@param path string
---@return string
function M.name(path)
  return data_url.is(path) and 'the data URL' or (path:gsub('%c', '?'))
end

local function read_bytes(bytes, name, ...)
  local fd, err = posix.memory_file(bytes)
  if not fd then return fault(name, 'memory', '%s', err) end
  local ok, samples, info, code = pcall(read, '/proc/self/fd/' .. fd, name, ...)
  posix.close(fd)
  if not ok then error(samples, 0) end
  return samples, info, code
end

local function read_url(url, name, ...)
  local bytes, err = data_url.decode(url)
  if not bytes then return fault(name, 'value', '%s', err) end
  return read_bytes(bytes, name, ...)
end

--- Reads a sound file (wav, flac, ogg, opus, mp3) as one channel, the mean of all, at a rate, with
--- as many samples as librosa gives (see argent.audio.resample).
---@param path string|{bytes: string} or a data URL in base64, `data:audio/wav;base64,...`; bytes:
---those of a file
---@param opts {backend: ag.Backend, rate: integer?, max_seconds: number?, pause: fun()?} rate: of
---the result, default 24000, or 0 for the file's own; max_seconds: a longer file is refused,
---default 600; pause: called between pieces of some milliseconds; may yield
---@return ag.Tensor? samples f32 [n]
---@return ag.SoundInfo|string info_or_err
---@return string? code 'io' when there is no such file, 'value' when it is no usable sound,
---'unsupported' when a library is missing
function M.read(path, opts)
  local bytes = type(path) == 'table' and check.type(path.bytes, 'read: bytes', 'string')
  if not bytes then check.type(path, 'read: path', 'string') end
  opts = check.options(opts, 'read', {'backend', 'rate', 'max_seconds', 'pause'})
  if not opts.backend then
    error('read: needs a backend: ag.audio.read(path, {backend = be})', 2)
  end
  local rate = opts.rate or 24000
  if rate ~= 0 then check.int(rate, 'read: rate', 8000, 192000) end
  local seconds = check.number(opts.max_seconds or 600, 'read: max_seconds', 0.001, 1e5)
  local how = bytes and read_bytes or data_url.is(path) and read_url or read
  local samples, info, code = how(bytes or path, bytes and 'the recording' or M.name(path),
    opts.backend, rate, seconds, opts.pause)
  return samples, info, code
end

return M
