-- The frame of every picture: title, axes with ticks and labels, colour bar. Margins follow from
-- the texts, so that nothing is cut off.

local Canvas = require 'argent.plot.canvas'
local check = require 'argent.check'
local colour = require 'argent.plot.colour'
local png = require 'argent.plot.png'

local M = {}

local EDGE, GAP, TICK = 14, 8, 5
local TITLE = 1.25
local BAR_WIDTH, BAR_GAP = 18, 18
-- Pixels that a label of an axis needs at least.
local X_EVERY, Y_EVERY, CROWD = 90, 45, 17
-- The least area that is worth a picture, and the longest side of one.
local MIN, MAX = 48, 16384

---@class ag.Frame2D
---@field title string?
---@field x {label: string, scale: ag.Scale, ticks: ag.Tick[]?}
---@field y {label: string, scale: ag.Scale, ticks: ag.Tick[]?, down: boolean?, every: integer?}
---down: it grows downwards; every: pixels for a label
---@field bar {label: string, scale: ag.Scale}? what the colours mean

local function widest(ticks)
  local width = 0
  for _, t in ipairs(ticks) do width = math.max(width, (Canvas.text_size(t.text))) end
  return width
end

-- Fixed ticks are thinned where they crowd.
local function ticks_of(axis, size, every)
  if not axis.ticks then return axis.scale.ticks(math.max(2, math.floor(size / every))) end
  local kept, last = {}, -math.huge
  for _, t in ipairs(axis.ticks) do
    if (t.at - last) * size >= CROWD then
      kept[#kept + 1] = t
      last = t.at
    end
  end
  return kept
end

-- What stands around an area of w x h pixels.
local function measure(spec, w, h)
  local _, letter = Canvas.text_size ''
  local m = {
    x = ticks_of(spec.x, w, X_EVERY), y = ticks_of(spec.y, h, spec.y.every or Y_EVERY),
    letter = letter,
  }
  local tail = math.ceil(letter / 3)
  m.left = EDGE + letter + tail + GAP + widest(m.y) + GAP + TICK
  m.bottom = TICK + GAP + letter + GAP + letter + tail + EDGE
  m.top = EDGE
  if spec.title then
    local _, height = Canvas.text_size('', TITLE)
    m.top = EDGE + height + tail + GAP + 2
  end
  -- The last label of the x axis is centred on the area's edge.
  m.right = EDGE + math.ceil(widest(m.x) / 2)
  if spec.bar then
    m.bar = ticks_of(spec.bar, h, Y_EVERY)
    m.right = BAR_GAP + BAR_WIDTH + TICK + GAP + widest(m.bar) + GAP + letter + tail + EDGE
  end
  return m
end

--- The size of a picture: the caller's width and height in `opts`, else what `area_width` x
--- `area_height` pixels of data need.
---@param spec ag.Frame2D
---@param opts {width: integer?, height: integer?}
---@param name string of the public function
---@param area_width integer
---@param area_height integer
---@param level integer levels between the public function and this one
---@return {width: integer?, height: integer?, area_width: integer, area_height: integer}?
---@return string? err
---@return string? code 'usage': too small for the labels
function M.size(spec, opts, name, area_width, area_height, level)
  local size = {area_width = area_width, area_height = area_height}
  for _, side in ipairs {'width', 'height'} do
    size[side] = opts[side] and check.int(opts[side], name .. ': ' .. side, 1, MAX, level)
  end
  -- Margins depend on the ticks, and these on the area: first as if there were no margins, then
  -- once more, where that gives room.
  local m = measure(spec, size.width or area_width, size.height or area_height)
  local function area(margins)
    return size.width and size.width - margins.left - margins.right or area_width,
      size.height and size.height - margins.top - margins.bottom or area_height
  end
  local w, h = area(m)
  local w2, h2 = area(measure(spec, w, h))
  local w3, h3 = area(measure(spec, w2, h2))
  size.area_width, size.area_height = w3 < w2 and w or w2, h3 < h2 and h or h2
  local needed = {
    width = math.max(MIN + m.left + m.right, (Canvas.text_size(spec.x.label)) + 2 * EDGE),
    height = math.max(MIN + m.top + m.bottom, (Canvas.text_size(spec.y.label)) + 2 * EDGE,
      spec.bar and (Canvas.text_size(spec.bar.label)) + 2 * EDGE or 0),
  }
  for _, side in ipairs {'width', 'height'} do
    if size[side] and size[side] < needed[side] then
      return nil, ('%s: %s: no room for the labels in %d pixels, make it at least %d'):format(name,
        side, size[side], needed[side]), 'usage'
    end
  end
  return size
end

--- The title among a function's options.
---@param opts {title: string?}
---@param name string of the public function
---@return string?
function M.title(opts, name)
  return opts.title and check.type(opts.title, name .. ': title', 'string', 1)
end

-- Where text that is read upwards begins, so that its middle is that of the area, if the picture is
-- high enough.
local function upwards(c, text, area)
  local length = Canvas.text_size(text)
  local y = area.y + math.floor((area.height + length) / 2)
  return math.max(length + EDGE, math.min(c.height - EDGE, y))
end

local function draw_bar(c, spec, m, area)
  local x = area.x + area.width + BAR_GAP
  for y = 0, area.height - 1 do
    local v = area.height > 1 and 1 - y / (area.height - 1) or 1
    c:fill(x, area.y + y, BAR_WIDTH, 1, colour.map(v))
  end
  local right = x + BAR_WIDTH
  for _, t in ipairs(m.bar) do
    local y = area.y + math.floor((1 - t.at) * (area.height - 1) + 0.5)
    c:fill(right, y, TICK, 1, colour.ink)
    c:text(t.text, right + TICK + GAP, y - math.floor(m.letter / 2), colour.ink)
  end
  c:text(spec.bar.label, right + TICK + GAP + widest(m.bar) + GAP, upwards(c, spec.bar.label, area),
    colour.ink, {up = true})
end

local function draw_axes(c, spec, m, area)
  local bottom = area.y + area.height
  c:fill(area.x - 1, area.y - 1, 1, area.height + 2, colour.ink)
  c:fill(area.x + area.width, area.y - 1, 1, area.height + 2, colour.ink)
  c:fill(area.x - 1, area.y - 1, area.width + 2, 1, colour.ink)
  c:fill(area.x - 1, bottom, area.width + 2, 1, colour.ink)
  for _, t in ipairs(m.x) do
    local x = M.column(area, t.at)
    c:fill(x, bottom + 1, 1, TICK, colour.ink)
    local width = Canvas.text_size(t.text)
    c:text(t.text, x - math.floor(width / 2), bottom + TICK + GAP, colour.ink)
  end
  for _, t in ipairs(m.y) do
    local y = M.row(area, t.at, spec.y.down)
    c:fill(area.x - 1 - TICK, y, TICK, 1, colour.ink)
    local width = Canvas.text_size(t.text)
    c:text(t.text, area.x - 1 - TICK - GAP - width, y - math.floor(m.letter / 2), colour.ink)
  end
  local length = Canvas.text_size(spec.x.label)
  c:text(spec.x.label, area.x + math.floor((area.width - length) / 2),
    bottom + TICK + GAP + m.letter + GAP, colour.ink)
  c:text(spec.y.label, EDGE, upwards(c, spec.y.label, area), colour.ink, {up = true})
end

--- The column of pixels in which a position along the x axis lies.
---@param at number 0 to 1
function M.column(area, at)
  return area.x + math.min(area.width - 1, math.floor(at * area.width))
end

--- The row of pixels in which a position along the y axis lies.
function M.row(area, at, down)
  if not down then at = 1 - at end
  return area.y + math.min(area.height - 1, math.floor(at * area.height))
end

-- As much of a title as fits, with dots for the rest.
local function fit(text, width)
  if Canvas.text_size(text, TITLE) <= width then return text end
  repeat
    text = text:gsub('[%z\1-\127\192-\255][\128-\191]*$', '')
  until text == '' or Canvas.text_size(text .. '...', TITLE) <= width
  return text .. '...'
end

--- Lines across the area at the ticks, behind the data.
function M.grid(c, area, spec)
  for _, t in ipairs(ticks_of(spec.x, area.width, X_EVERY)) do
    c:fill(M.column(area, t.at), area.y, 1, area.height, colour.faint)
  end
  for _, t in ipairs(ticks_of(spec.y, area.height, spec.y.every or Y_EVERY)) do
    c:fill(area.x, M.row(area, t.at), area.width, 1, colour.faint)
  end
end

--- Draws the frame around an area of w x h pixels, `fill(canvas, area)` in between.
---@param spec ag.Frame2D
---@param w integer of the area
---@param h integer of the area
---@param fill fun(canvas: ag.Canvas, area: table)
---@param size? {width: integer?, height: integer?} of the picture; default: as small as may be
---@return ag.Image
function M.draw(spec, w, h, fill, size)
  local m = measure(spec, w, h)
  local width = size and size.width or m.left + w + m.right
  local height = size and size.height or m.top + h + m.bottom
  local c = Canvas.new(width, height, colour.white)
  local area = {x = m.left, y = m.top, width = w, height = h}
  fill(c, area)
  draw_axes(c, spec, m, area)
  if spec.bar then draw_bar(c, spec, m, area) end
  if spec.title then
    c:text(fit(spec.title, width - m.left - EDGE), m.left, EDGE, colour.ink, {size = TITLE})
  end
  return png.image(c, area)
end

return M
