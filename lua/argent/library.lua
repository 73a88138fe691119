-- Shared libraries that others make, opened when they are first needed.

local ffi = require 'ffi'
local lib = require 'argent.ffi'

local M = {}

--- Opens a library.
---@param names string[] of its file, the first that is there counts
---@param missing string what to say when none is: which package has it
---@return ffi.namespace*?
---@return string? err
---@return string? code 'unsupported' where it is missing; 'memory' when there was none to load it;
---'io' when it is there and could not be read
function M.open(names, missing)
  for _, name in ipairs(names) do
    local ok, found = pcall(ffi.load, name)
    if ok then return found end
    found = tostring(found)
    if lib.ag_out_of_memory(found) ~= 0 then return nil, 'out of memory', 'memory' end
    if found:find 'cannot read file data' then return nil, found, 'io' end
  end
  return nil, missing, 'unsupported'
end

return M
