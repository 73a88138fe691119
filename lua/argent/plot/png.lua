-- PNG files, through stb.

local ffi = require 'ffi'
local check = require 'argent.check'
local files = require 'argent.files'

-- busted loads modules again while ffi.cdef is permanent; the guard is a type that only this file
-- declares.
if not pcall(ffi.typeof, 'struct argent_stb') then
  ffi.cdef [[
    struct argent_stb { int declared; };
    unsigned char *stbi_write_png_to_mem(const unsigned char *pixels, int stride, int width,
                                         int height, int channels, int *size);
  ]]
end

local M = {}

local library
local function stb()
  if not library then
    local ok, lib = pcall(ffi.load, 'libstb.so.0')
    if not ok then return nil, 'libstb is missing: apt install libstb0', 'unsupported' end
    library = lib
  end
  return library
end

--- Refuses a name under which no picture can be written.
---@param path string
---@return boolean? ok
---@return string? err
---@return string? code 'usage'
function M.check_path(path, level)
  check.type(path, 'save: path', 'string', level)
  if path:lower():find '%.png$' then return true end
  local extension = path:match '%.([^./]+)$'
  return nil, ('%s: %s; pictures are .png'):format(path:gsub('%c', '?'), extension
    and ("unknown picture format '.%s'"):format(extension:gsub('%c', '?'))
    or 'no extension says the picture format'), 'usage'
end

---@class ag.Image
---@field width integer pixels
---@field height integer pixels
---@field area {x: integer, y: integer, width: integer, height: integer} where the data is drawn
---@field canvas ag.Canvas
local Image = {}
Image.__index = Image

--- A finished picture.
---@param canvas ag.Canvas
---@param area {x: integer, y: integer, width: integer, height: integer}
---@return ag.Image
function M.image(canvas, area)
  return setmetatable({
    width = canvas.width, height = canvas.height, area = area, canvas = canvas,
  }, Image)
end

Image.__tostring = function(image)
  return ('picture: %d x %d'):format(image.width, image.height)
end

--- The colour of a pixel, counted from 0 at the left upper corner.
---@return integer red, integer green, integer blue 0 to 255
function Image:pixel(x, y)
  if x < 0 or y < 0 or x >= self.width or y >= self.height or x % 1 ~= 0 or y % 1 ~= 0 then
    error(('pixel: %s, %s is outside of %d x %d'):format(tostring(x), tostring(y), self.width,
      self.height), 2)
  end
  local p = self.canvas.data + (y * self.width + x) * 3
  return p[0], p[1], p[2]
end

--- The picture as the bytes of a PNG file.
---@return string? bytes
---@return string? err
---@return string? code 'unsupported' (no libstb), 'memory'
function Image:png()
  local lib, err, code = stb()
  if not lib then return nil, err, code end
  local size = ffi.new 'int[1]'
  local p = lib.stbi_write_png_to_mem(self.canvas.data, self.width * 3, self.width, self.height, 3,
    size)
  if p == nil then return nil, 'out of memory', 'memory' end
  local bytes = ffi.string(p, size[0])
  ffi.C.free(p)
  return bytes
end

--- Writes the picture to a PNG file, whole or not at all.
---@param path string ends in .png
---@return boolean? ok
---@return string? err
---@return string? code 'usage' for the name, 'io', 'unsupported', 'memory'
function Image:save(path)
  local ok, err, code = M.check_path(path, 1)
  if not ok then return nil, err, code end
  local bytes
  bytes, err, code = self:png()
  if not bytes then return nil, err, code end
  ok, err, code = files.write(path, bytes)
  return ok, err, code
end

return M
