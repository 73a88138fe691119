-- What scripts give to be drawn: tensors or (nested) tables of numbers, as host arrays.

local check = require 'argent.check'
local ffi = require 'ffi'
local tensor = require 'argent.tensor'

local M = {}

-- Nested tables, in order; every level must be as long everywhere as at its first place.
local function flatten(v, rank, depth, shape, out, name, level)
  check.type(v, name, 'table', level + depth + 1)
  if depth > 1 and shape[depth] and shape[depth] ~= #v then
    error(('%s: rows of %d and %d values'):format(name, shape[depth], #v), level + depth + 3)
  end
  shape[depth] = #v
  for i = 1, #v do
    if depth < rank then
      flatten(v[i], rank, depth + 1, shape, out, name, level)
    elseif type(v[i]) ~= 'number' then
      error(('%s: expected numbers, got %s'):format(name, check.show(v[i])), level + depth + 3)
    else
      out[#out + 1] = v[i]
    end
  end
end

-- Which number of a shape stands at i, counted from 0: '[2][3]'.
local function place(i, shape)
  local text = ''
  for d = #shape, 1, -1 do
    text = ('[%d]%s'):format(i % shape[d] + 1, text)
    i = math.floor(i / shape[d])
  end
  return text
end

--- The numbers of v and its shape. A wrong type or rank is misuse and blamed on the caller of the
--- public function that calls this.
---@param v ag.Tensor|table
---@param name string how messages call it
---@param ranks integer[] how many dimensions it may have
---@param level? integer extra levels up to the caller's line
---@return ffi.cdata*? array
---@return integer[]|string shape_or_err
---@return string? code 'value' when there is nothing, or a number is NaN or infinite
function M.of(v, name, ranks, level)
  level = level or 0
  local shape, array
  if tensor.is(v) then
    shape = v.shape
    local fits = false
    for _, r in ipairs(ranks) do fits = fits or r == #shape end
    if not fits then
      error(('%s: expected %s dimensions, got %s'):format(name, table.concat(ranks, ' or '),
        tostring(v)), level + 3)
    end
    array = v:host()
  else
    local rank, inner = 0, v
    while type(inner) == 'table' do rank, inner = rank + 1, inner[1] end
    local wanted = ranks[1]
    for _, r in ipairs(ranks) do wanted = r == rank and r or wanted end
    local out = {}
    shape = {}
    flatten(v, wanted, 1, shape, out, name, level)
    array = ffi.new('double[?]', #out + 1)
    for i, x in ipairs(out) do array[i - 1] = x end
  end
  local n = 1
  for _, d in ipairs(shape) do n = n * d end
  if n == 0 or #shape < ranks[1] then return nil, name .. ': nothing to draw', 'value' end
  for i = 0, n - 1 do
    local x = tonumber(array[i])
    if x ~= x or x == math.huge or x == -math.huge then
      return nil, ('%s%s is %s'):format(name, place(i, shape), x ~= x and 'not a number'
        or 'infinite'), 'value'
    end
  end
  return array, shape
end

return M
