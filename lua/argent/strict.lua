-- Tables that raise on a name they do not have, with the name that was meant: a misspelt one would
-- be nil, and the error would come later and say nothing.

local check = require 'argent.check'
local suggest = require 'argent.text.suggest'

local M = {}

--- What to say about a name that is not there.
---@param what string that which lacks it, as in 'a tensor' or 'ag.ops'
---@param key any the name asked for
---@param names string[] those that there are
---@return string
function M.missing(what, key, names)
  local guess = type(key) == 'string' and suggest.closest(key, names)
  local asked = type(key) == 'string' and ("'%s'"):format(key) or check.show(key)
  if guess then return ('%s has no %s, did you mean %s?'):format(what, asked, guess) end
  table.sort(names)
  return ('%s has no %s (it has %s)'):format(what, asked, table.concat(names, ', '))
end

--- The string keys of tables, those that begin with `_` left out.
---@param ... table
---@return string[]
function M.names(...)
  local list = {}
  for _, t in ipairs {...} do
    for key in pairs(t) do
      if type(key) == 'string' and not key:find '^_' then list[#list + 1] = key end
    end
  end
  return list
end

--- Makes a table of functions raise, at the caller's line, where it is asked for a name that it has
--- not.
---@generic T: table
---@param t T
---@param what string how messages call it
---@return T t
function M.table(t, what)
  return setmetatable(t, {
    __index = function(_, key) error(M.missing(what, key, M.names(t)), 2) end,
  })
end

return M
