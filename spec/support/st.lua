-- Writes files byte by byte: safetensors with any header, honest or not.

local M = {}

local function le64(n)
  local s = ''
  for _ = 1, 8 do
    s = s .. string.char(n % 256)
    n = math.floor(n / 256)
  end
  return s
end

--- A temporary path that no other spec uses.
function M.path()
  local path = os.tmpname()
  return path
end

--- Writes bytes and returns the path.
function M.write(bytes, path)
  path = path or M.path()
  local f = assert(io.open(path, 'wb'))
  assert(f:write(bytes))
  assert(f:close())
  return path
end

--- The bytes of a safetensors file; `length` lies about the header's size when given.
function M.bytes(header, data, length)
  return le64(length or #header) .. header .. (data or '')
end

return M
