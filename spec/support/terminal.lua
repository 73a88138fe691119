-- A program at a pseudo-terminal: keys are typed, and what it shows is waited for.

local ffi = require 'ffi'

if not pcall(ffi.typeof, 'struct argent_spec_pollfd') then
  ffi.cdef [[
    struct argent_spec_pollfd { int fd; short events, revents; };
    int forkpty(int *master, char *name, const void *termios, const void *winsize);
    int execv(const char *path, char *const argv[]);
    void _exit(int code);
    int waitpid(int pid, int *status, int options);
    int kill(int pid, int signal);
    int setenv(const char *name, const char *value, int replace);
  ]]
  pcall(ffi.cdef, 'int poll(struct argent_spec_pollfd *fds, unsigned long n, int timeout);')
end
require 'argent.posix' -- declares poll, read, write, close

local C = ffi.C
local M = {}

-- Seconds for anything to appear: generous, as sanitizers and busy machines are slow.
local PATIENCE = 30
local NOHANG, KILL = 1, 9

local Terminal = {}
Terminal.__index = Terminal

--- Starts a program.
---@param args string[] the program's path and its arguments
---@param env table<string, string>
---@return table? terminal
---@return string? why there is none
function M.open(args, env)
  local argv, keep = ffi.new('char *[?]', #args + 1), {}
  for i, a in ipairs(args) do
    keep[i] = ffi.new('char[?]', #a + 1, a)
    argv[i - 1] = keep[i]
  end
  local names, values = {}, {}
  for k, v in pairs(env) do names[#names + 1], values[#values + 1] = k, v end
  local master = ffi.new 'int[1]'
  local pid = C.forkpty(master, nil, nil, nil)
  if pid < 0 then return nil, 'no pseudo-terminal can be had here' end
  if pid == 0 then
    for i = 1, #names do C.setenv(names[i], values[i], 1) end
    C.execv(keep[1], argv)
    C._exit(127)
  end
  return setmetatable({pid = pid, fd = master[0], raw = '', shown = '', seen = 1}, Terminal)
end

local buffer = ffi.new 'char[4096]'

-- More of what it shows; false when it has ended or stays silent for too long.
local function more(self, seconds)
  local p = ffi.new('struct argent_pollfd[1]', {{fd = self.fd, events = 1}})
  if C.poll(p, 1, seconds * 1000) <= 0 then return false end
  local n = tonumber(C.read(self.fd, buffer, 4096))
  if n <= 0 then return false end
  -- Stripped as a whole: a code of the terminal may come in two pieces.
  self.raw = self.raw .. ffi.string(buffer, n)
  self.shown = self.raw:gsub('\27%[[%d;?]*[%a]', ''):gsub('\27[=>]', ''):gsub('\r', '')
  return true
end

--- Waits for plain text behind what was waited for last; raises with what was shown instead.
function Terminal:expect(text)
  while true do
    local from, to = self.shown:find(text, self.seen, true)
    if from then
      self.seen = to + 1
      return self
    end
    if not more(self, PATIENCE) then
      error(('%q did not appear in:\n%s'):format(text, self.shown), 2)
    end
  end
end

--- Types.
function Terminal:type(keys)
  C.write(self.fd, keys, #keys)
  return self
end

--- Waits a moment. libedit shows its prompt just before it takes the terminal out of line mode, in
--- which keys such as Ctrl-D and TAB mean something else.
function Terminal:settle()
  C.poll(nil, 0, 300)
  return self
end

--- Waits for the end; raises when it does not come.
---@return integer code
function Terminal:wait()
  while more(self, PATIENCE) do end
  local status, pid = ffi.new 'int[1]', 0
  for _ = 1, 100 do
    pid = C.waitpid(self.pid, status, NOHANG)
    if pid ~= 0 then break end
    C.poll(nil, 0, 20)
  end
  if pid == 0 then
    C.kill(self.pid, KILL)
    C.waitpid(self.pid, status, 0)
  end
  C.close(self.fd)
  if pid == 0 then error('it does not end; it has shown:\n' .. self.shown, 2) end
  return bit.rshift(bit.band(status[0], 0xff00), 8)
end

return M
