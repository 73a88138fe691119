-- Sound files out, through libsndfile: mono, complete or not at all. Samples go to a temporary file
-- in the target's folder; only when all of it is written, on the disk and read back does it take the
-- target's name. Integers are rounded by audio.pcm, never by libsndfile.

local ffi = require 'ffi'
local check = require 'argent.check'
local pcm = require 'argent.audio.pcm'
local posix = require 'argent.posix'

-- busted loads modules again while ffi.cdef is permanent.
if not pcall(ffi.typeof, 'argent_sf_info') then
  ffi.cdef [[
    typedef struct {
      int64_t frames;
      int samplerate, channels, format, sections, seekable;
    } argent_sf_info;
    typedef struct argent_sf_file argent_sf_file;
    argent_sf_file *sf_open(const char *path, int mode, argent_sf_info *info);
    argent_sf_file *sf_open_fd(int fd, int mode, argent_sf_info *info, int close_fd);
    int64_t sf_read_float(argent_sf_file *f, float *p, int64_t n);
    int64_t sf_write_short(argent_sf_file *f, const int16_t *p, int64_t n);
    int64_t sf_write_int(argent_sf_file *f, const int32_t *p, int64_t n);
    int64_t sf_write_float(argent_sf_file *f, const float *p, int64_t n);
    int sf_command(argent_sf_file *f, int command, void *data, int size);
    int sf_error(argent_sf_file *f);
    const char *sf_strerror(argent_sf_file *f);
    int sf_close(argent_sf_file *f);
  ]]
end

local M = {}

local READ, WRITE = 0x10, 0x20
local UPDATE_HEADER_NOW, SET_ADD_PEAK_CHUNK = 0x1060, 0x1050
local ERR_SYSTEM = 2

-- How the samples of a block become what libsndfile takes. The containers below refer to these.
local S16 = {id = 2, bytes = 2, ctype = 'int16_t[?]', convert = pcm.to_int16, put = 'sf_write_short'}
local S24 = {id = 3, bytes = 3, ctype = 'int32_t[?]', convert = pcm.to_int24, put = 'sf_write_int'}
local FLOAT = {id = 6, bytes = 4, put = 'sf_write_float'} -- as it is
local CODED = {id = 0, ctype = 'float[?]', convert = pcm.clip, put = 'sf_write_float'}

-- By extension: the container, with its codec where that says the sample format too; the choices of
-- bits; `limit`: bytes of sample data (a wav counts them in 32 bits); `empty`: how libsndfile
-- writes a file without samples: 'header' = only on demand, 'never' = not so that it reads it again.
local FORMATS = {
  wav = {id = 0x010000, bits = {['16'] = S16, ['24'] = S24, float = FLOAT}, limit = 2 ^ 32 - 4096},
  flac = {id = 0x170000, bits = {['16'] = S16, ['24'] = S24}, empty = 'header'},
  ogg = {id = 0x200060, bits = {['16'] = CODED}},
  opus = {id = 0x200064, bits = {['16'] = CODED}, empty = 'never'},
  mp3 = {id = 0x230082, bits = {['16'] = CODED}, empty = 'header'},
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

-- A message is one line, whatever the path holds.
local function fault(path, err, code)
  return nil, ('%s: %s'):format(path:gsub('%c', '?'), err), code or 'io'
end

-- Why libsndfile failed. It has the system's words only sometimes, hence errno, set to 0 before the
-- call. Codes below 0 have no text, and asking for it prints a line on standard output.
local function reason(f, errno)
  local code = library.sf_error(f)
  local text = errno ~= 0 and posix.strerror(errno)
  if code == ERR_SYSTEM or not text and code > 0 then
    text = ffi.string(library.sf_strerror(f)):gsub('^%a* ?[Ee]rror : ', ''):gsub('%.?%s*$', '')
  end
  if errno == posix.ENOSPC then return 'cannot write: ' .. text end
  return ('cannot write: %s; is the disk full?'):format(text or 'the file is incomplete')
end

-- What stands at a path: nil (nothing), 'file', or 'special': FIFOs and devices are written in
-- place, because a rename would replace the device itself.
local function target(path)
  if path:find('\0', 1, true) then return nil, 'a path cannot hold a zero byte' end
  local kind, err, errno = posix.kind(path)
  if kind == 'directory' then return nil, 'is a directory' end
  if not kind and errno ~= posix.ENOENT then return nil, err end
  return nil, nil, kind ~= 'file' and kind or kind
end

return M
