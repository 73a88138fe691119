-- Entries that were typed, kept between sessions: one line of a file each, the last thousand. The
-- lines of an entry are joined by a character that nobody types.

local files = require 'argent.files'
local posix = require 'argent.posix'

local M = {}

local MOST = 1000
local JOINT = '\31' -- ASCII's unit separator

--- Where the history is kept: $XDG_STATE_HOME/argent/history, by default under ~/.local/state.
---@return string? path nil without a home
function M.path()
  local state, home = os.getenv 'XDG_STATE_HOME', os.getenv 'HOME'
  if state and state ~= '' then return state .. '/argent/history' end
  return home and home ~= '' and home .. '/.local/state/argent/history' or nil
end

--- The entries that are kept, oldest first; none when there is no file.
---@param path string?
---@return string[]
function M.read(path)
  local f = path and io.open(path, 'r')
  if not f then return {} end
  local list = {}
  for line in f:lines() do list[#list + 1] = line end
  f:close()
  if #list > MOST then
    list = {unpack(list, #list - MOST + 1)}
    files.write(path, table.concat(list, '\n') .. '\n') -- what cannot be shortened stays long
  end
  for i, line in ipairs(list) do list[i] = line:gsub(JOINT, '\n') end
  return list
end

local function make_folders(path)
  for folder in path:gmatch '()/' do
    if folder > 1 then posix.mkdir_private(path:sub(1, folder - 1)) end
  end
end

--- Adds an entry.
---@param path string
---@param text string of one line or several
---@return boolean? ok
---@return string? err
function M.add(path, text)
  local line = text:gsub('\n', JOINT)
  local fd, err = posix.open_private(path)
  if not fd then
    make_folders(path)
    fd, err = posix.open_private(path)
  end
  if not fd then return nil, ('%s: %s'):format(path, err) end
  local ok
  ok, err = posix.write(fd, line .. '\n', #line + 1)
  posix.close(fd)
  if not ok then return nil, ('%s: %s'):format(path, err) end
  return true
end

return M
