-- The few system calls that Lua's own library lacks, for Linux on 64 bits. Each returns its value
-- or true; faults come back as nil, the system's text, errno. Paths end at a zero byte, as in C.

local ffi = require 'ffi'
local lfs = require 'lfs'

-- busted loads modules again while ffi.cdef is permanent; the guard is a type that only this file
-- declares.
if not pcall(ffi.typeof, 'struct argent_timespec') then
  ffi.cdef [[
    struct argent_timespec { long seconds, nanoseconds; };
    struct argent_pollfd { int fd; short events, revents; };
    int clock_gettime(int clock, struct argent_timespec *t);
    int open(const char *path, int flags, ...);
    int close(int fd);
    int dup(int fd);
    int dup2(int from, int to);
    long read(int fd, void *data, size_t n);
    long write(int fd, const void *data, size_t n);
    int poll(struct argent_pollfd *fds, unsigned long n, int timeout);
    int fsync(int fd);
    int memfd_create(const char *name, unsigned flags);
    int pipe2(int *fds, int flags);
    int access(const char *path, int how);
    struct argent_statvfs { unsigned long block, fragment, blocks, free, available, rest[16]; };
    int statvfs(const char *path, struct argent_statvfs *s);
    int getpid(void);
    int getpagesize(void);
    int sched_getaffinity(int pid, size_t size, void *set);
    struct argent_rlimit { unsigned long now, most; };
    int getrlimit(int what, void *limit);
    int setrlimit(int what, const void *limit);
    int isatty(int fd);
    int fileno(void *file);
    int mkdir(const char *path, unsigned mode);
    char *realpath(const char *path, char *resolved);
    char *strerror(int code);
    void *malloc(size_t n);
    void free(void *p);
  ]]
end

local M = {}

local C = ffi.C
local MONOTONIC, POLLOUT = 1, 4
local X_OK, W_OK = 1, 2
local RLIMIT_NOFILE = 7
local O_WRONLY, O_CREAT, O_APPEND, O_NONBLOCK, O_CLOEXEC = 1, 64, 1024, 2048, 524288

M.ENOENT, M.EINTR, M.EIO, M.EAGAIN, M.ENOMEM = 2, 4, 5, 11, 12
M.EFBIG, M.ENOSPC, M.EPIPE, M.EDQUOT = 27, 28, 32, 122

--- The code, of those that `nil, err, code` returns, for an errno.
---@param code? integer
---@return string 'memory', 'io'
function M.code(code) return code == M.ENOMEM and 'memory' or 'io' end

--- The system's words for an errno.
---@param code integer
---@return string
function M.strerror(code) return ffi.string(C.strerror(code)) end

local function failed(code)
  code = code or ffi.errno()
  return nil, M.strerror(code), code
end

local function result(rc)
  if rc < 0 then return failed() end
  return true
end

--- Whether malloc has that much memory to give now: to be asked before a library is called that
--- does not look at what malloc gave it.
---@param bytes integer
---@return boolean
function M.has_memory(bytes)
  local p = C.malloc(bytes)
  local has = p ~= nil
  C.free(p)
  return has
end

--- The bytes of a page of memory.
---@return integer
function M.page_size() return C.getpagesize() end

--- How many processors this process may run on.
---@return integer
function M.processors()
  local set, n = ffi.new 'uint8_t[1024]', 0
  if C.sched_getaffinity(0, 1024, set) < 0 then return 1 end
  for i = 0, 1023 do
    for b = 0, 7 do n = n + bit.band(bit.rshift(set[i], b), 1) end
  end
  return n
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
---@param fd integer
---@return boolean
function M.isatty(fd) return C.isatty(fd) ~= 0 end

--- The descriptor of one of Lua's files; what Lua has buffered must be flushed before it is used.
---@param file file*
---@return integer fd
function M.fileno(file) return C.fileno(file) end

--- What a path is, links followed.
---@param path string
---@return string? kind 'file', 'directory', 'named pipe', 'socket', 'char device', 'block device',
---'other'
---@return string? err
---@return integer? errno
function M.kind(path)
  local kind, _, code = lfs.attributes(path, 'mode')
  if not kind then return failed(code) end
  return kind
end

--- Whether files can be made in a folder.
---@param folder string
---@return boolean? ok
---@return string? err
---@return integer? errno
function M.may_write(folder) return result(C.access(folder, W_OK + X_OK)) end

--- Bytes that may still be written below a folder.
---@param folder string
---@return number? bytes
---@return string? err
---@return integer? errno
function M.free_space(folder)
  local s = ffi.new 'struct argent_statvfs'
  if C.statvfs(folder, s) ~= 0 then return failed() end
  return tonumber(s.available) * tonumber(s.fragment)
end

