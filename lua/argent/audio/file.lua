-- Sound files out, through libsndfile: mono, complete or not at all. Samples go to a temporary file
-- in the target's folder; only when all of it is written, on the disk and read back does it take
-- the target's name. Integers are rounded by audio.pcm, never by libsndfile.

local ffi = require 'ffi'
local check = require 'argent.check'
local files = require 'argent.files'
local FORMATS = require 'argent.audio.formats'
local pcm = require 'argent.audio.pcm'
local posix = require 'argent.posix'
local sndfile = require 'argent.audio.sndfile'

local M = {}

local READ, WRITE = sndfile.READ, sndfile.WRITE
local UPDATE_HEADER_NOW, SET_ADD_PEAK_CHUNK = 0x1060, 0x1050
local ERR_SYSTEM = 2

local KNOWN = 'wav, flac, ogg, opus, mp3'

-- The errors of write(2) that mean lost data; other calls leave other values in errno. true: the
-- system's text for it does not mention the disk.
local LOST = {
  [posix.EFBIG] = true, [posix.EDQUOT] = true,
  [posix.ENOSPC] = false, [posix.EPIPE] = false, [posix.EIO] = false,
}

local library -- libsndfile, once a file has been created

-- A message is one line, whatever the path holds.
local function fault(path, err, code)
  return nil, ('%s: %s'):format(path:gsub('%c', '?'), err), code or 'io'
end

-- Why samples were not written: `text`, else what errno (set to 0 before the call) says.
local function write_error(text, errno)
  text = text or errno ~= 0 and posix.strerror(errno) or 'the file is incomplete'
  local hint = LOST[errno] or errno == 0
  return ('cannot write: %s%s'):format(text, hint and '; is the disk full?' or '')
end

-- Where the bytes of `path` go: the name behind its links, so that a link stays a link, and what
-- stands there ('nothing', 'file', or the kind of a FIFO or device).
local function resolve(path)
  if path:find('\0', 1, true) then return nil, 'a path cannot hold a zero byte' end
  local kind, err, errno = posix.kind(path)
  if kind == 'directory' then return nil, 'is a directory' end
  if kind == 'file' then
    local real
    real, err = posix.realpath(path)
    return real, real and kind or err
  end
  if kind then return path, kind end
  if errno == posix.ENOENT then return path, 'nothing' end
  return nil, err
end

-- Written in place, because a rename would replace the device itself.
local SPECIAL = {
  ['named pipe'] = true, ['char device'] = true, ['block device'] = true, socket = true,
  other = true,
}

-- Lets go of what a writer still holds: the finished file is not among it.
local function discard(held)
  if held.raw then library.sf_close(held.raw) end
  if held.partial then files.drop_partial(held.partial) end
  if held.fd then posix.close(held.fd) end
  held.raw, held.fd, held.partial = nil, nil, nil
end

--- The format that a path's extension names. A device or FIFO without one (/dev/null) is a wav.
---@param path string
---@return string? name 'wav', 'flac', 'ogg', 'opus', 'mp3'
---@return string? err
---@return string? code 'usage'
function M.format(path)
  check.type(path, 'file.format: path', 'string')
  local extension = path:match '%.([^./]+)$'
  local name = extension and extension:lower()
  if name and FORMATS[name] then return name end
  if not extension and SPECIAL[posix.kind(path)] then return 'wav' end
  return fault(path, ('%s; known are %s'):format(extension
    and ("unknown sound format '.%s'"):format(extension:gsub('%c', '?'))
    or 'no extension says the sound format', KNOWN), 'usage')
end

---@class ag.SoundWriter
---@field path string as it was given
---@field samples integer written so far
---@field fault string? why a write failed
local Writer = {}
Writer.__index = Writer

