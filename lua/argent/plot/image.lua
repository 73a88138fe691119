-- Finished pictures: their pixels, and PNG files of them.

local check = require 'argent.check'
local ffi = require 'ffi'
local files = require 'argent.files'

local M = {}

local NO_MEMORY, WRITE_ERROR = 1, 11 -- cairo's

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
---@field missing integer letters of its texts that no font here has
local Image = {}
Image.__index = Image

Image.__tostring = function(image)
  return ('picture: %d x %d'):format(image.width, image.height)
end

--- A picture on a surface of cairo's.
---@param lib ffi.namespace* cairo
---@param surface ffi.cdata* RGB24, nothing left to flush
---@param fields {width: integer, height: integer, area: table, missing: integer}
---@return ag.Image
function M.of(lib, surface, fields)
  fields.lib, fields.surface = lib, surface
  return setmetatable(fields, Image)
end

--- The colour of a pixel, counted from 0 at the left upper corner.
---@return integer red, integer green, integer blue 0 to 255
function Image:pixel(x, y)
  if x < 0 or y < 0 or x >= self.width or y >= self.height or x % 1 ~= 0 or y % 1 ~= 0 then
    error(('pixel: %s, %s is outside of %d x %d'):format(tostring(x), tostring(y), self.width,
      self.height), 2)
  end
  local stride = self.lib.cairo_image_surface_get_stride(self.surface)
  local p = self.lib.cairo_image_surface_get_data(self.surface) + y * stride + x * 4
  local c = ffi.cast('uint32_t *', p)[0]
  return math.floor(c / 65536) % 256, math.floor(c / 256) % 256, c % 256
end

-- Not compiled, as a callback comes out of the call; and no error may cross cairo, so that one,
-- such as a Ctrl-C's, is kept and raised afterwards.
local function encode(lib, surface)
  local parts, raised = {}, nil
  local sink = ffi.cast('argent_sink', function(_, bytes, size)
    local ok, e = pcall(function() parts[#parts + 1] = ffi.string(bytes, size) end)
    if ok then return 0 end
    raised = e
    return WRITE_ERROR
  end)
  local rc = lib.cairo_surface_write_to_png_stream(surface, sink, nil)
  sink:free()
  if raised then error(raised, 0) end
  return rc, parts
end
jit.off(encode)

--- The picture as the bytes of a PNG file.
---@return string? bytes
---@return string? err
---@return string? code 'memory'
function Image:png()
  local rc, parts = encode(self.lib, self.surface)
  if rc == NO_MEMORY then return nil, 'out of memory', 'memory' end
  if rc ~= 0 then return nil, ('cairo makes no PNG file (status %d)'):format(rc), 'internal' end
  return table.concat(parts)
end

--- Writes the picture to a PNG file, whole or not at all.
---@param path string ends in .png
---@return boolean? ok
---@return string? err
---@return string? code 'usage' for the name, 'io', 'memory'
function Image:save(path)
  local ok, err, code = M.check_path(path, 1)
  if not ok then return nil, err, code end
  local bytes
  bytes, err, code = self:png()
  if not bytes then return nil, err, code end
  ok, err, code = files.write(path, bytes)
  return ok, err, code
end

check.methods(Image, 'image')

return M
