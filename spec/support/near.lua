-- Assertions on numbers in tensors, registered with busted when this file is required:
--   assert.near(expected, actual, abs, rel)   |actual - expected| <= abs + rel * |expected| for all
--   assert.same_bits(a, b)                    the same dtype, shape and bits; all NaN are alike
-- Both sides of near may be numbers, (nested) tables or tensors; same_bits is for tensors. A
-- failure names the first number that is wrong.

local assert = require 'luassert'
local ag = require 'argent'
local dtypes = require 'argent.dtype'
local ffi = require 'ffi'

-- The numbers of v in order, each with its 1-based indices as text.
local function flatten(v, out, path)
  if ag.is_tensor(v) then v = v:totable() end
  if type(v) == 'number' then
    out[#out + 1] = {v = v, at = '[' .. table.concat(path, ', ') .. ']'}
    return out
  end
  for i, e in ipairs(v) do
    path[#path + 1] = i
    flatten(e, out, path)
    path[#path] = nil
  end
  return out
end

local function within(a, b, abs, rel)
  if a ~= a or b ~= b then return a ~= a and b ~= b end
  return a == b or math.abs(a - b) <= abs + rel * math.abs(a)
end

local function fail(state, fmt, ...)
  state.failure_message = fmt:format(...)
  return false
end

local function near(state, arguments)
  local expected, actual = flatten(arguments[1], {}, {}), flatten(arguments[2], {}, {})
  local abs, rel = arguments[3] or 0, arguments[4] or 0
  if #expected ~= #actual then
    return fail(state, 'expected %d numbers, got %d', #expected, #actual)
  end
  for i, e in ipairs(expected) do
    local a = actual[i]
    if e.at ~= a.at then return fail(state, 'expected a number at %s, got it at %s', e.at, a.at) end
    if not within(e.v, a.v, abs, rel) then
      return fail(state, 'at %s: expected %.9g, got %.9g, off by %.3g where %.3g is allowed', e.at,
        e.v, a.v, math.abs(e.v - a.v), abs + rel * math.abs(e.v))
    end
  end
  return true
end

-- Contiguous bytes of a tensor's elements, and how many an element has. host() widens 16-bit
-- floats, which keeps distinct bits distinct.
local function bytes(t)
  local host, n = t:host()
  local size = dtypes.float[t.dtype] and 4 or dtypes.size[t.dtype]
  return ffi.string(host, n * size), n, size
end

local function same_bits(state, arguments)
  local a, b = arguments[1], arguments[2]
  local shape_a, shape_b = table.concat(a.shape, ', '), table.concat(b.shape, ', ')
  if a.dtype ~= b.dtype or shape_a ~= shape_b then
    return fail(state, '%s [%s] and %s [%s] differ', a.dtype, shape_a, b.dtype, shape_b)
  end
  local x, n, size = bytes(a)
  local y = bytes(b)
  if x == y then return true end
  for i = 0, n - 1 do
    local from, to = size * i + 1, size * i + size
    if x:sub(from, to) ~= y:sub(from, to) then
      return fail(state, 'element %d of [%s]: %.9g and %.9g differ', i + 1, shape_a,
        (a:host())[i], (b:host())[i])
    end
  end
end

assert:register('assertion', 'near', near, 'assertion.near.positive', 'assertion.near.negative')
assert:register('assertion', 'same_bits', same_bits, 'assertion.same.positive',
  'assertion.same.negative')

return {}
