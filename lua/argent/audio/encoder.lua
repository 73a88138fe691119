-- Sound as bytes of a format while it is made, for those who send it on: chunks of samples in,
-- bytes out. libsndfile writes into a pipe that is emptied behind it. What cannot be known before
-- the end is not said: the header of a wav leaves its length open.

local check = require 'argent.check'
local ffi = require 'ffi'
local formats = require 'argent.audio.formats'
local pcm = require 'argent.audio.pcm'
local posix = require 'argent.posix'
local sndfile = require 'argent.audio.sndfile'

local M = {}

-- A page of opus holds at most so many milliseconds; libsndfile would wait for a second.
local PAGE_LATENCY, SET_PAGE_LATENCY = 200, 0x1302
-- A stream of mp3 has no index, so readers take the first frame's bit rate for that of all: it is
-- one for all, 64 kbit/s at 24 kHz.
local SET_BITRATE_MODE, CONSTANT = 0x1305, 0
local SET_COMPRESSION, LEVEL = 0x1301, 0.6
local OPEN = 0xffffffff -- a length that is not known

--- The formats, sorted.
M.FORMATS = {'flac', 'mp3', 'ogg', 'opus', 'pcm', 'wav'}

local function little(n, bytes)
  local out = {}
  for i = 1, bytes do out[i], n = string.char(n % 256), math.floor(n / 256) end
  return table.concat(out)
end

--- The 44 bytes in front of 16-bit samples in a wav.
---@param rate integer
---@param bytes integer? of samples; nil: not known yet
---@return string
function M.wav_header(rate, bytes)
  return 'RIFF' .. little(bytes and bytes + 36 or OPEN, 4) .. 'WAVEfmt ' .. little(16, 4)
    .. little(1, 2) .. little(1, 2) .. little(rate, 4) .. little(2 * rate, 4) .. little(2, 2)
    .. little(16, 2) .. 'data' .. little(bytes or OPEN, 4)
end

---@class ag.Encoder
---@field format string
local Encoder = {}
Encoder.__index = Encoder

-- Raw samples, with or without a header.
local Plain = setmetatable({}, {__index = Encoder})
Plain.__index = Plain

function Plain:write(ptr, n)
  local bytes, err, code = pcm.s16(ptr, n)
  if not bytes then return nil, err, code end
  bytes, self.header = (self.header or '') .. bytes, nil
  return bytes
end

function Plain:finish()
  local bytes = self.header or ''
  self.header = nil
  return bytes
end

function Plain.close() end

--- An encoder of one channel, 16 bits where the format has a choice.
---@param format string of M.FORMATS
---@param rate integer
---@return ag.Encoder?
---@return string? err
---@return string? code 'unsupported' without libsndfile, 'io'
function M.new(format, rate)
  check.one_of(format, 'encoder: format', M.FORMATS)
  check.int(rate, 'encoder: rate', 8000, 192000)
  if format == 'pcm' or format == 'wav' then
    return setmetatable({
      format = format, header = format == 'wav' and M.wav_header(rate) or nil,
    }, Plain)
  end
  local lib, err, code = sndfile.load()
  if not lib then return nil, err, code end
  local kind = formats[format]
  local out, into = posix.pipe()
  if not out then return nil, into, 'io' end
  local encoding = kind.bits['16']
  local info = ffi.new('argent_sf_info', {samplerate = rate, channels = 1,
    format = kind.id + encoding.id})
  local raw = lib.sf_open_fd(into, sndfile.WRITE, info, 0)
  if raw == nil then
    err = sndfile.text(nil)
    posix.close(out)
    posix.close(into)
    return nil, ('%s: %s'):format(format, err or 'libsndfile cannot write this format'),
      'unsupported'
  end
  if format == 'mp3' then
    lib.sf_command(raw, SET_BITRATE_MODE, ffi.new('int[1]', CONSTANT), ffi.sizeof 'int')
    lib.sf_command(raw, SET_COMPRESSION, ffi.new('double[1]', LEVEL), ffi.sizeof 'double')
  end
  lib.sf_command(raw, SET_PAGE_LATENCY, ffi.new('double[1]', PAGE_LATENCY), ffi.sizeof 'double')
  local self = setmetatable({
    format = format, lib = lib, encoding = encoding, block = ffi.new(encoding.block, pcm.BLOCK),
    held = {raw = raw, out = out, into = into},
  }, Encoder)
  local held = self.held
  self.guard = ffi.gc(ffi.new 'char[1]', function() M.discard(lib, held) end)
  return self
end

--- Lets go of what an encoder holds; for the encoder itself and the collector.
function M.discard(lib, held)
  if held.raw then lib.sf_close(held.raw) end
  if held.out then posix.close(held.out) end
  if held.into then posix.close(held.into) end
  held.raw, held.out, held.into = nil, nil, nil
end

-- All that has come out of the pipe.
local function drain(self, parts)
  while true do
    local bytes = posix.read(self.held.out)
    if not bytes or bytes == '' then return end
    parts[#parts + 1] = bytes
  end
end

--- The bytes that n more samples make, perhaps none yet.
---@param ptr ffi.cdata* float array or pointer, samples in [-1, 1]
---@param n integer
---@return string? bytes
---@return string? err
---@return string? code 'internal' for a sample that is NaN, 'io'
function Encoder:write(ptr, n)
  if not self.held.raw then error('write: the encoder is finished', 2) end
  ptr = pcm.samples(ptr, n, 'write')
  local nan = pcm.find_nan(ptr, n)
  if nan then return nil, ('sample %d is not a number'):format(nan), 'internal' end
  local parts, encoding = {}, self.encoding
  for first = 0, n - 1, pcm.BLOCK do
    local count = math.min(pcm.BLOCK, n - first)
    encoding.convert(self.block, ptr + first, count)
    local written = tonumber(self.lib['sf_write_' .. encoding.put](self.held.raw, self.block,
      count))
    if written ~= count or self.lib.sf_error(self.held.raw) ~= 0 then
      return nil, ('%s: %s'):format(self.format, sndfile.text(self.held.raw) or 'cannot encode'),
        'io'
    end
    drain(self, parts)
  end
  return table.concat(parts)
end

--- The bytes that are left. The encoder is used up.
---@return string bytes
function Encoder:finish()
  if not self.held.raw then error('finish: the encoder is finished', 2) end
  local parts = {}
  self.lib.sf_close(self.held.raw)
  self.held.raw = nil
  drain(self, parts)
  self:close()
  return table.concat(parts)
end

--- Gives up. Does nothing after finish().
function Encoder:close()
  M.discard(self.lib, self.held)
end

check.methods(Encoder, 'encoder', function(v)
  return getmetatable(v) == Encoder or getmetatable(v) == Plain
end)

return M
