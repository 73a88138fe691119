-- A second, minimal reader of safetensors for specs, so that they do not lean on the reader they
-- check. It trusts its file: fixtures of our own, small enough to hold in memory as Lua numbers.

local cjson = require 'cjson'
local ffi = require 'ffi'

local M = {}

local bits = ffi.new('union { uint32_t u; float f; }')

local READ = {
  F32 = function(p, n)
    p = ffi.cast('const float *', p)
    local out = {}
    for i = 1, n do out[i] = p[i - 1] end
    return out
  end,
  BF16 = function(p, n) -- the upper half of an f32
    p = ffi.cast('const uint16_t *', p)
    local out = {}
    for i = 1, n do
      bits.u = p[i - 1] * 65536
      out[i] = bits.f
    end
    return out
  end,
  I32 = function(p, n)
    p = ffi.cast('const int32_t *', p)
    local out = {}
    for i = 1, n do out[i] = p[i - 1] end
    return out
  end,
}

--- Reads the header of a file; tensors are converted when they are asked for.
---@param path string
---@return fun(name: string): number[], integer[] tensor values in file order, and the shape
---@return table header name -> {dtype, shape, data_offsets}
function M.open(path)
  local file = assert(io.open(path, 'rb'))
  local bytes = file:read('*a')
  file:close()
  local size = 0
  for i = 8, 1, -1 do size = size * 256 + bytes:byte(i) end
  local header = cjson.decode(bytes:sub(9, 8 + size))
  local cache = {}
  local function tensor(name)
    local t = header[name] or error(path .. ' has no tensor ' .. name, 2)
    if not cache[name] then
      local n = 1
      for _, d in ipairs(t.shape) do n = n * d end
      -- A copy, because the offset of a tensor in `bytes` need not be aligned.
      local data = bytes:sub(9 + size + t.data_offsets[1], 8 + size + t.data_offsets[2])
      local buffer = ffi.new('uint64_t[?]', #data / 8 + 1)
      ffi.copy(buffer, data, #data)
      cache[name] = READ[t.dtype](buffer, n)
    end
    return cache[name], t.shape
  end
  return tensor, header
end

return M
