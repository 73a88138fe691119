-- Reads a sound file back for specs, through libsndfile: what any player would get of it.

local ffi = require 'ffi'
require 'argent.audio.sndfile' -- for the declarations

local M = {}

local READ, BLOCK = 0x10, 4096
local CONTAINERS = {[0x01] = 'wav', [0x17] = 'flac', [0x20] = 'ogg', [0x23] = 'mp3'}
local CODECS = {[0x02] = '16', [0x03] = '24', [0x06] = 'float', [0x60] = 'vorbis', [0x64] = 'opus',
  [0x82] = 'layer 3'}

--- All samples of a file. Integers come as x / 32768 or x / 8388608, exactly.
---@param path string
---@return {rate: integer, channels: integer, frames: integer, format: string, samples: ffi.cdata*}?
---sound frames: those read, not those promised; format: 'wav 16', 'ogg opus'; samples: float[]
---@return string? err
function M.read(path)
  local lib = ffi.load 'libsndfile.so.1'
  local info = ffi.new 'argent_sf_info'
  local f = lib.sf_open(path, READ, info)
  if f == nil then return nil, ffi.string(lib.sf_strerror(nil)) end
  local blocks, frames = {}, 0
  repeat
    local block = ffi.new('float[?]', BLOCK * info.channels)
    local n = tonumber(lib.sf_read_float(f, block, BLOCK * info.channels)) / info.channels
    if n > 0 then blocks[#blocks + 1] = {samples = block, n = n} end
    frames = frames + math.max(n, 0)
  until n <= 0
  lib.sf_close(f)
  local samples, at = ffi.new('float[?]', frames * info.channels), 0
  for _, block in ipairs(blocks) do
    ffi.copy(samples + at, block.samples, 4 * block.n * info.channels)
    at = at + block.n * info.channels
  end
  return {
    rate = info.samplerate, channels = info.channels, frames = frames, samples = samples,
    format = ('%s %s'):format(CONTAINERS[bit.rshift(info.format, 16)] or '?',
      CODECS[bit.band(info.format, 0xffff)] or '?'),
  }
end

return M
