-- Data URLs (RFC 2397): a file as text, `data:audio/wav;base64,UklGR...`, as web pages and services
-- hand recordings around.

local ffi = require 'ffi'

local M = {}

local ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
local DIGITS = ffi.new('uint8_t[64]', {ALPHABET:byte(1, 64)})
local VALUES = ffi.new 'int8_t[256]'
ffi.fill(VALUES, 256, 0xff) -- -1: no digit
for i = 1, 64 do VALUES[ALPHABET:byte(i)] = i - 1 end

--- Whether a text is a data URL and no path.
---@param text string
---@return boolean
function M.is(text)
  return text:sub(1, 5):lower() == 'data:'
end

--- Bytes in base64. A request of a server may hold many of them.
---@param bytes string
---@return string digits
function M.base64(bytes)
  local n, at = #bytes, 0
  local data, out = ffi.cast('const uint8_t *', bytes), ffi.new('uint8_t[?]', math.ceil(n / 3) * 4)
  for i = 0, n - 1, 3 do
    local b = i + 1 < n and data[i + 1] or 0
    local c = i + 2 < n and data[i + 2] or 0
    local v = data[i] * 65536 + b * 256 + c
    out[at] = DIGITS[bit.rshift(v, 18)]
    out[at + 1] = DIGITS[bit.band(bit.rshift(v, 12), 63)]
    out[at + 2] = i + 1 < n and DIGITS[bit.band(bit.rshift(v, 6), 63)] or 61 -- '='
    out[at + 3] = i + 2 < n and DIGITS[bit.band(v, 63)] or 61
    at = at + 4
  end
  return ffi.string(out, at)
end

--- A data URL that holds bytes.
---@param kind string media type
---@param bytes string
---@return string url
function M.encode(kind, bytes)
  return ('data:%s;base64,%s'):format(kind, M.base64(bytes))
end

-- The bytes of base64 digits; white space among them and padding at their end are passed over.
local function decode(digits)
  digits = digits:gsub('%s', ''):gsub('=?=$', '')
  local n = #digits
  if n % 4 == 1 then return nil, 'is cut off' end
  local out, size, held, bits = ffi.new('uint8_t[?]', n), 0, 0, 0
  for i = 1, n do
    local v = VALUES[digits:byte(i)]
    if v < 0 then return nil, ('character %d behind the comma is no base64'):format(i) end
    held, bits = held * 64 % 65536 + v, bits + 6
    if bits >= 8 then
      bits = bits - 8
      out[size], size = bit.band(bit.rshift(held, bits), 0xff), size + 1
    end
  end
  return ffi.string(out, size)
end

--- The bytes that a data URL holds.
---@param url string
---@return string? bytes
---@return string? err
function M.decode(url)
  local head, digits = url:match '^[^:]*:([^,]*),(.*)$'
  if not head then return nil, 'has no comma before its bytes' end
  if not head:lower():find ';base64$' then
    return nil, 'is not in base64 (data:audio/wav;base64,...)'
  end
  return decode(digits)
end

return M
