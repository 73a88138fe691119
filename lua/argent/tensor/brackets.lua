-- Parts in brackets: x[2], x[-1], and x[{2, {1, 3}}] with an entry for each dimension: an index, a
-- range {first, last}, or {} for all of it. Negative indices count from the end. A part is a view;
-- where all dimensions are indexed it is a number.

local check = require 'argent.check'
local lib = require 'argent.ffi'
local status = require 'argent.status'

local M = {}

local NO_MASK = 'x[mask]: brackets take indices; use ag.where(mask, a, b) or x:masked_fill(mask, v)'

-- From 1 to n; `level` as in check.int.
local function index(i, n, level)
  if type(i) == 'number' and i < 0 and i >= -n then i = n + 1 + i end
  check.int(i, 'index', 1, n, level + 1)
  return i
end

-- The part that an entry for dimension d leaves, and whether the dimension is still there.
local function cut(t, d, entry, level)
  local n = t:size(d)
  if type(entry) ~= 'table' then return t:select(d, index(entry, n, level + 1)), false end
  check.int(#entry, 'range: numbers', 0, 2, level + 1)
  if #entry == 0 then return t, true end
  local first = index(entry[1], n, level + 1)
  local last = entry[2] == nil and first or index(entry[2], n, level + 1)
  if last < first then
    error(('range: {%d, %d} ends before it begins'):format(first, last), level + 3)
  end
  return t:narrow(d, first, last - first + 1), true
end

--- The part of a tensor that a key in brackets names.
---@param t ag.Tensor
---@param key integer|table
---@param is fun(v: any): boolean whether v is a tensor
---@param level integer levels from the caller of this to the line with the brackets
---@return ag.Tensor
---@return boolean number whether every dimension is indexed
function M.part(t, key, is, level)
  if t.released then error('the tensor has been released', level + 2) end
  if is(key) then error(NO_MASK, level + 2) end
  local dims = lib.ag_tensor_ndim(t)
  if dims == 0 then
    error('a tensor without dimensions has no index: x:item() is its number', level + 2)
  end
  if type(key) ~= 'table' then
    return t:select(1, index(key, t:size(1), level)), dims == 1
  end
  check.int(#key, 'brackets: entries', 1, dims, level)
  local part, d = t, 1
  for i = 1, #key do
    local kept
    part, kept = cut(part, d, key[i], level)
    if kept then d = d + 1 end
  end
  return part, lib.ag_tensor_ndim(part) == 0
end

--- Sets a part to a number, or to what a tensor of its shape holds.
---@param t ag.Tensor
---@param key integer|table
---@param value number|ag.Tensor
---@param is fun(v: any): boolean
---@param level integer as in part
function M.assign(t, key, value, is, level)
  local part = M.part(t, key, is, level + 1)
  if type(value) == 'number' then
    status.raise(lib.ag_fill(part, value), level + 2)
  elseif is(value) then
    status.raise(lib.ag_copy(part, value), level + 2)
  else
    local name = type(key) == 'table' and 'x[{...}]' or ('x[%d]'):format(key)
    error(('%s: expected a tensor or a number, got %s'):format(name, check.show(value)), level + 2)
  end
end

return M
