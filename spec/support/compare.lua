-- Distances between tensors and goldens, computed on host arrays.

local M = {}

--- Largest absolute difference and largest absolute expected value; fails when the counts differ or
--- a value is NaN.
---@param expected ag.Tensor
---@param actual ag.Tensor
---@return number difference
---@return number scale
function M.distance(expected, actual)
  local a, n = expected:host()
  local b, m = actual:host()
  if n ~= m then error(('expected %d values [%s], got %d [%s]'):format(n,
    table.concat(expected.shape, ','), m,
    table.concat(actual.shape, ',')), 2) end
  local worst, scale = 0, 0
  for i = 0, n - 1 do
    local d = math.abs(a[i] - b[i])
    if d ~= d then return math.huge, 1 end
    worst, scale = math.max(worst, d), math.max(scale, math.abs(a[i]))
  end
  return worst, scale
end

--- Difference relative to the largest expected value.
function M.relative(expected, actual)
  local d, s = M.distance(expected, actual)
  return d / math.max(s, 1e-30)
end

--- Whether two tensors hold the same bits.
function M.same_bits(a, b)
  local x, n = a:host()
  local y, m = b:host()
  if n ~= m then return false end
  local ffi = require 'ffi'
  return ffi.string(x, n * 4) == ffi.string(y, n * 4)
end

return M
