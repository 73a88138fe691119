-- What a picture is drawn on: boxes, lines, text in any script, and single pixels. The left upper
-- corner of pixel x, y is at x, y, its centre at x + 0.5, y + 0.5.

local cairo = require 'argent.plot.cairo'
local ffi = require 'ffi'
local image = require 'argent.plot.image'

---@alias ag.Colour integer[] red, green, blue, 0 to 255

---@class ag.Page
---@field width integer pixels
---@field height integer pixels
local Page = {}
Page.__index = Page

-- Letters of size 1 have this many pixels from line to line, more or less.
local FONT_SIZE, FONT = 14, 'DejaVu Sans, Sans'
local PANGO_SCALE, ELLIPSIZE_NONE, ELLIPSIZE_END = 1024, 0, 3
local RGB24, ROUND = 1, 1
local ANTIALIAS_GRAY, HINT_SLIGHT, HINT_METRICS_OFF = 2, 2, 1

local function surface_of(lib, width, height)
  local s = ffi.gc(lib.cairo_image_surface_create(RGB24, width, height), lib.cairo_surface_destroy)
  if lib.cairo_surface_status(s) ~= 0 then return nil, 'out of memory', 'memory' end
  return s
end

-- ---- text ----

-- One layout measures and draws every text; `capital` is the height of an H by size.
local letters

local function set_size(size)
  local lib, l = letters.lib, letters.layout
  lib.pango_font_description_set_absolute_size(letters.font, size * FONT_SIZE * PANGO_SCALE)
  lib.pango_layout_set_font_description(l, letters.font)
  letters.size = size
end

local extents, ink = ffi.new 'struct argent_extents', ffi.new 'struct argent_extents'

