-- Reads PNG files back for specs, with libpng's decoder, and finds things in them.

local ffi = require 'ffi'

-- busted loads modules again while ffi.cdef is permanent.
if not pcall(ffi.typeof, 'struct argent_spec_png') then
  ffi.cdef [[
    struct argent_spec_png {
      void *opaque;
      uint32_t version, width, height, format, flags, colours, warning;
      char message[64];
    };
    int png_image_begin_read_from_memory(struct argent_spec_png *p, const void *bytes, size_t size);
    int png_image_finish_read(struct argent_spec_png *p, const void *background, void *out,
                              int32_t stride, void *map);
  ]]
end

local M = {}

local VERSION, RGB = 1, 2

---@class spec.Picture
---@field width integer
---@field height integer
---@field format integer of the file: 2 is RGB without transparency
local Picture = {}
Picture.__index = Picture

--- Decodes the bytes of a PNG file.
---@param bytes string
---@return spec.Picture
function M.decode(bytes)
  local lib, p = ffi.load 'libpng16.so.16', ffi.new 'struct argent_spec_png'
  p.version = VERSION
  assert(lib.png_image_begin_read_from_memory(p, bytes, #bytes) ~= 0, 'no PNG file')
  local format, size = p.format, p.width * p.height * 3
  local out = ffi.new('uint8_t[?]', size)
  p.format = RGB
  assert(lib.png_image_finish_read(p, nil, out, p.width * 3, nil) ~= 0, ffi.string(p.message))
  return setmetatable({width = p.width, height = p.height, format = format,
    data = ffi.string(out, size)}, Picture)
end

--- Decodes a file.
---@param path string
---@return spec.Picture
function M.read(path)
  local f = assert(io.open(path, 'rb'))
  local bytes = f:read '*a'
  f:close()
  return M.decode(bytes)
end

--- A pixel as '#rrggbb'.
function Picture:at(x, y)
  assert(x >= 0 and y >= 0 and x < self.width and y < self.height)
  local i = (y * self.width + x) * 3
  return ('#%02x%02x%02x'):format(self.data:byte(i + 1, i + 3))
end

--- Pixels of a box that are dark grey or black: letters and axes, where nothing else is dark.
function Picture:ink(x, y, width, height)
  local n = 0
  for row = y, y + height - 1 do
    for column = x, x + width - 1 do
      local i = (row * self.width + column) * 3
      local r, g, b = self.data:byte(i + 1, i + 3)
      if r < 128 and g < 128 and b < 128 then n = n + 1 end
    end
  end
  return n
end

--- The first and the last row of a column of the area whose pixel is no background: neither white
--- nor the pale grey of grid lines.
function Picture:extent(x, area)
  local first, last
  for y = area.y, area.y + area.height - 1 do
    local i = (y * self.width + x) * 3
    local r, g, b = self.data:byte(i + 1, i + 3)
    if math.max(r, g, b) - math.min(r, g, b) > 20 then
      first, last = first or y, y
    end
  end
  return first, last
end

return M