--- Creates a sound file, mono. An existing file keeps its name and contents until finish(); FIFOs
--- and devices are written in place.
---@param path string its extension says the format
---@param opts? {rate: integer?, bits: string?} rate: 8000 to 192000 Hz, default 24000; bits: '16'
---(default), '24' (wav, flac), 'float' (wav)
---@return ag.SoundWriter?
---@return string? err
---@return string? code 'usage', 'io', 'unsupported' (no libsndfile)
function M.create(path, opts)
  check.type(path, 'file.create: path', 'string')
  opts = check.options(opts, 'file.create', {'rate', 'bits'})
  local rate = check.int(opts.rate or 24000, 'file.create: rate', 8000, 192000)
  local bits = check.one_of(opts.bits or '16', 'file.create: bits', {'16', '24', 'float'})
  local name, err = M.format(path)
  if not name then return nil, err, 'usage' end
  local format = FORMATS[name]
  local encoding = format.bits[bits]
  if not encoding then
    return fault(path, ('%s cannot hold %s samples; use %s'):format(name,
      bits == 'float' and 'float' or bits .. '-bit', bits == 'float' and 'wav' or 'wav or flac'),
      'usage')
  end
  local real, kind = resolve(path)
  if not real then return fault(path, kind) end
  if kind == 'named pipe' and format.rewinds then
    return fault(path, name .. ' cannot be written to a FIFO; use flac, ogg or opus', 'usage')
  end
  local lib, code
  lib, err, code = sndfile.load()
  if not lib then return nil, err, code end
  library = lib

  -- The guard discards what an interrupted script leaves; it must not be reachable from `held`.
  local held = {}
  local guard = ffi.gc(ffi.new 'char[1]', function() discard(held) end)
  local fd, partial
  if SPECIAL[kind] then fd, err = posix.open_existing(real)
  else fd, partial = files.create_partial(real) end
  if not fd then return fault(path, err or partial) end
  held.fd, held.partial = fd, partial

  local info = ffi.new('argent_sf_info', {samplerate = rate, channels = 1,
    format = format.id + encoding.id})
  ffi.errno(0)
  local raw = lib.sf_open_fd(fd, WRITE, info, 0)
  if raw == nil then
    local errno, text = ffi.errno(), sndfile.text(nil)
    local system, memory = lib.sf_error(nil) == ERR_SYSTEM, sndfile.lacked_memory()
    discard(held)
    if memory then return nil, 'out of memory', 'memory' end
    if system then return fault(path, write_error(text, errno)) end
    return fault(path, text or 'libsndfile cannot write this format', 'usage')
  end
  held.raw = raw
  lib.sf_command(raw, SET_ADD_PEAK_CHUNK, nil, 0) -- it holds the time: same samples, other bytes
  return setmetatable({path = path, real = real, samples = 0, name = name, format = format,
    encoding = encoding, block = encoding.block and ffi.new(encoding.block, pcm.BLOCK),
    held = held, guard = guard}, Writer)
end

-- One block of samples; nil, err when libsndfile did not take it all.
local function put(w, ptr, n)
  local encoding, raw = w.encoding, w.held.raw
  local call = library['sf_write_' .. encoding.put]
  if encoding.convert then
    encoding.convert(w.block, ptr, n)
    ptr = w.block
  end
  ffi.errno(0)
  local written = tonumber(call(raw, ptr, n))
  local errno = ffi.errno()
  if written == n and library.sf_error(raw) == 0 then return true end
  -- Only a system error has the right text; for others libsndfile blames the codec.
  local system = library.sf_error(raw) == ERR_SYSTEM or errno == 0
  return nil, write_error(system and sndfile.text(raw) or nil, errno)
end

