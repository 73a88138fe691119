-- Weights of a script's own in the place of a file's: layers take their tensors from it by name and
-- shape, as from an ag.Scope.

local backends = require 'argent.backend'
local check = require 'argent.check'
local tensor = require 'argent.tensor'

---@class nn.Scope
---@field backend ag.Backend
local Scope = {}
Scope.__index = Scope

local M = {}

local function text(shape) return '[' .. table.concat(shape, ', ') .. ']' end

--- Tensors for layers to load. From a table they are taken as they are. A function makes those that
--- a layer cannot do without, anew each time; what is optional it is not asked for.
---@param backend ag.Backend
---@param source table<string, ag.Tensor>|fun(name: string, shape: integer[], dtype: string?):
---ag.Tensor by whole names: 'layers.0.mlp.up_proj.weight'
---@return nn.Scope
function M.new(backend, source)
  backends.check(backend, 'scope: backend')
  local make = type(source) == 'function' and source or nil
  if not make then check.type(source, 'scope: source', 'table') end
  local given = make and {} or source
  return setmetatable({backend = backend, given = given, make = make, prefix = ''}, Scope)
end

--- The tensors whose names begin with a prefix.
---@param prefix string
---@return nn.Scope
function Scope:scope(prefix)
  check.type(prefix, 'scope: prefix', 'string')
  return setmetatable({backend = self.backend, given = self.given, make = self.make,
    prefix = self.prefix .. prefix}, Scope)
end

-- What files have and tensors of a script's own do not: bytes to look through, forms to note.
function Scope:look_later() return self end
function Scope:copied() end -- luacheck: ignore self
function Scope:product() end -- luacheck: ignore self

function Scope:done() end -- luacheck: ignore self
function Scope:readable() return true end -- luacheck: ignore self

function Scope:unusable(name, fact)
  error(('%s%s: %s'):format(self.prefix, name, fact), 0)
end

--- Whether there is a tensor of that name.
---@return boolean
function Scope:has(name)
  check.type(name, 'has: name', 'string')
  return self.given[self.prefix .. name] ~= nil
end

-- t as a layer asks for it.
local function fitting(t, whole, shape, dtype)
  if not tensor.is(t) then
    error(('%s: expected a tensor, got %s'):format(whole, check.show(t)), 0)
  end
  if text(t.shape) ~= text(shape) then
    error(('%s: shape %s, expected %s'):format(whole, text(t.shape), text(shape)), 0)
  end
  return dtype and t:to(dtype) or t
end

--- The tensor in a dtype, nil where there is none; another shape than the layer's is an error.
---@param name string
---@param shape integer[]
---@param dtype? string
---@return ag.Tensor?
function Scope:try(name, shape, dtype)
  check.type(name, 'try: name', 'string')
  check.type(shape, 'try: shape', 'table')
  local whole = self.prefix .. name
  local t = self.given[whole]
  return t ~= nil and fitting(t, whole, shape, dtype) or nil
end

--- The tensor, which must be there or is made.
---@param name string
---@param shape integer[]
---@param dtype? string
---@return ag.Tensor
function Scope:get(name, shape, dtype)
  check.type(name, 'get: name', 'string')
  check.type(shape, 'get: shape', 'table')
  local t = self:try(name, shape, dtype)
  if t then return t end
  local whole = self.prefix .. name
  if not self.make then error(whole .. ': missing', 0) end
  return fitting(self.make(whole, shape, dtype), whole, shape, dtype)
end

check.methods(Scope, 'scope')

return M
