-- A picture in memory: RGB bytes, rows from the top. Lines and letters are smooth: a pixel gets as
-- much colour as the pen covers of it, by the distance of its centre from the stroke.

local ffi = require 'ffi'
local font = require 'argent.plot.font'

---@alias ag.Colour integer[] red, green, blue, 0 to 255

---@class ag.Canvas
---@field width integer
---@field height integer
---@field data ffi.cdata* uint8_t[height * width * 3]
local Canvas = {}
Canvas.__index = Canvas

--- Pixels per unit of the font at size 1: capitals are 12 pixels high.
local UNIT = 2 / 3
local PEN = 1.4

--- A canvas of one colour.
---@param width integer
---@param height integer
---@param colour ag.Colour
---@return ag.Canvas
function Canvas.new(width, height, colour)
  local c = setmetatable({
    width = width, height = height, data = ffi.new('uint8_t[?]', width * height * 3),
  }, Canvas)
  c:fill(0, 0, width, height, colour)
  return c
end

--- Sets one pixel.
function Canvas:set(x, y, colour)
  if x < 0 or y < 0 or x >= self.width or y >= self.height then return end
  local p = self.data + (y * self.width + x) * 3
  p[0], p[1], p[2] = colour[1], colour[2], colour[3]
end

--- Mixes a colour into one pixel.
---@param cover number 0 to 1
function Canvas:blend(x, y, colour, cover)
  if x < 0 or y < 0 or x >= self.width or y >= self.height then return end
  local p = self.data + (y * self.width + x) * 3
  for i = 0, 2 do p[i] = math.floor(p[i] + (colour[i + 1] - p[i]) * cover + 0.5) end
end

--- Fills width x height pixels from x, y; the part outside is dropped.
function Canvas:fill(x, y, width, height, colour)
  for row = y, y + height - 1 do
    for column = x, x + width - 1 do self:set(column, row, colour) end
  end
end

--- A vertical bar one pixel wide from y0 to y1, whose ends may lie within pixels.
function Canvas:bar(x, y0, y1, colour)
  for y = math.floor(y0), math.ceil(y1) - 1 do
    self:blend(x, y, colour, math.min(y1, y + 1) - math.max(y0, y))
  end
end

-- Raises the cover of the pixels near a straight piece. Cover is the greatest of all pieces, so
-- that joints are not darker than the rest.
local function cover_piece(cover, box, x0, y0, x1, y1, radius)
  local dx, dy = x1 - x0, y1 - y0
  local length2, reach = dx * dx + dy * dy, radius + 0.5
  local left = math.max(box.x, math.floor(math.min(x0, x1) - reach))
  local right = math.min(box.x + box.width - 1, math.ceil(math.max(x0, x1) + reach))
  local top = math.max(box.y, math.floor(math.min(y0, y1) - reach))
  local bottom = math.min(box.y + box.height - 1, math.ceil(math.max(y0, y1) + reach))
  for y = top, bottom do
    local at = (y - box.y) * box.width - box.x
    for x = left, right do
      local px, py = x + 0.5 - x0, y + 0.5 - y0
      local t = length2 > 0 and math.max(0, math.min(1, (px * dx + py * dy) / length2)) or 0
      local ex, ey = px - t * dx, py - t * dy
      local c = math.min(1, reach - math.sqrt(ex * ex + ey * ey))
      if c > cover[at + x] then cover[at + x] = c end
    end
  end
end

--- Draws strokes with one pen; a stroke of one point is a dot. The left upper corner of the pixel
--- x, y is at x, y, its centre at x + 0.5, y + 0.5.
---@param strokes number[][] lists of x, y, x, y, ...
---@param colour ag.Colour
---@param pen? number width of the line in pixels, default 1.4
---@param clip? {x: integer, y: integer, width: integer, height: integer} nothing is drawn outside
function Canvas:stroke(strokes, colour, pen, clip)
  local radius = (pen or PEN) / 2
  local x0, y0, x1, y1 = math.huge, math.huge, -math.huge, -math.huge
  for _, s in ipairs(strokes) do
    for i = 1, #s, 2 do
      x0, x1 = math.min(x0, s[i]), math.max(x1, s[i])
      y0, y1 = math.min(y0, s[i + 1]), math.max(y1, s[i + 1])
    end
  end
  clip = clip or {x = 0, y = 0, width = self.width, height = self.height}
  local left = math.max(clip.x, math.floor(x0 - radius - 1))
  local top = math.max(clip.y, math.floor(y0 - radius - 1))
  local right = math.min(clip.x + clip.width, math.ceil(x1 + radius + 1))
  local bottom = math.min(clip.y + clip.height, math.ceil(y1 + radius + 1))
  if left >= right or top >= bottom then return end -- also when there are no points
  local box = {x = left, y = top, width = right - left, height = bottom - top}
  local cover = ffi.new('float[?]', box.width * box.height)
  for _, s in ipairs(strokes) do
    for i = 1, math.max(2, #s - 2), 2 do
      cover_piece(cover, box, s[i], s[i + 1], s[i + 2] or s[i], s[i + 3] or s[i + 1], radius)
    end
  end
  for y = 0, box.height - 1 do
    for x = 0, box.width - 1 do
      local c = cover[y * box.width + x]
      if c > 0 then self:blend(left + x, top + y, colour, c) end
    end
  end
end

--- Width and height (of capitals) of a line of text in pixels.
---@param text string
---@param size? number default 1: capitals of 12 pixels
---@return integer width
---@return integer height
function Canvas.text_size(text, size)
  local unit = UNIT * (size or 1)
  return math.ceil(font.width(text) * unit) + 1, math.ceil(font.CAPITAL * unit) + 1
end

--- Draws a line of text.
---@param text string
---@param x integer
---@param y integer the box of its capitals has its left upper corner at x, y
---@param colour ag.Colour
---@param opts? {size: number?, up: boolean?} up: turned to the left, read from below to above; then
---x, y is the box's left LOWER corner
function Canvas:text(text, x, y, colour, opts)
  opts = opts or {}
  local size = opts.size or 1
  local unit, strokes = UNIT * size, font.strokes(text)
  for _, s in ipairs(strokes) do
    for i = 1, #s, 2 do
      local across, down = s[i] * unit, s[i + 1] * unit
      if opts.up then
        s[i], s[i + 1] = x + 0.5 + down, y - 0.5 - across
      else
        s[i], s[i + 1] = x + 0.5 + across, y + 0.5 + down
      end
    end
  end
  self:stroke(strokes, colour, PEN * math.sqrt(size))
end

return Canvas
