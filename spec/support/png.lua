-- Reads PNG files back for specs, with stb's decoder, and finds things in them.

local ffi = require 'ffi'

-- busted loads modules again while ffi.cdef is permanent.
if not pcall(ffi.typeof, 'struct argent_spec_png') then
  ffi.cdef [[
    struct argent_spec_png { int declared; };
    unsigned char *stbi_load_from_memory(const unsigned char *bytes, int n, int *width, int *height,
                                         int *channels, int wanted);
    void stbi_image_free(void *p);
  ]]
end

local M = {}

---@class spec.Picture
---@field width integer
---@field height integer
local Picture = {}
Picture.__index = Picture

--- Decodes the bytes of a PNG file.
---@param bytes string
---@return spec.Picture
function M.decode(bytes)
  assert(bytes:sub(1, 8) == '\137PNG\r\n\26\n', 'no PNG signature')
  local lib, out = ffi.load 'libstb.so.0', ffi.new 'int[3]'
  local p = lib.stbi_load_from_memory(bytes, #bytes, out, out + 1, out + 2, 3)
  assert(p ~= nil, 'stb cannot decode it')
  local data = ffi.string(p, out[0] * out[1] * 3)
  lib.stbi_image_free(p)
  return setmetatable({width = out[0], height = out[1], channels = out[2], data = data}, Picture)
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
