-- How much of a long spec is run: a sample of it in every run of the specs; little where everything
-- is slow, as under sanitizers, for which .ci/run sets ARGENT_AMOUNT=little; and all of it, or up
-- to so many of its places, by scripts/faults, which sets ARGENT_AMOUNT to `all` or a number.

local M = {}

local asked = os.getenv 'ARGENT_AMOUNT'
local most = asked == 'all' and math.huge or tonumber(asked) or 0

--- One of these amounts, or what was asked for between them.
---@param sample number
---@param all number
---@param little? number (default: sample)
---@return number
function M.of(sample, all, little)
  if asked == 'little' then return little or sample end
  return math.min(all, math.max(sample, most))
end

--- Numbers from 1 to n: all of them, or `sample` of them, evenly spread, with the first and last.
---@param n integer
---@param sample integer
---@return fun(): integer?
function M.places(n, sample)
  local count, i = M.of(math.min(n, sample), n), 0
  return function()
    i = i + 1
    if i > count then return nil end
    return count == 1 and 1 or 1 + math.floor((i - 1) * (n - 1) / (count - 1) + 0.5)
  end
end

return M
