-- The frame of every picture: title, legend, axes with ticks and labels, colour bar. Margins follow
-- from the texts, so that nothing is cut off.

local Page = require 'argent.plot.page'
local check = require 'argent.check'
local colour = require 'argent.plot.colour'
local scale = require 'argent.plot.scale'

local M = {}

local EDGE, GAP, TICK = 14, 8, 5
local TITLE = 1.25
local BAR_WIDTH, BAR_GAP = 18, 18
-- A legend's entry: its line, and the space before and after its words.
local SAMPLE, BEFORE, AFTER = 26, 7, 20
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
---@field legend {label: string, colour: ag.Colour, dash: number[]?, pen: number}[]? what lines mean

local function widest(ticks)
  local width = 0
  for _, t in ipairs(ticks) do width = math.max(width, (Page.text_size(t.text))) end
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

-- Where the entries of a legend stand above an area of w pixels: as many in a row as fit.
local function flow(legend, w)
  local places, x, row = {}, 0, 0
  for i, entry in ipairs(legend) do
    local room = math.max(1, w - SAMPLE - BEFORE)
    local width = SAMPLE + BEFORE + math.min(room, (Page.text_size(entry.label)))
    if x > 0 and x + width > w then x, row = 0, row + 1 end
    places[i] = {x = x, row = row, room = room}
    x = x + width + AFTER
  end
  return places, row + 1
end

-- What stands around an area of w x h pixels.
local function measure(spec, w, h)
  local _, letter = Page.text_size ''
  local m = {
    x = ticks_of(spec.x, w, X_EVERY), y = ticks_of(spec.y, h, spec.y.every or Y_EVERY),
    letter = letter,
  }
  local tail = math.ceil(letter / 3)
  m.left = EDGE + letter + tail + GAP + widest(m.y) + GAP + TICK
  m.bottom = TICK + GAP + letter + GAP + letter + tail + EDGE
  m.top = EDGE
  if spec.title then
    local _, height = Page.text_size('', TITLE)
    m.top = EDGE + height + tail + GAP + 2
  end
  if spec.legend then
    local rows
    m.legend, rows = flow(spec.legend, w)
    m.legend_top, m.legend_row = m.top, letter + tail + GAP
    m.top = m.top + rows * m.legend_row
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
---@return string? code 'usage': too small for the labels; 'unsupported': cairo or a font is missing
function M.size(spec, opts, name, area_width, area_height, level)
  local ok, err, code = Page.prepare()
  if not ok then return nil, err, code end
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
    width = math.max(MIN + m.left + m.right, (Page.text_size(spec.x.label)) + 2 * EDGE),
    height = math.max(MIN + m.top + m.bottom, (Page.text_size(spec.y.label)) + 2 * EDGE,
      spec.bar and (Page.text_size(spec.bar.label)) + 2 * EDGE or 0),
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

--- The ends of an axis: `lo` and `hi` among a function's options, else those of the data.
---@param opts {lo: number?, hi: number?}
---@param name string of the public function
---@param lo number
---@param hi number not less than lo
---@return number lo
---@return number hi greater than lo
function M.ends(opts, name, lo, hi)
  lo = opts.lo and check.number(opts.lo, name .. ': lo', nil, nil, 1) or lo
  hi = opts.hi and check.number(opts.hi, name .. ': hi', nil, nil, 1) or hi
  if lo > hi or lo == hi and opts.lo and opts.hi then error(name .. ': lo must be below hi', 3) end
  if lo < hi then return lo, hi end
  lo, hi = scale.widen(lo, hi)
  return lo, hi
end

-- Where text that is read upwards begins, so that its middle is that of the area, if the picture is
-- high enough.
local function upwards(c, text, area)
  local length = Page.text_size(text)
  local y = area.y + math.floor((area.height + length) / 2)
  return math.max(length + EDGE, math.min(c.height - EDGE, y))
end

