-- A matrix as coloured cells.

local colour = require 'argent.plot.colour'
local ffi = require 'ffi'
local figure = require 'argent.plot.figure'

local M = {}

-- Below so many pixels a cell may be one pixel wider than its neighbour, which nobody sees.
local EQUAL_FROM = 4

--- The pixels that n cells should take of `size`: where cells are big they are all the same.
---@param size integer
---@param n integer
---@return integer
function M.fit(size, n)
  return n * EQUAL_FROM <= size and math.floor(size / n) * n or size
end

-- n cells in `size` pixels: how many bins are drawn, and the cells of each.
local function bins(n, size)
  local count = math.min(n, size)
  local function first(b) return math.floor(b * n / count) end
  return count, function(b) return first(b), first(b + 1) - 1 end
end

-- One number for the cells r0..r1, c0..c1.
local POOL = {
  max = function(data, columns, r0, r1, c0, c1)
    local v = -math.huge
    for r = r0, r1 do
      for c = c0, c1 do v = math.max(v, data[r * columns + c]) end
    end
    return v
  end,
  mean = function(data, columns, r0, r1, c0, c1)
    local sum = 0
    for r = r0, r1 do
      for c = c0, c1 do sum = sum + data[r * columns + c] end
    end
    return sum / ((r1 - r0 + 1) * (c1 - c0 + 1))
  end,
  first = function(data, columns, r0, _, c0) return data[r0 * columns + c0] end,
}

---@class ag.HeatMap
---@field data ffi.cdata* [rows, columns]
---@field rows integer
---@field columns integer
---@field at fun(v: number): number 0 to 1 along the colours
---@field pool string what a pixel shows of several cells: 'max', 'mean', 'first'
---@field up boolean? row 0 is at the bottom
---@field blank (fun(r: integer, c: integer): boolean)? cells without a value: they get no colour

--- Draws it into an area.
---@param page ag.Page
---@param area {x: integer, y: integer, width: integer, height: integer}
---@param map ag.HeatMap
function M.draw(page, area, map)
  local rows, row_cells = bins(map.rows, area.height)
  local columns, column_cells = bins(map.columns, area.width)
  local pool = POOL[map.pool]
  local bin_of = ffi.new('int32_t[?]', area.width)
  for x = 0, area.width - 1 do bin_of[x] = math.floor(x * columns / area.width) end
  local colours, drawn = {}, -1
  local function mix(r)
    drawn = r
    local r0, r1 = row_cells(r)
    for b = 0, columns - 1 do
      local c0, c1 = column_cells(b)
      colours[b] = map.blank and map.blank(r1, c0) and colour.faint
        or colour.map(map.at(pool(map.data, map.columns, r0, r1, c0, c1)))
    end
  end
  page:paint(area, function(x, y)
    local r = math.floor(y * rows / area.height)
    if map.up then r = rows - 1 - r end
    if r ~= drawn then mix(r) end
    return colours[bin_of[x]]
  end)
end

--- A picture of it.
---@param spec ag.Frame2D
---@param opts {width: integer?, height: integer?}
---@param name string of the public function that calls this
---@param w integer pixels of the data, where the options say nothing
---@param h integer
---@param map ag.HeatMap
---@param over? fun(page: ag.Page, area: table) drawn above it
---@return ag.Image?
---@return string? err
---@return string? code
function M.picture(spec, opts, name, w, h, map, over)
  local size, err, code = figure.size(spec, opts, name, w, h, 2)
  if not size then return nil, err, code end
  w, h = M.fit(size.area_width, map.columns), M.fit(size.area_height, map.rows)
  return figure.draw(spec, w, h, function(page, area)
    M.draw(page, area, map)
    if over then over(page, area) end
  end, size)
end

return M
