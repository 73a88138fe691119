-- A curve through points, as the lines that a page draws.

local M = {}

--- Pixels that a curve is wide.
M.PEN = 1.8
-- Up to so many points are marked one by one.
local DOTS, DOT = 160, 5
-- Where a column of pixels holds more points than this, its first, least, greatest and last are
-- drawn: the same pixels from fewer pieces.
local PER_COLUMN = 8

-- The points of one unbroken line that make a difference.
local function thin(line, width)
  if #line / 2 <= PER_COLUMN * width then return line end
  local kept, i = {}, 1
  while i <= #line do
    local column, first = math.floor(line[i]), i
    local low, high = i, i
    while i <= #line and math.floor(line[i]) == column do
      if line[i + 1] < line[low + 1] then low = i end
      if line[i + 1] > line[high + 1] then high = i end
      i = i + 2
    end
    for _, k in ipairs {first, math.min(low, high), math.max(low, high), i - 2} do
      kept[#kept + 1], kept[#kept + 2] = line[k], line[k + 1]
    end
  end
  return kept
end

--- Draws the curve through n points, x ascending; a point without a place (y is nil) interrupts it.
---@param page ag.Page
---@param area {x: integer, y: integer, width: integer, height: integer}
---@param xs number[] pixels
---@param ys number[] pixels
---@param n integer
---@param colour ag.Colour
---@param dash? number[]
function M.draw(page, area, xs, ys, n, colour, dash)
  local lines, dots, line = {}, {}, nil
  for i = 1, n do
    if ys[i] then
      if not line then
        line = {}
        lines[#lines + 1] = line
      end
      line[#line + 1], line[#line + 2] = xs[i], ys[i]
      if n <= DOTS then dots[#dots + 1] = {xs[i], ys[i]} end
    else
      line = nil
    end
  end
  for i, l in ipairs(lines) do lines[i] = thin(l, area.width) end
  -- Marks on the edge are whole.
  local clip = {x = area.x - 3, y = area.y - 3, width = area.width + 6, height = area.height + 6}
  page:lines(lines, colour, {pen = M.PEN, dash = dash, clip = clip})
  page:lines(dots, colour, {pen = DOT, clip = clip})
end

return M
