-- Files written whole or not at all.

local ffi = require 'ffi'
local lib = require 'argent.ffi'
local posix = require 'argent.posix'
local status = require 'argent.status'

local M = {}

--- Creates a file beside the target, under a hidden name that nobody has. It goes when a signal
--- ends the process; `finish_partial` or `drop_partial` it.
---@param path string
---@return integer? fd to be closed after either
---@return string name of the file, or the error
function M.create_partial(path)
  local room = #path + 40
  local name = ffi.new('char[?]', room)
  local fd = lib.ag_partial_create(path, name, room)
  if fd < 0 then return nil, status.message() end
  return fd, ffi.string(name)
end

--- Gives a partial file its name, while its descriptor is still open: an open file is locked, which
--- tells others that somebody writes it.
---@param partial string
---@param path string replaced at once when it exists
---@return boolean? ok
---@return string? err
function M.finish_partial(partial, path)
  if lib.ag_partial_finish(partial, path) ~= 0 then return nil, status.message() end
  return true
end

--- Removes a partial file.
---@param partial string
function M.drop_partial(partial) lib.ag_partial_drop(partial) end

local function write_new(path, bytes)
  local fd, partial = M.create_partial(path)
  if not fd then return nil, partial end
  local ok, err = posix.write(fd, bytes, #bytes)
  if ok then ok, err = posix.fsync(fd) end
  if ok then ok, err = M.finish_partial(partial, path) end
  if not ok then M.drop_partial(partial) end
  posix.close(fd)
  return ok, err
end

-- A rename would replace the device itself, so these are written in place.
local function write_in_place(path, bytes)
  local fd, err = posix.open_existing(path)
  if not fd then return nil, err end
  local ok
  ok, err = posix.write(fd, bytes, #bytes)
  posix.close(fd)
  return ok, err
end

--- Writes a file. What stood under the name stays until all of the new bytes are on the disk, and
--- for ever if that fails. Links stay links; FIFOs and devices are written in place.
---@param path string
---@param bytes string
---@return boolean? ok
---@return string? err
---@return string? code 'io'
function M.write(path, bytes)
  local ok, err
  local kind, kind_err, errno = posix.kind(path)
  if path:find('\0', 1, true) then
    err = 'a path cannot hold a zero byte'
  elseif kind == 'directory' then
    err = 'is a directory'
  elseif kind == 'file' then
    local real
    real, err = posix.realpath(path)
    if real then ok, err = write_new(real, bytes) end
  elseif kind then
    ok, err = write_in_place(path, bytes)
  elseif errno == posix.ENOENT then
    ok, err = write_new(path, bytes)
  else
    err = kind_err
  end
  if ok then return true end
  return nil, ('%s: cannot write: %s'):format(path:gsub('%c', '?'), err), 'io'
end

--- Reads a whole file that is no pipe and no device, which would block or never end. Memory that
--- runs out is raised, as what LuaJIT itself cannot allocate is.
---@param path string
---@param limit integer largest size in bytes
---@return string? bytes
---@return string? err one line that begins with the path
function M.read(path, limit)
  local shown = path:gsub('%c', '?')
  if path:find '%z' then return nil, shown .. ': a path cannot hold a zero byte' end
  local kind = posix.kind(path) -- what does not exist is left to io.open's message
  if kind and kind ~= 'file' then
    return nil, ('%s: expected a file, found a %s'):format(shown, kind)
  end
  local bytes, size
  local file, _, errno = io.open(path, 'rb')
  if file then
    size, _, errno = file:seek 'end'
    if size and size <= limit then
      file:seek 'set'
      bytes, _, errno = file:read(size)
      if not errno then bytes = bytes or '' end
    end
    file:close()
  end
  if bytes then return bytes end
  if errno == posix.ENOMEM then status.throw(shown .. ': ' .. posix.strerror(errno), 'memory') end
  if size and size > limit then
    return nil, ('%s: %.0f bytes, more than the limit of %.0f'):format(shown, size, limit)
  end
  return nil, ('%s: %s'):format(shown, posix.strerror(errno))
end

return M
