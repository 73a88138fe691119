-- The few system calls that Lua's own library lacks. Faults come back as nil, text, errno.

local ffi = require 'ffi'

-- busted loads modules again while ffi.cdef is permanent; the guard is a type that only this file
-- declares.
if not pcall(ffi.typeof, 'struct argent_timespec') then
  ffi.cdef [[
    struct argent_timespec { long seconds, nanoseconds; };
    int clock_gettime(int clock, struct argent_timespec *t);
    int open(const char *path, int flags, ...);
    int close(int fd);
    long write(int fd, const void *data, size_t n);
    int fsync(int fd);
    int rename(const char *from, const char *to);
    int unlink(const char *path);
    int getpid(void);
    int isatty(int fd);
    char *realpath(const char *path, char *resolved);
    char *strerror(int code);
    void free(void *p);
  ]]
end

local M = {}

local C = ffi.C
local MONOTONIC, EINTR = 1, 4
local O_WRONLY, O_CREAT, O_EXCL, O_CLOEXEC = 1, 64, 128, 524288

M.EPIPE = 32

local function failed()
  local code = ffi.errno()
  return nil, ffi.string(C.strerror(code)), code
end

local function result(rc)
  if rc < 0 then return failed() end
  return true
end

local t = ffi.new 'struct argent_timespec[1]'

--- Seconds from a clock that never goes back.
---@return number
function M.now()
  C.clock_gettime(MONOTONIC, t)
  return tonumber(t[0].seconds) + tonumber(t[0].nanoseconds) * 1e-9
end

--- This process.
---@return integer
function M.getpid() return C.getpid() end

--- Whether a file descriptor is a terminal.
---@return boolean
function M.isatty(fd) return C.isatty(fd) ~= 0 end

--- Creates a file that must not exist and opens it for writing.
---@return integer? fd
function M.create(path)
  local fd = C.open(path, O_WRONLY + O_CREAT + O_EXCL + O_CLOEXEC, ffi.cast('int', 438)) -- 0666 less the umask
  if fd < 0 then return failed() end
  return fd
end

--- Opens an existing file for writing.
---@return integer? fd
function M.open_existing(path)
  local fd = C.open(path, O_WRONLY + O_CLOEXEC)
  if fd < 0 then return failed() end
  return fd
end

--- Writes n bytes, however many calls that takes.
function M.write(fd, data, n)
  local p = ffi.cast('const char *', data)
  while n > 0 do
    local k = tonumber(C.write(fd, p, n))
    if k < 0 then
      if ffi.errno() ~= EINTR then return failed() end
    else
      p, n = p + k, n - k
    end
  end
  return true
end

function M.fsync(fd) return result(C.fsync(fd)) end
function M.close(fd) return result(C.close(fd)) end
function M.rename(from, to) return result(C.rename(from, to)) end
function M.unlink(path) return result(C.unlink(path)) end

--- The path with links resolved; nil when it does not exist.
---@return string?
function M.realpath(path)
  local p = C.realpath(path, nil)
  if p == nil then return failed() end
  local s = ffi.string(p)
  C.free(p)
  return s
end

return M