--- Writes n samples. Integers are the nearest to x * 32767 (24 bits: x * 8388607), clipped; float
--- samples go as they are; lossy codecs get them clipped to [-1, 1].
---@param ptr ffi.cdata* float array or pointer, samples in [-1, 1]
---@param n integer samples
---@return boolean? ok
---@return string? err after an 'io' fault the file cannot be finished
---@return string? code 'io'; 'internal' when a sample is NaN (index from 0 in the file): then none
---of the call is written
function Writer:write(ptr, n)
  if not self.held.raw then error('write: the file is finished', 2) end
  ptr = pcm.samples(ptr, n, 'write')
  if self.fault then return nil, self.fault, 'io' end
  local nan = pcm.find_nan(ptr, n)
  if nan then
    return fault(self.path, ('sample %d is not a number'):format(self.samples + nan), 'internal')
  end
  local limit = self.format.limit
  if limit and (self.samples + n) * self.encoding.bytes > limit then
    return fault(self.path, ('a %s file ends at 4 GiB; use flac'):format(self.name))
  end
  for first = 0, n - 1, pcm.BLOCK do
    local ok, err = put(self, ptr + first, math.min(pcm.BLOCK, n - first))
    if not ok then
      self.fault = select(2, fault(self.path, err))
      return nil, self.fault, 'io'
    end
  end
  self.samples = self.samples + n
  return true
end

-- How many samples a finished file gives when it is read; nil when it cannot be opened, and whether
-- memory lacked for it.
local function count(path)
  if not sndfile.load() then return nil, true end
  local f = library.sf_open(path, READ, ffi.new 'argent_sf_info')
  if f == nil then return nil, sndfile.lacked_memory() end
  ffi.gc(f, library.sf_close)
  local block, total = ffi.new('float[?]', pcm.BLOCK), 0
  repeat
    local n = tonumber(library.sf_read_float(f, block, pcm.BLOCK))
    total = total + n
  until n <= 0
  library.sf_close(ffi.gc(f, nil))
  return total
end

-- Closes the sound and checks that it arrived. libsndfile's close returns success after the disk
-- filled, and so does its open where the header was written first: so all of it is read again. What
-- cannot be read again, a FIFO or device, has errno only.
local function close(w)
  local held = w.held
  if w.samples == 0 and w.format.empty == 'on demand' then
    library.sf_command(held.raw, UPDATE_HEADER_NOW, nil, 0)
  end
  local raw = held.raw
  held.raw = nil
  ffi.errno(0)
  local rc = library.sf_close(raw)
  local errno = ffi.errno()
  if rc ~= 0 or LOST[errno] ~= nil then return nil, write_error(nil, errno) end
  if not held.partial then return true end
  local ok, err = posix.fsync(held.fd)
  if not ok then return nil, 'cannot write: ' .. err end
  local n, memory = count(held.partial)
  if memory then return nil, 'out of memory', 'memory' end
  if n ~= w.samples then return nil, write_error(nil, 0) end
  return true
end

local function complete(w, as)
  local held, name, real = w.held, w.path, w.real
  if w.fault then return nil, w.fault, 'io' end
  if w.samples == 0 and w.format.empty == 'never' then
    return fault(name, ('no samples, which %s cannot hold; use wav'):format(w.name), 'usage')
  end
  if as and held.partial then
    local kind
    name, real, kind = as, resolve(as)
    if not real then return fault(name, kind) end
    if SPECIAL[kind] then return fault(name, ('is a %s, not a file'):format(kind)) end
  end
  local ok, err, code = close(w)
  if not ok then return fault(name, err, code) end
  if held.partial then
    ok, err = files.finish_partial(held.partial, real)
    if not ok then return fault(name, 'cannot rename to it: ' .. err) end
    held.partial = nil
  end
  return true
end

--- Completes the file and gives it its name. On a fault nothing stays behind, and what stood under
--- the name still does.
---@param opts? {as: string?} another name, in the same file system, than the one it was created
---for; FIFOs and devices have their data already and ignore it
---@return boolean? ok
---@return string? err
---@return string? code 'io'; 'usage' when an opus file would have no samples
function Writer:finish(opts)
  if not self.held.raw then error('finish: the file is finished', 2) end
  local as = check.options(opts, 'finish', {'as'}).as
  if as ~= nil then check.type(as, 'finish: as', 'string') end
  local ok, err, code = complete(self, as)
  discard(self.held)
  return ok, err, code
end

--- Gives up: nothing stays behind. Does nothing after finish().
function Writer:abort() discard(self.held) end

check.methods(Writer, 'sound writer')

return M
