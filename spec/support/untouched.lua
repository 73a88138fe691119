-- What specs must leave as they found it: the fixtures, and the goldens, which may be links to a
-- person's own checkpoints. The files are looked at before the first spec file and after each.

local golden = require 'support.golden'
local lfs = require 'lfs'

local M = {}

local function look(path, seen)
  local a = lfs.attributes(path) -- of what a link leads to
  if not a then return end
  if a.mode ~= 'directory' then
    seen[path] = ('%.0f %.0f %.0f %.0f'):format(a.ino, a.size, a.modification, a.change)
    return
  end
  for name in lfs.dir(path) do
    if name ~= '.' and name ~= '..' then look(path .. '/' .. name, seen) end
  end
end

local function look_at_all()
  local seen = {}
  look(ARGENT_ROOT .. '/spec/fixtures', seen)
  look(golden.root(), seen)
  return seen
end

-- The paths of which only one of two looks knows, or each something else, in alphabetical order.
local function differences(before, after)
  local paths = {}
  for path, what in pairs(before) do
    if after[path] ~= what then paths[#paths + 1] = path end
  end
  for path in pairs(after) do
    if not before[path] then paths[#paths + 1] = path end
  end
  table.sort(paths)
  return paths
end

--- Makes every spec file that changes one of them an error of the run.
---@param busted table
function M.watch(busted)
  local before = look_at_all()
  busted.subscribe({'file', 'end'}, function(file, parent)
    local after = look_at_all()
    local paths = differences(before, after)
    before = after
    if #paths > 0 then
      busted.publish({'error', 'file'}, file, parent,
        'wrote outside its own folder: ' .. table.concat(paths, ', '))
    end
    return nil, true -- others listen to the end of a file, too
  end)
end

return M
