-- Files written whole or not at all.

local posix = require 'argent.posix'

local M = {}

--- Creates a file beside the target, under a name that nobody has and that is no longer than names
--- may be.
---@param path string
---@return integer? fd
---@return string name of the file, or the error
function M.create_partial(path)
  local folder, name = path:match '^(.*/)([^/]*)$'
  folder, name = folder or '', name or path
  if #name > 200 then name = name:sub(1, 200):gsub('[\128-\255]+$', '') end
  for i = 0, 99 do
    local partial = ('%s.%s.%d%s.partial'):format(folder, name, posix.getpid(),
      i == 0 and '' or '.' .. i)
    local fd, err, errno = posix.create(partial)
    if fd then return fd, partial end
    if errno ~= posix.EEXIST then return nil, err end -- else somebody's leftover
  end
  return nil, 'too many leftover .partial files beside it'
end

local function write_new(path, bytes)
  local fd, partial = M.create_partial(path)
  if not fd then return nil, partial end
  local ok, err = posix.write(fd, bytes, #bytes)
  if ok then ok, err = posix.fsync(fd) end
  local closed, close_err = posix.close(fd)
  if ok then ok, err = closed, close_err end
  if ok then ok, err = posix.rename(partial, path) end
  if ok then return true end
  posix.unlink(partial)
  return nil, err
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

return M
