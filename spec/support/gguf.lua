-- Writes GGUF files byte by byte, honest or not.

local ffi = require 'ffi'

local M = {}

local function bytes(ctype, v)
  local at = ffi.new(ctype .. '[1]')
  at[0] = v
  return ffi.string(at, ffi.sizeof(at))
end

function M.u32(v) return bytes('uint32_t', v) end
function M.u64(v) return bytes('uint64_t', v) end

--- A text with its length before it, which `length` lies about when given.
function M.text(s, length) return M.u64(length or #s) .. s end

--- The codes of the types of values.
M.types = {
  u8 = 0, i8 = 1, u16 = 2, i16 = 3, u32 = 4, i32 = 5, f32 = 6, bool = 7, text = 8, list = 9,
  u64 = 10, i64 = 11, f64 = 12,
}

--- A key with its value: `raw` are the bytes behind the type.
function M.value(key, type, raw)
  return M.text(key) .. M.u32(M.types[type] or type) .. raw
end

--- A tensor's entry: dimensions are innermost first, as the format has them.
function M.tensor(name, dims, type, offset)
  local out = {M.text(name), M.u32(#dims)}
  for _, d in ipairs(dims) do out[#out + 1] = M.u64(d) end
  return table.concat(out) .. M.u32(type) .. M.u64(offset)
end

--- A file of values and tensors, each made by the functions above. `t` may lie: version, tensors
--- and values as numbers, align for the padding.
function M.file(t)
  local values, tensors = t.values or {}, t.tensors or {}
  local head = 'GGUF' .. M.u32(t.version or 3) .. M.u64(t.n_tensors or #tensors)
    .. M.u64(t.n_values or #values) .. table.concat(values) .. table.concat(tensors)
  local align = t.align or 32
  return head .. ('\0'):rep(-#head % align) .. (t.data or '')
end

return M
