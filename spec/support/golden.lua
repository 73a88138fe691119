-- Where the goldens of the official implementation are: spec/fixtures/golden, or the folder of the
-- same layout that the environment variable ARGENT_GOLDEN names. Finds, decodes and copies;
-- compares nothing.

local cjson = require 'cjson'
local lfs = require 'lfs'

local M = {}

--- The folder of the goldens.
---@return string path without a slash at its end
function M.root()
  local named = os.getenv('ARGENT_GOLDEN')
  if named and named ~= '' then return (named:gsub('(.)/+$', '%1')) end
  return ARGENT_ROOT .. '/spec/fixtures/golden'
end

--- Decodes a JSON file; raises if it cannot.
---@param path string
---@return any value null is cjson.null
function M.json(path)
  local file = assert(io.open(path, 'rb'))
  local text = file:read('*a')
  file:close()
  return cjson.decode(text)
end

---@class argent.spec.GoldenModel
---@field name string of its folder
---@field dir string with cases.json and the tensors
---@field model string the directory a user would pass
---@field cases table[] cases.json

--- The golden models, sorted by name; none at all is an error, so that no spec passes by absence.
---@return argent.spec.GoldenModel[]
function M.models()
  local root, models = M.root(), {}
  for name in lfs.dir(root) do
    local dir = root .. '/' .. name
    local cases = dir .. '/cases.json'
    if name:sub(1, 1) ~= '.' and lfs.attributes(cases, 'mode') == 'file' then
      models[#models + 1] = {name = name, dir = dir, model = dir .. '/model', cases = M.json(cases)}
    end
  end
  if #models == 0 then error(root .. ': no folder with a cases.json', 2) end
  table.sort(models, function(a, b) return a.name < b.name end)
  return models
end

--- Copies a model, so that a spec may change it: never the files that the goldens' links lead to.
---@param model string its directory
---@param to string the copy, which is not there yet, in a folder that is
---@return string to
function M.copy(model, to)
  local function quoted(path) return "'" .. path:gsub("'", "'\\''") .. "'" end
  local ok = os.execute(('cp -rL %s %s && chmod -R u+w %s'):format(quoted(model), quoted(to),
    quoted(to)))
  if ok ~= 0 then error(('cannot copy %s to %s'):format(model, to), 2) end
  return to
end

return M
