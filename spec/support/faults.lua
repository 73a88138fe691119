-- Commands under a system that fails (spec/support/faults.c), each in a folder of its own.

local command = require 'support.command'
local lfs = require 'lfs'

local M = {}

local library = command.exe:gsub('argent$', 'libargent_faults.so')

--- Why there is none here; nil where it works.
---@return string?
function M.missing()
  if not lfs.attributes(library) then
    return 'this build cannot make the system fail (sanitizers, or no x86-64)'
  end
  if command.run({'--version'}, {exe = M.exe 'write:EIO:0:1'}).code ~= 0 then
    return 'system calls cannot be caught here'
  end
end

--- The executable under a fault, for command.run.
---@param fault string KIND:HOW:FIRST:COUNT
---@param seen? string a file for the number of calls
---@return string
function M.exe(fault, seen)
  return ('env ARGENT_FAULT=%s ARGENT_FAULT_SEEN=%s LD_PRELOAD=%s %s'):format(fault,
    command.quote(seen or '/dev/null'), command.quote(library), command.quote(command.exe))
end

local function read(path)
  local f = io.open(path, 'rb')
  local s = f and f:read '*a'
  if f then f:close() end
  return s
end

-- Every file in a folder, hidden ones too, by name.
local function contents(folder)
  local files = {}
  for name in lfs.dir(folder) do
    if name ~= '.' and name ~= '..' then files[name] = read(folder .. '/' .. name) end
  end
  return files
end

--- Runs argent in a new folder, which the words %d of its arguments name.
---@param args string[]
---@param opts? table of command.run; fault: KIND:HOW:FIRST:COUNT
---@return {code: integer, out: string, err: string, files: table<string, string>, seen: integer?}
function M.run(args, opts)
  opts = setmetatable({}, {__index = opts or {}})
  local folder, seen, words = os.tmpname(), os.tmpname(), {}
  os.remove(folder)
  assert(lfs.mkdir(folder))
  for i, word in ipairs(args) do words[i] = word:gsub('%%d/', folder .. '/') end
  if opts.fault then opts.exe = M.exe(opts.fault, seen) end
  local r = command.run(words, opts)
  r.files, r.seen = contents(folder), tonumber(read(seen) or '')
  os.remove(seen)
  os.execute('rm -rf ' .. command.quote(folder))
  return r
end

--- How many calls of a kind a command makes, and what it leaves in its folder.
---@param args string[]
---@param kind string
---@param opts? table
---@return integer seen
---@return table<string, string> files
function M.count(args, kind, opts)
  opts = setmetatable({fault = kind .. ':0:1'}, {__index = opts or {}})
  local r = M.run(args, opts)
  assert(r.code == 0, r.err)
  return r.seen, r.files
end

return M
