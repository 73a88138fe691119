-- The names of a session. One that is not there is an error with the name that was meant, instead
-- of a quiet nil; one that was set to nil is nil.

local strict = require 'argent.strict'
local suggest = require 'argent.text.suggest'

local M = {}

--- Makes a table the names of a session, above Lua's own.
---@param env table
---@param absent? table<string, string> what to say about a name that a session may lack
---@return table env
function M.of(env, absent)
  local known = {_ = true} -- the last value: nil before there is one
  return setmetatable(env, {
    __names = _G, -- for completion
    __index = function(_, key)
      local v = rawget(_G, key)
      if v ~= nil or known[key] then return v end
      if absent and absent[key] then error(absent[key], 2) end
      local guess = suggest.closest(tostring(key), strict.names(env, _G))
      error(("there is no '%s'%s"):format(tostring(key),
        guess and (', did you mean %s?'):format(guess) or ''), 2)
    end,
    __newindex = function(_, key, v)
      known[key] = true
      rawset(env, key, v)
    end,
  })
end

return M
