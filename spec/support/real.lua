-- Real weights that scripts/fetch_weights has fetched; specs of them are pending where they are
-- not.

local lfs = require 'lfs'

local M = {}

local place = os.getenv 'ARGENT_WEIGHTS'
  or (os.getenv 'XDG_CACHE_HOME' or (os.getenv 'HOME' or '') .. '/.cache') .. '/argent/weights'

--- A model's folder, or a file in it; nil and why a spec is pending.
---@param name 'smollm2'|'minilm'
---@param file? string
---@return string? path
---@return string? why
function M.path(name, file)
  local folder = place .. '/' .. name
  if not lfs.attributes(folder .. '/.complete', 'mode') then
    return nil, ('%s is not there; scripts/fetch_weights gets it'):format(name)
  end
  return file and folder .. '/' .. file or folder
end

return M
