-- Axes as numbers: from data to the unit interval, and the round values that get a label.

local M = {}

---@class ag.Tick
---@field at number 0 to 1 along the axis
---@field text string

---@class ag.Scale
---@field lo number
---@field hi number greater than lo
---@field at fun(v: number): number 0 at lo, 1 at hi; beyond them outside
---@field ticks fun(count: integer): ag.Tick[] about so many

-- The least 1, 2 or 5 times a power of ten that is not below x.
local function round_step(x)
  local power = 10 ^ math.floor(math.log10(x) + 1e-9)
  for _, m in ipairs {1, 2, 5, 10} do
    if m * power >= x * (1 - 1e-9) then return m * power end
  end
end

local function fixed(v, decimals)
  return ('%%.%df'):format(decimals):format(v)
end

-- Enough digits to tell labels apart that differ by `step`, and as many decimals for each, so that
-- all labels of an axis look alike; powers of ten where few digits say it.
local function number_text(v, step, size)
  local first = size > 0 and math.floor(math.log10(size) + 1e-9) or 0
  local last = math.floor(math.log10(step) + 1e-9)
  local digits = math.max(1, first - last + 1)
  if digits > 15 or digits <= 4 and (first >= 6 or last < -5) then
    return ('%%.%dg'):format(math.min(17, digits)):format(v)
  end
  return fixed(v, math.max(0, -last))
end

--- A linear axis from lo to hi.
---@param lo number
---@param hi number
---@param opts? {integer: boolean?} integer: no labels between whole numbers
---@return ag.Scale
function M.linear(lo, hi, opts)
  local s = {lo = lo, hi = hi}
  function s.at(v) return (v - lo) / (hi - lo) end
  function s.ticks(count)
    local step = round_step((hi - lo) / math.max(1, count))
    if opts and opts.integer then step = math.max(1, step) end
    local ticks, size = {}, math.max(math.abs(lo), math.abs(hi))
    local first, last = math.ceil(lo / step - 1e-6), math.floor(hi / step + 1e-6)
    for i = first, last do
      local v = i * step + 0 -- no -0
      ticks[#ticks + 1] = {at = s.at(v), text = number_text(v, step, size)}
    end
    return ticks
  end
  return s
end

--- The limits of an axis that holds lo to hi, widened to round numbers.
---@return number lo
---@return number hi
function M.widen(lo, hi)
  if lo == hi then
    local room = lo == 0 and 1 or math.abs(lo) * 0.5
    lo, hi = lo - room, hi + room
  end
  local step = round_step((hi - lo) / 5)
  return math.floor(lo / step + 1e-9) * step, math.ceil(hi / step - 1e-9) * step
end

--- Cells in a row, n of them: labels stand at their middles.
---@param n integer
---@param first? integer the number of the first cell, default 0
---@return ag.Scale
function M.cells(n, first)
  first = first or 0
  local s = {lo = first, hi = first + n}
  function s.at(v) return (v - first + 0.5) / n end
  function s.ticks(count)
    local step, ticks = math.max(1, round_step(n / math.max(1, count))), {}
    for v = math.ceil(first / step) * step, first + n - 1, step do
      ticks[#ticks + 1] = {at = s.at(v), text = ('%d'):format(v)}
    end
    return ticks
  end
  return s
end

--- A logarithmic axis between powers of ten.
---@param lo number > 0, rounded down to a power of ten
---@param hi number > 0, rounded up
---@return ag.Scale
function M.log(lo, hi)
  local first, last = math.floor(math.log10(lo) + 1e-9), math.ceil(math.log10(hi) - 1e-9)
  if first == last then first = first - 1 end
  local s = {lo = 10 ^ first, hi = 10 ^ last}
  function s.at(v) return (math.log10(v) - first) / (last - first) end
  function s.ticks(count)
    local step = math.max(1, math.ceil((last - first) / math.max(1, count) - 1e-9))
    local ticks = {}
    for e = last, first, -step do
      local text = ('1e%d'):format(e)
      if e >= -3 and e <= 5 then text = fixed(10 ^ e, math.max(0, -e)) end
      table.insert(ticks, 1, {at = (e - first) / (last - first), text = text})
    end
    return ticks
  end
  return s
end

return M
