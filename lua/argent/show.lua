-- Values as a person wants to see them: tensors by their statistics and their edges, tables sorted
-- and bounded, text quoted.

local ffi = require 'ffi'
local tensor = require 'argent.tensor'
local backend = require 'argent.backend'

local M = {}

local EDGE = 3           -- elements shown at each end of a dimension
local DEPTH, ENTRIES = 2, 24

local function number(x)
  if x ~= x then return 'nan' end
  if x == math.huge then return 'inf' elseif x == -math.huge then return '-inf' end
  if x % 1 == 0 and math.abs(x) < 1e15 then return ('%.0f'):format(x) end
  return ('%.4g'):format(x)
end

-- The indices of a dimension that are shown; false where some are left out.
local function edges(n)
  local list = {}
  if n <= 2 * EDGE then
    for i = 1, n do list[i] = i end
  else
    for i = 1, EDGE do list[#list + 1] = i end
    list[#list + 1] = false
    for i = n - EDGE + 1, n do list[#list + 1] = i end
  end
  return list
end

local function elements(host, shape, stride, dim, offset, indent)
  if dim > #shape then return number(host[offset]) end
  local parts = {}
  for _, i in ipairs(edges(shape[dim])) do
    parts[#parts + 1] = i and elements(host, shape, stride, dim + 1, offset + (i - 1) * stride[dim],
      indent .. ' ') or '...'
  end
  local between = dim == #shape and ' ' or '\n' .. indent .. ' '
  return '[' .. table.concat(parts, between) .. ']'
end

-- Shape, dtype, device; smallest, largest, mean; how many NaN; the edges.
local function of_tensor(t)
  local head = tostring(t)
  if t.released then return head end
  local host, n = t:host()
  local low, high, sum, nans = math.huge, -math.huge, 0, 0
  for i = 0, n - 1 do
    local x = host[i]
    if x ~= x then
      nans = nans + 1
    else
      if x < low then low = x end
      if x > high then high = x end
      sum = sum + x
    end
  end
  if n > nans then
    head = ('%s, min %s, max %s, mean %s'):format(head, number(low), number(high),
      number(sum / (n - nans)))
  end
  if nans > 0 then head = ('%s, %d NaN'):format(head, nans) end
  local shape, stride, step = t.shape, {}, 1
  for i = #shape, 1, -1 do stride[i], step = step, step * shape[i] end
  return head .. '\n' .. elements(host, shape, stride, 1, 0, '')
end

local function quoted(s)
  if #s > 200 then s = s:sub(1, 200) .. '...' end
  return (('%q'):format(s):gsub('\\\n', '\\n'):gsub('\r', '\\r'):gsub('%z', '\\0'))
end

local function of_function(f)
  local info = debug.getinfo(f, 'S')
  if info.what == 'C' then return 'function (C)' end
  return ('function (%s:%d)'):format(info.short_src, info.linedefined)
end

local function key_order(a, b)
  local x, y = type(a), type(b)
  if x ~= y then return x == 'number' end
  if x == 'number' or x == 'string' then return a < b end
  return tostring(a) < tostring(b)
end

local function brief(v, depth, seen)
  local kind = type(v)
  if kind == 'string' then return quoted(v) end
  if kind == 'number' then return number(v) end
  if kind == 'function' then return of_function(v) end
  if kind ~= 'table' then return tostring(v) end
  local meta = getmetatable(v)
  if type(meta) == 'table' and meta.__tostring then return tostring(v) end
  if seen[v] then return '(shown above)' end
  local lazy = type(meta) == 'table' and type(meta.__names) == 'table' and meta.__names or {}
  if next(v) == nil and next(lazy) == nil then return '{}' end
  if depth == 0 then return '{...}' end
  seen[v] = true
  local keys, parts, size = {}, {}, 0
  for k in pairs(v) do keys[#keys + 1] = k end
  for k in pairs(lazy) do
    if rawget(v, k) == nil then keys[#keys + 1] = k end
  end
  table.sort(keys, key_order)
  for i, k in ipairs(keys) do
    if i > ENTRIES then
      parts[#parts + 1] = ('... %d more'):format(#keys - ENTRIES)
      break
    end
    local text = rawget(v, k) == nil and lazy[k] ~= nil and '(loaded when it is named)'
      or brief(v[k], depth - 1, seen)
    if k ~= i then
      local plain = type(k) == 'string' and k:find '^[%a_][%w_]*$'
      text = ('%s = %s'):format(plain and k or '[' .. brief(k, 0, seen) .. ']', text)
    end
    parts[i] = text
    size = size + #text + 2
  end
  if size < 90 and not table.concat(parts):find '\n' then
    return '{' .. table.concat(parts, ', ') .. '}'
  end
  for i, text in ipairs(parts) do parts[i] = '  ' .. text:gsub('\n', '\n  ') end
  return '{\n' .. table.concat(parts, ',\n') .. '\n}'
end

--- A value as text for a person: a tensor with shape, dtype, device, smallest, largest and mean
--- value, the number of NaN, and the first and last elements; a table sorted, to a small depth; a
--- sound by its length.
---@param v any
---@return string
function M.show(v)
  if tensor.is(v) then return of_tensor(v) end
  if backend.is(v) or ffi.istype('void *', v) then return tostring(v) end
  if type(v) == 'string' then return quoted(v) end
  return brief(v, DEPTH, {})
end

return M
