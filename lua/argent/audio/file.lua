-- Sound files out, through libsndfile: mono, complete or not at all. Samples go to a temporary file
-- in the target's folder; only when everything is written, checked and on the disk does it take the
-- target's name.

local ffi = require 'ffi'
local lfs = require 'lfs'
local check = require 'argent.check'
local pcm = require 'argent.audio.pcm'
local posix = require 'argent.posix'

if not pcall(ffi.typeof, 'argent_sf_info') then
  ffi.cdef [[
    typedef struct {
      int64_t frames;
      int samplerate, channels, format, sections, seekable;
    } argent_sf_info;
    typedef struct argent_sf_file argent_sf_file;
    argent_sf_file *sf_open_fd(int fd, int mode, argent_sf_info *info, int close_fd);
    int64_t sf_write_short(argent_sf_file *f, const int16_t *p, int64_t n);
    int64_t sf_write_int(argent_sf_file *f, const int32_t *p, int64_t n);
    int64_t sf_write_float(argent_sf_file *f, const float *p, int64_t n);
    argent_sf_file *sf_open(const char *path, int mode, argent_sf_info *info);
    int sf_command(argent_sf_file *f, int command, void *data, int size);
    int sf_error(argent_sf_file *f);
    const char *sf_strerror(argent_sf_file *f);
    void sf_write_sync(argent_sf_file *f);
    int sf_close(argent_sf_file *f);
  ]]
end

local M = {}

local READ, WRITE = 0x10, 0x20
local SET_CLIPPING = 0x10C0
local PCM_16, PCM_24, FLOAT = 0x0002, 0x0003, 0x0006

-- By extension: the container with its codec, and the sample formats it can hold ('any': it has its
-- own).
local FORMATS = {
  wav = {id = 0x010000, bits = {['16'] = PCM_16, ['24'] = PCM_24, float = FLOAT}, exact = true},
  flac = {id = 0x170000, bits = {['16'] = PCM_16, ['24'] = PCM_24}, exact = true},
  ogg = {id = 0x200000 + 0x0060},
  opus = {id = 0x200000 + 0x0064},
  mp3 = {id = 0x230000 + 0x0082},
}
local KNOWN = 'wav, flac, ogg, opus, mp3'

local library
local function sndfile()
  if not library then
    local ok, lib = pcall(ffi.load, 'libsndfile.so.1')
    if not ok then return nil, 'libsndfile is missing: apt install libsndfile1', 'unsupported' end
    library = lib
  end
  return library
end

--- The format that a path's extension names.
---@param path string
---@return string? name
---@return string? err
function M.format(path)
  local extension = path:match '%.([^./]+)$'
  local name = extension and extension:lower()
  if name and FORMATS[name] then return name end
  return nil, ('%s: %s; known are %s'):format(path,
    extension and ("unknown sound format '.%s'"):format(extension) or 'no extension says the sound format', KNOWN)
end

---@class ag.SoundWriter
---@field samples integer written so far
local Writer = {}
Writer.__index = Writer

local function fault(w, err)
  return nil, ('%s: %s'):format(w.path, err), 'io'
end

-- FIFOs and devices are written in place: they cannot be renamed over, and nobody wants them to be.
local function is_special(path)
  local mode = lfs.attributes(path, 'mode')
  return mode ~= nil and mode ~= 'file' and mode ~= 'directory' and mode ~= 'link'
end

-- A name beside the target that nobody has.
local function create_partial(path)
  local folder, name = path:match '^(.*/)([^/]*)$'
  folder, name = folder or '', name or path
  for i = 0, 99 do
    local partial = ('%s.%s.%d%s.partial'):format(folder, name, posix.getpid(), i == 0 and '' or '.' .. i)
    local fd, err, errno = posix.create(partial)
    if fd then return fd, partial end
    if errno ~= 17 then return nil, err end -- EEXIST: somebody's leftover
  end
  return nil, 'too many leftover .partial files'
end

