-- The files that a command line names: what cannot work is refused before a model is loaded and
-- minutes are spent, and no file is written over one that is read.

local lfs = require 'lfs'
local posix = require 'argent.posix'

local M = {}

local ESCAPES = {['\n'] = '\\n', ['\r'] = '\\r', ['\t'] = '\\t'}

--- A name as messages show it: control characters, which could move a terminal's cursor or change
--- its colours, are escaped. Those of Unicode's second block (U+0080 to U+009F) are two bytes.
---@param name string
---@return string
function M.shown(name)
  return (name:gsub('[%c]', function(c) return ESCAPES[c] or ('\\x%02x'):format(c:byte()) end)
    :gsub('\194([\128-\159])', function(c) return ('\\x%02x'):format(c:byte()) end))
end

--- How messages call an output.
---@param path string
---@return string
function M.output_name(path)
  return path == '-' and 'standard output' or M.shown(path)
end

-- The folder that a file is in.
local function folder_of(path)
  local folder = path:match '^(.*)/[^/]*$'
  return folder == nil and '.' or folder == '' and '/' or folder
end

-- A word for the shell.
local function quoted(name)
  if name:find '^[%w_./-]+$' then return name end
  return "'" .. name:gsub("'", "'\\''") .. "'"
end

--- Refuses a name under which no file can be written: its folder must be there and writable.
---@param path string '-' is standard output
---@param made? boolean the folder itself, not those above it, is made when it is not there
---@return boolean? ok
---@return string? err
---@return string? code 'io'
function M.check_output(path, made)
  if path == '-' then return true end
  local name, folder = M.shown(path), folder_of(path)
  local kind = posix.kind(path)
  if kind == 'directory' or path:find '/$' then
    return nil, ('%s: is a directory; name a file in it'):format(name), 'io'
  elseif kind and kind ~= 'file' then
    return true -- a device or FIFO, written in place
  end
  local place, err = posix.kind(folder)
  if not place and made then place, err = posix.kind(folder_of(folder)) end
  if not place then
    return nil, ('%s: cannot write: %s; make the folder first: mkdir -p %s'):format(name, err,
      M.shown(quoted(folder))), 'io'
  elseif place ~= 'directory' then
    return nil, ('%s: cannot write: %s is a file, not a folder'):format(name, M.shown(folder)), 'io'
  end
  local ok
  ok, err = posix.may_write(posix.kind(folder) and folder or folder_of(folder))
  if not ok then
    return nil, ('%s: cannot write: %s; name a folder that you may write to'):format(name, err),
      'io'
  end
  return true
end

-- What two names of one file have in common: links and spellings do not count. Devices and FIFOs
-- may be named twice.
local function identity(path)
  if not path or path == '-' then return nil end
  local at = lfs.attributes(path)
  if at then return at.mode == 'file' and ('%d:%d'):format(at.dev, at.ino) or nil end
  local folder = posix.realpath(folder_of(path))
  return folder and folder .. '/' .. path:match '[^/]*$'
end

--- Refuses a command line on which two outputs are one file, or an output is a file that is read.
---@param outputs {[1]: string, [2]: string?}[] option and path; without a path it does not count
---@param inputs {[1]: string, [2]: string?}[]
---@return boolean? ok
---@return string? err
---@return string? code 'usage'
function M.check_apart(outputs, inputs)
  local taken = {}
  for _, input in ipairs(inputs) do
    local id = identity(input[2])
    if id then taken[id] = input[1] end
  end
  for _, output in ipairs(outputs) do
    local id = identity(output[2])
    if id and taken[id] then
      return nil, ('%s %s is the file of %s too; give it another name'):format(output[1],
        M.shown(output[2]), taken[id]), 'usage'
    end
    if id then taken[id] = output[1] end
  end
  return true
end

return M
