-- The log: a line of JSON on standard error for each request. What users say is not in it unless
-- it was asked for.

local json = require 'argent.json'

local M = {}

--- Writes a line; control characters are escaped by JSON.
---@param fields table plain values
function M.write(fields)
  fields.time = os.date '!%Y-%m-%dT%H:%M:%SZ'
  io.stderr:write(json.encode(fields), '\n')
end

return M
