-- What hooks have in common: which there are, and what one returns goes into the tensor it was
-- shown.

local check = require 'argent.check'
local tensor = require 'argent.tensor'

local M = {}

--- Refuses hooks of unknown names, and what is no function.
---@param hooks table?
---@param names string[]
---@param level integer extra levels up to the caller's line
function M.check(hooks, names, level)
  if hooks == nil then return end
  check.options(hooks, 'hooks', names, level + 1)
  for name, fn in pairs(hooks) do check.type(fn, 'hooks.' .. name, 'function', level + 1) end
end

--- Puts what a hook returned into the tensor it was shown.
---@param name string of the hook
---@param x ag.Tensor
---@param value any a tensor or a list of numbers of the same size; nil keeps what was there
function M.replace(name, x, value)
  if value == nil then return end
  if type(value) == 'table' then value = tensor.from(x.backend, value) end
  if not tensor.is(value) or value:count() ~= x:count() then
    error(('hooks.%s: expected nil, or %d values to replace what it was shown, got %s'):format(name,
      x:count(), tensor.is(value) and tostring(value) or check.show(value)), 0)
  end
  x:copy(value:contiguous():view(-1))
end

return M