local function draw_bar(c, spec, m, area)
  local x = area.x + area.width + BAR_GAP
  c:paint({x = x, y = area.y, width = BAR_WIDTH, height = area.height}, function(_, row)
    return colour.map(area.height > 1 and 1 - row / (area.height - 1) or 1)
  end)
  local right = x + BAR_WIDTH
  for _, t in ipairs(m.bar) do
    local y = area.y + math.floor((1 - t.at) * (area.height - 1) + 0.5)
    c:box(right, y, TICK, 1, colour.ink)
    c:text(t.text, right + TICK + GAP, y - math.floor(m.letter / 2), colour.ink)
  end
  c:text(spec.bar.label, right + TICK + GAP + widest(m.bar) + GAP, upwards(c, spec.bar.label, area),
    colour.ink, {up = true})
end

local function draw_axes(c, spec, m, area)
  local bottom = area.y + area.height
  c:box(area.x - 1, area.y - 1, 1, area.height + 2, colour.ink)
  c:box(area.x + area.width, area.y - 1, 1, area.height + 2, colour.ink)
  c:box(area.x - 1, area.y - 1, area.width + 2, 1, colour.ink)
  c:box(area.x - 1, bottom, area.width + 2, 1, colour.ink)
  for _, t in ipairs(m.x) do
    local x = M.column(area, t.at)
    c:box(x, bottom + 1, 1, TICK, colour.ink)
    local width = Page.text_size(t.text)
    c:text(t.text, x - math.floor(width / 2), bottom + TICK + GAP, colour.ink)
  end
  for _, t in ipairs(m.y) do
    local y = M.row(area, t.at, spec.y.down)
    c:box(area.x - 1 - TICK, y, TICK, 1, colour.ink)
    local width = Page.text_size(t.text)
    c:text(t.text, area.x - 1 - TICK - GAP - width, y - math.floor(m.letter / 2), colour.ink)
  end
  local length = Page.text_size(spec.x.label)
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

local function draw_legend(c, spec, m, area)
  for i, entry in ipairs(spec.legend) do
    local place = m.legend[i]
    local x, y = area.x + place.x, m.legend_top + place.row * m.legend_row
    local middle = y + m.letter / 2
    c:lines({{x + 2, middle, x + SAMPLE - 2, middle}}, entry.colour,
      {pen = entry.pen, dash = entry.dash})
    c:text(entry.label, x + SAMPLE + BEFORE, y, colour.ink, {room = place.room})
  end
end

--- Lines across the area at the ticks, behind the data.
function M.grid(c, area, spec)
  for _, t in ipairs(ticks_of(spec.x, area.width, X_EVERY)) do
    c:box(M.column(area, t.at), area.y, 1, area.height, colour.faint)
  end
  for _, t in ipairs(ticks_of(spec.y, area.height, spec.y.every or Y_EVERY)) do
    c:box(area.x, M.row(area, t.at), area.width, 1, colour.faint)
  end
end

--- Draws the frame around an area of w x h pixels, `fill(page, area)` in between.
---@param spec ag.Frame2D
---@param w integer of the area
---@param h integer of the area
---@param fill fun(page: ag.Page, area: table)
---@param size? {width: integer?, height: integer?} of the picture; default: as small as may be
---@return ag.Image?
---@return string? err
---@return string? code 'memory'
function M.draw(spec, w, h, fill, size)
  local m = measure(spec, w, h)
  local width = size and size.width or m.left + w + m.right
  local height = size and size.height or m.top + h + m.bottom
  local c, err, code = Page.new(width, height)
  if not c then return nil, err, code end
  local area = {x = m.left, y = m.top, width = w, height = h}
  fill(c, area)
  draw_axes(c, spec, m, area)
  if spec.bar then draw_bar(c, spec, m, area) end
  if spec.legend then draw_legend(c, spec, m, area) end
  if spec.title then
    c:text(spec.title, m.left, EDGE, colour.ink, {size = TITLE, room = width - m.left - EDGE})
  end
  return c:finish(area)
end

return M