--- Creates a sound file, mono.
---@param path string
---@param opts {rate: integer, bits: string?} bits: '16' (default), '24', 'float'; only wav and flac
---have a choice
---@return ag.SoundWriter?
---@return string? err
---@return string? code 'usage', 'io', 'unsupported'
function M.create(path, opts)
  check.type(path, 'file.create: path', 'string')
  opts = check.options(opts, 'file.create', {'rate', 'bits'})
  local rate = check.int(opts.rate, 'file.create: rate', 1, 2 ^ 31 - 1)
  local bits = check.one_of(opts.bits or '16', 'file.create: bits', {'16', '24', 'float'})
  local name, err = M.format(path)
  if not name then return nil, err, 'usage' end
  local format = FORMATS[name]
  if (format.bits and not format.bits[bits]) or (not format.bits and bits ~= '16') then
    return nil, ('%s: %s cannot hold %s samples; use wav'):format(path, name, bits == 'float' and 'float' or bits .. '-bit'),
      'usage'
  end
  local lib, code
  lib, err, code = sndfile()
  if not lib then return nil, err, code end

  local w = setmetatable({path = path, samples = 0, lib = lib, name = name, format = format, bits = bits, rate = rate}, Writer)
  if lfs.attributes(path, 'mode') == 'directory' then return fault(w, 'is a directory') end
  local fd
  if is_special(path) then
    fd, err = posix.open_existing(path)
  else
    fd, err = create_partial(path)
    w.partial = fd and err
  end
  if not fd then return fault(w, err) end
  local info = ffi.new('argent_sf_info', {samplerate = rate, channels = 1, format = format.id + (format.bits and format.bits[bits] or 0)})
  local f = lib.sf_open_fd(fd, WRITE, info, 1)
  if f == nil then
    err = ffi.string(lib.sf_strerror(nil))
    posix.close(fd)
    if w.partial then posix.unlink(w.partial) end
    return fault(w, err)
  end
  w.raw = ffi.gc(f, lib.sf_close)
  lib.sf_command(f, SET_CLIPPING, nil, 1)
  return w
end

--- Writes n samples in [-1, 1]; what is beyond is clipped.
---@param ptr ffi.cdata* const float *
---@param n integer
---@return boolean? ok
---@return string? err
---@return string? code 'io', or 'internal' for NaN
function Writer:write(ptr, n)
  if not self.raw then error('write: the file is finished', 2) end
  local nan = pcm.find_nan(ptr, n)
  if nan then return nil, ('%s: sample %d is not a number'):format(self.path, self.samples + nan), 'internal' end
  local written
  if self.bits == '24' then written = self.lib.sf_write_int(self.raw, pcm.to_int24(ptr, n), n)
  elseif self.bits == 'float' or not self.format.bits then written = self.lib.sf_write_float(self.raw, ptr, n)
  else written = self.lib.sf_write_short(self.raw, pcm.to_int16(ptr, n), n) end
  if tonumber(written) ~= n then
    -- libsndfile counts what reached the disk, and its text for a full one is vague.
    local text = ffi.string(self.lib.sf_strerror(self.raw))
    return fault(self, text:find 'System error' and 'cannot write: is the disk full?' or text)
  end
  self.samples = self.samples + n
  return true
end

local function close(w)
  local f = ffi.gc(w.raw, nil)
  w.raw = nil
  return w.lib.sf_close(f)
end

-- libsndfile's close returns success after the disk filled: so the finished file is opened again
-- and counted.
local function verify(w)
  local info = ffi.new 'argent_sf_info'
  local f = w.lib.sf_open(w.partial, READ, info)
  if f == nil then return nil end
  local frames = tonumber(info.frames)
  w.lib.sf_close(f)
  return not w.format.exact or frames == w.samples
end

--- Completes the file and gives it its name.
---@param opts? {as: string?} another name than the one it was created for
---@return boolean? ok
---@return string? err
---@return string? code 'io'
function Writer:finish(opts)
  if not self.raw then error('finish: the file is finished', 2) end
  opts = check.options(opts, 'finish', {'as'})
  self.lib.sf_write_sync(self.raw)
  local failed = self.lib.sf_error(self.raw) ~= 0
  failed = close(self) ~= 0 or failed
  if not self.partial then
    if failed then return fault(self, 'cannot write') end
    return true
  end
  if failed or not verify(self) then
    self:abort()
    return fault(self, 'cannot write all of it: is the disk full?')
  end
  local ok, err = posix.rename(self.partial, opts.as or self.path)
  if not ok then
    self:abort()
    return fault({path = opts.as or self.path}, err)
  end
  self.partial = nil
  return true
end

--- Gives up: nothing stays behind.
function Writer:abort()
  if self.raw then close(self) end
  if self.partial then posix.unlink(self.partial) end
  self.partial = nil
end

return M
