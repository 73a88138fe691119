-- How much of a long spec is run: a sample of it in every run of the specs, all of it by
-- scripts/faults, which sets ARGENT_AMOUNT=all, and little where everything is slow, as under
-- sanitizers, for which .ci/run sets ARGENT_AMOUNT=little.

local M = {}

M.all = os.getenv 'ARGENT_AMOUNT' == 'all'
M.little = os.getenv 'ARGENT_AMOUNT' == 'little'

--- One of these amounts.
---@param sample number
---@param all number
---@param little? number (default: sample)
---@return number
function M.of(sample, all, little)
  return M.all and all or M.little and little or sample
end

--- Numbers from 1 to n: all of them, or `sample` of them, evenly spread, with the first and last.
---@param n integer
---@param sample integer
---@return fun(): integer?
function M.places(n, sample)
  local count, i = M.all and n or math.min(n, sample), 0
  return function()
    i = i + 1
    if i > count then return nil end
    return count == 1 and 1 or 1 + math.floor((i - 1) * (n - 1) / (count - 1) + 0.5)
  end
end

return M