--- Opens a file to write at its end; a new one belongs to its user alone (mode 0600).
---@param path string
---@return integer? fd
---@return string? err
---@return integer? errno
function M.open_private(path)
  local fd = C.open(path, O_WRONLY + O_CREAT + O_APPEND + O_CLOEXEC, ffi.cast('int', 384))
  if fd < 0 then return failed() end
  return fd
end

--- A file without a name, in memory, that holds these bytes; it is gone when it is closed.
---@param bytes string
---@return integer? fd
---@return string? err
---@return integer? errno
function M.memory_file(bytes)
  local fd = C.memfd_create('argent', 1) -- closed when another program is run
  if fd < 0 then return failed() end
  local ok, err, code = M.write(fd, bytes, #bytes)
  if ok then return fd end
  M.close(fd)
  return nil, err, code
end

--- Lets this process have as many descriptors as the system allows it.
---@return integer count
function M.most_files()
  local limit = ffi.new 'struct argent_rlimit'
  if C.getrlimit(RLIMIT_NOFILE, limit) ~= 0 then return 1024 end
  local now = limit.now
  limit.now = limit.most
  if C.setrlimit(RLIMIT_NOFILE, limit) == 0 then now = limit.most end
  return tonumber(now)
end

--- A pipe; reading from it does not wait.
---@return integer? fd to read from
---@return integer|string fd_or_err to write to
---@return integer? errno
function M.pipe()
  local fds = ffi.new 'int[2]'
  if C.pipe2(fds, O_CLOEXEC + O_NONBLOCK) < 0 then return failed() end
  return fds[0], fds[1]
end

--- Makes a folder for its user alone (mode 0700).
---@param path string
---@return boolean? ok
---@return string? err
---@return integer? errno
function M.mkdir_private(path) return result(C.mkdir(path, 448)) end

--- Opens an existing file for writing. A FIFO waits for its reader.
---@param path string
---@return integer? fd
---@return string? err
---@return integer? errno
function M.open_existing(path)
  local fd = C.open(path, O_WRONLY + O_CLOEXEC)
  if fd < 0 then return failed() end
  return fd
end

--- Calls fn with a descriptor turned to /dev/null: for libraries that print messages of their own.
--- What fn raises is passed on.
---@param fd integer
---@param fn fun(...): any
---@return any ... what fn returns
function M.silenced(fd, fn, ...)
  local nowhere = M.open_existing '/dev/null'
  local saved = nowhere and C.dup(fd) or -1
  if saved >= 0 then C.dup2(nowhere, fd) end
  if nowhere then C.close(nowhere) end
  local function back(ok, ...)
    if saved >= 0 then
      C.dup2(saved, fd)
      C.close(saved)
    end
    if not ok then error((...), 0) end
    return ...
  end
  return back(pcall(fn, ...))
end

--- Writes n bytes, however many calls that takes; waits where the descriptor is non-blocking and
--- full. An interrupt between two calls reaches Lua's hooks, which may raise.
---@param fd integer
---@param data ffi.cdata*|string
---@param n integer bytes
---@return boolean? ok
---@return string? err
---@return integer? errno
function M.write(fd, data, n)
  local p = ffi.cast('const char *', data)
  while n > 0 do
    local k = tonumber(C.write(fd, p, n))
    if k > 0 then
      p, n = p + k, n - k
    elseif k == 0 then
      return failed(M.EIO) -- no system says so, and asking again would be for ever
    else
      local code = ffi.errno()
      if code == M.EAGAIN then
        C.poll(ffi.new('struct argent_pollfd[1]', {{fd = fd, events = POLLOUT}}), 1, -1)
      elseif code ~= M.EINTR then
        return failed(code)
      end
    end
  end
  return true
end

local buffer = ffi.new 'char[4096]'

--- What can be read now, up to 4096 bytes: waits for the first of them.
---@param fd integer
---@return string? text '' at the end
---@return string? err
---@return integer? errno EINTR when a signal came first
function M.read(fd)
  local n = tonumber(C.read(fd, buffer, 4096))
  if n < 0 then return failed() end
  return ffi.string(buffer, n)
end

--- Puts a file's data on the disk.
---@return boolean? ok
---@return string? err
---@return integer? errno
function M.fsync(fd) return result(C.fsync(fd)) end

--- Closes a descriptor, whatever it returns.
---@return boolean? ok
---@return string? err
---@return integer? errno
function M.close(fd) return result(C.close(fd)) end

local PATH_MAX = 4096
local resolved = ffi.new('char[?]', PATH_MAX) -- so that nothing has to be allocated

--- The path with links resolved; it must exist.
---@return string? path
---@return string? err
---@return integer? errno
function M.realpath(path)
  if C.realpath(path, resolved) == nil then return failed() end
  return ffi.string(resolved)
end

return M