-- Lays out a line of text. `room`: pixels; a longer text ends in dots.
local function lay_out(text, size, room)
  local lib, l = letters.lib, letters.layout
  if size ~= letters.size then set_size(size) end
  text = text:gsub('%c', ' ')
  local valid = lib.g_utf8_make_valid(text, #text)
  lib.pango_layout_set_text(l, valid, -1)
  lib.g_free(valid)
  lib.pango_layout_set_ellipsize(l, room and ELLIPSIZE_END or ELLIPSIZE_NONE)
  lib.pango_layout_set_width(l, room and room * PANGO_SCALE or -1)
  return lib, l
end

local function capital_height(size)
  if not letters.capital[size] then
    local lib, l = lay_out('H', size)
    lib.pango_layout_get_pixel_extents(l, ink, extents)
    letters.capital[size] = ink.height
  end
  return letters.capital[size]
end

--- Opens the libraries, before anything is measured or drawn.
---@return boolean? ok
---@return string? err
---@return string? code 'unsupported' (a library or any font is missing), 'memory'
function Page.prepare()
  if letters then return true end
  local lib, err, code = cairo.open()
  if not lib then return nil, err, code end
  local surface
  surface, err, code = surface_of(lib, 1, 1)
  if not surface then return nil, err, code end
  local cr = lib.cairo_create(surface)
  local layout = ffi.gc(lib.pango_cairo_create_layout(cr), lib.g_object_unref)
  lib.cairo_destroy(cr)
  local options = lib.cairo_font_options_create()
  lib.cairo_font_options_set_antialias(options, ANTIALIAS_GRAY)
  lib.cairo_font_options_set_hint_style(options, HINT_SLIGHT)
  lib.cairo_font_options_set_hint_metrics(options, HINT_METRICS_OFF)
  lib.pango_cairo_context_set_font_options(lib.pango_layout_get_context(layout), options)
  lib.cairo_font_options_destroy(options)
  lib.pango_layout_set_single_paragraph_mode(layout, 1)
  letters = {
    lib = lib, layout = layout, capital = {},
    font = ffi.gc(lib.pango_font_description_from_string(FONT), lib.pango_font_description_free),
  }
  lay_out('0', 1)
  if lib.pango_layout_get_unknown_glyphs_count(layout) > 0 then
    letters = nil
    return nil, 'pictures need a font: apt install fonts-dejavu-core', 'unsupported'
  end
  return true
end

--- Width and height (of capitals) of a line of text in pixels.
---@param text string
---@param size? number default 1
---@return integer width
---@return integer height
function Page.text_size(text, size)
  size = size or 1
  local height = capital_height(size)
  local lib, l = lay_out(text, size)
  lib.pango_layout_get_pixel_extents(l, ink, extents)
  return extents.width, height
end

-- ---- drawing ----

--- A white page.
---@param width integer
---@param height integer
---@return ag.Page?
---@return string? err
---@return string? code as of `prepare`
function Page.new(width, height)
  local ok, err, code = Page.prepare()
  if not ok then return nil, err, code end
  local lib = letters.lib
  local surface
  surface, err, code = surface_of(lib, width, height)
  if not surface then return nil, err, code end
  local cr = ffi.gc(lib.cairo_create(surface), lib.cairo_destroy)
  lib.cairo_set_line_cap(cr, ROUND)
  lib.cairo_set_line_join(cr, ROUND)
  local self = setmetatable({
    width = width, height = height, lib = lib, surface = surface, cr = cr, missing = 0,
  }, Page)
  self:box(0, 0, width, height, {255, 255, 255})
  return self
end

local function set_colour(self, colour)
  self.lib.cairo_set_source_rgb(self.cr, colour[1] / 255, colour[2] / 255, colour[3] / 255)
end

--- Fills a box, whose sides may lie within pixels.
function Page:box(x, y, width, height, colour)
  set_colour(self, colour)
  self.lib.cairo_rectangle(self.cr, x, y, width, height)
  self.lib.cairo_fill(self.cr)
end

--- Draws lines with one pen; a line of one point is a dot.
---@param lines number[][] lists of x, y, x, y, ...
---@param colour ag.Colour
---@param opts {pen: number, dash: number[]?, clip: {x: integer, y: integer, width: integer,
---height: integer}?} pen: pixels; dash: pixels drawn and left out; nothing is drawn outside of clip
function Page:lines(lines, colour, opts)
  local lib, cr, clip = self.lib, self.cr, opts.clip
  lib.cairo_save(cr)
  if clip then
    lib.cairo_rectangle(cr, clip.x, clip.y, clip.width, clip.height)
    lib.cairo_clip(cr)
  end
  if opts.dash then
    lib.cairo_set_dash(cr, ffi.new('double[?]', #opts.dash, opts.dash), #opts.dash, 0)
  end
  set_colour(self, colour)
  lib.cairo_set_line_width(cr, opts.pen)
  for _, points in ipairs(lines) do
    lib.cairo_move_to(cr, points[1], points[2])
    for i = 1, #points, 2 do lib.cairo_line_to(cr, points[i], points[i + 1]) end
  end
  lib.cairo_stroke(cr)
  lib.cairo_restore(cr)
end

--- Draws a line of text.
---@param text string
---@param x number
---@param y number the box of its capitals has its left upper corner at x, y
---@param colour ag.Colour
---@param opts? {size: number?, up: boolean?, room: integer?} up: turned to the left, read from
---below to above; then x, y is the box's left LOWER corner; room: pixels, a longer text ends in
---dots
function Page:text(text, x, y, colour, opts)
  opts = opts or {}
  local size = opts.size or 1
  local height = capital_height(size)
  local lib, l = lay_out(text, size, opts.room)
  self.missing = self.missing + lib.pango_layout_get_unknown_glyphs_count(l)
  lib.cairo_save(self.cr)
  set_colour(self, colour)
  lib.cairo_translate(self.cr, x, y)
  if opts.up then lib.cairo_rotate(self.cr, -math.pi / 2) end
  lib.cairo_move_to(self.cr, 0, height - lib.pango_layout_get_baseline(l) / PANGO_SCALE)
  lib.pango_cairo_show_layout(self.cr, l)
  lib.cairo_restore(self.cr)
end

--- Sets every pixel of an area.
---@param area {x: integer, y: integer, width: integer, height: integer} within the page
---@param colour_of fun(column: integer, row: integer): ag.Colour both from 0, row by row
function Page:paint(area, colour_of)
  local lib, s = self.lib, self.surface
  lib.cairo_surface_flush(s)
  local data = ffi.cast('uint32_t *', lib.cairo_image_surface_get_data(s))
  local stride = lib.cairo_image_surface_get_stride(s) / 4
  for row = 0, area.height - 1 do
    local line = data + (area.y + row) * stride + area.x
    for column = 0, area.width - 1 do
      local c = colour_of(column, row)
      line[column] = c[1] * 65536 + c[2] * 256 + c[3]
    end
  end
  lib.cairo_surface_mark_dirty(s)
end

--- The picture; nothing can be drawn any more.
---@param area {x: integer, y: integer, width: integer, height: integer} where the data is drawn
---@return ag.Image
function Page:finish(area)
  self.lib.cairo_destroy(ffi.gc(self.cr, nil))
  self.lib.cairo_surface_flush(self.surface)
  return image.of(self.lib, self.surface, {
    width = self.width, height = self.height, area = area, missing = self.missing,
  })
end

return Page
