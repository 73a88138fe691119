-- libsndfile, for those who read and write sound files.

local ffi = require 'ffi'
local library = require 'argent.library'
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

M.READ, M.WRITE = 0x10, 0x20

local opened

-- More than libsndfile allocates for a file in small pieces. It does not look whether it got those
-- in which it lists the chunks of a wav file, and would crash.
local ROOM = 2 ^ 17

--- The library, to be asked for before a file is opened.
---@return ffi.namespace*?
---@return string? err
---@return string? code 'unsupported' where it is missing, 'memory'
function M.load()
  local err, code
  if not opened then
    opened, err, code = library.open({'libsndfile.so.1'},
      'libsndfile is missing: apt install libsndfile1')
  end
  if opened and not posix.has_memory(ROOM) then return nil, 'out of memory', 'memory' end
  return opened, err, code
end

-- Of its codes, that malloc gave nothing.
local MALLOC_FAILED = 17

--- Whether the last open failed for lack of memory.
---@return boolean
function M.lacked_memory() return opened.sf_error(nil) == MALLOC_FAILED end

--- The library's text for the failure of an open file, or (nil) of the last open; nil where it has
--- none.
---@return string?
function M.text(f)
  -- Codes below 0 have no text, and asking for it prints a line on standard output.
  if opened.sf_error(f) <= 0 then return nil end
  return (ffi.string(opened.sf_strerror(f)):gsub('^[%a ]-[Ee]rror : ', ''):gsub('%.?%s*$', ''))
end

return M
