-- A copy of the build in which the card's kernels as plain C stand in the place of the CUDA half:
-- the command there finds a card on any machine, so that what it does with one can be seen. And the
-- backends of a card that specs run on.

local ag = require 'argent'
local command = require 'support.command'
local lfs = require 'lfs'
local lib = require 'argent.ffi'

local M = {}

--- Puts the command and its libraries into a folder that is there.
---@param dir string absolute
---@param half? string the library in the place of the CUDA half, default libargent_emulated.so
---@return string exe the command, quoted for a shell; it wants M.env()
function M.make(dir, half)
  local build = command.exe:match '^(.*)/'
  local named = 'libargent.so.' .. lib.AG_ABI
  for from, to in pairs {argent = 'argent', [named] = named,
    [half or 'libargent_emulated.so'] = 'libargent_cuda.so'} do
    -- A copy: the loader follows a link, and would look beside the file that it leads to.
    os.execute(('cp -L %s %s'):format(command.quote(build .. '/' .. from),
      command.quote(dir .. '/' .. to)))
    assert(lfs.attributes(dir .. '/' .. to), to)
  end
  return command.quote(dir .. '/argent')
end

--- What the command's environment must hold.
function M.env()
  return {ARGENT_HOME = command.root}
end

--- A backend of a card for specs, or nil and why this machine has none, which is for `pending`. A
--- half that was built and does not open is a fault of the build: it raises.
---@param kind string 'cuda', 'cuda-emulated'
---@param open? function in the place of ag.backend
---@return ag.Backend?
---@return string? why
function M.backend(kind, open)
  local be, why = (open or ag.backend)(kind)
  local broken = kind ~= 'cuda' -- every build has the emulated one
  for _, words in ipairs {'does not open', "is not Argent's", 'of another version'} do
    broken = broken or why and why:find(words, 1, true) ~= nil
  end
  if not be and broken then error(why, 0) end
  return be, why
end

return M
