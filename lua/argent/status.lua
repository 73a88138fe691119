-- From C status codes to Lua errors: misuse raises at the caller's line, the world's faults become
-- `nil, err, code`.

local ffi = require 'ffi'
local lib = require 'argent.ffi'

local M = {}

--- Short names of the world's faults, the third value of a `nil, err, code` return; the command
--- maps them to exit codes.
M.names = {
  [lib.AG_ENOMEM] = 'memory',
  [lib.AG_EIO] = 'io',
  [lib.AG_EFORMAT] = 'format',
  [lib.AG_EUNSUPPORTED] = 'unsupported',
  [lib.AG_ECAPACITY] = 'capacity',
  [lib.AG_EVALUE] = 'value',
  [lib.AG_EINTERRUPTED] = 'interrupted',
}

--- The message of the last failing C call on this thread.
---@return string
function M.message()
  return ffi.string(lib.ag_last_error())
end

--- For ops and other calls whose faults are misuse or end a run: raises unless rc is AG_OK. An
--- interrupt raises the plain string 'interrupted', and memory that ran out or what a device cannot
--- do the fault that `throw` raises, so that a command can tell them from misuse.
---@param rc integer
---@param level? integer levels up to the line to blame; 2 = the caller of the function that calls
---this
function M.raise(rc, level)
  if rc == 0 then return end
  if rc == lib.AG_EINTERRUPTED then error('interrupted', 0) end
  if rc == lib.AG_EUNSUPPORTED or rc == lib.AG_ENOMEM then M.throw(M.message(), M.names[rc]) end
  error(M.message(), (level or 2) + 1)
end

--- For loaders and constructors: `value` when rc is AG_OK, else nil, message, code name. Misuse
--- (AG_EINVAL) raises.
function M.check(rc, value, level)
  if rc == 0 then return value end
  if rc == lib.AG_EINVAL then error(M.message(), (level or 2) + 1) end
  return nil, M.message(), M.names[rc]
end

--- Raises 'interrupted' after Ctrl-C. For loops of ours that may run for long: compiled Lua sees no
--- hook.
function M.heed_interrupt()
  if lib.ag_interrupted() ~= 0 then error('interrupted', 0) end
end

local Fault = {}
Fault.__index = Fault
Fault.__tostring = function(f) return f.message end

--- Raises one of the world's faults from inside an iterator, where `nil, err` has no place to go.
--- tostring() gives the message.
---@param message string
---@param code? string
function M.throw(message, code)
  if code == 'interrupted' then error('interrupted', 0) end
  error(setmetatable({message = message, code = code}, Fault), 0)
end

--- Whether an error value came from `throw`: then it has fields message and code.
function M.is_fault(e)
  return getmetatable(e) == Fault
end

return M
