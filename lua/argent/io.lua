-- ag.load and ag.save: tables of tensors in files.

local ffi = require 'ffi'
local check = require 'argent.check'
local dtypes = require 'argent.dtype'
local lib = require 'argent.ffi'
local status = require 'argent.status'
local tensor = require 'argent.tensor'
local weights = require 'argent.weights'

local M = {}

local texts = ffi.typeof 'const char *[?]'

--- Reads every tensor of a safetensors or GGUF file.
---@param path string
---@param opts {backend: ag.Backend, dtype: string?} dtype: converts the float tensors; default as
---stored, of GGUF's quantised blocks f32
---@return table<string, ag.Tensor>?
---@return string? err
---@return string? code
function M.load(path, opts)
  check.type(path, 'load: path', 'string')
  opts = check.options(opts, 'load', {'backend', 'dtype'})
  if not opts.backend then error('load: needs a backend: ag.load(path, {backend = be})', 2) end
  if opts.dtype then check.one_of(opts.dtype, 'load: dtype', dtypes.floats) end
  local w, err, code = weights.open(path, {backend = opts.backend})
  if not w then return nil, err, code end
  local out = {}
  for _, name in ipairs(w:names()) do
    local t
    t, err, code = w:tensor(name, w:info(name).float and opts.dtype or nil)
    if not t then return nil, err, code end
    out[name] = t
  end
  return out
end

-- C reads a string up to its first zero byte, so there must be none; it checks the rest itself.
local function text(v, what)
  check.type(v, what, 'string', 1)
  if v:find '%z' then error(('%s: %s holds a zero byte'):format(what, check.show(v)), 3) end
end

--- Writes tensors (f32, bf16, f16, i32) to a safetensors file, whole or not at all.
---@param path string replaced when it exists; no device or pipe
---@param tensors table<string, ag.Tensor> names: UTF-8, 1 to 1024 bytes
---@param metadata? table<string, string>
---@return boolean? ok
---@return string? err
---@return string? code
function M.save(path, tensors, metadata)
  check.type(path, 'save: path', 'string')
  if path:find '%z' then
    return nil, path:gsub('%c', '?') .. ': a path cannot hold a zero byte', 'io'
  end
  check.type(tensors, 'save: tensors', 'table')
  local names, keys, keep = {}, {}, {}
  for name, t in pairs(tensors) do
    text(name, 'save: name')
    if not tensor.is(t) then check.type(t, 'save: ' .. name, 'tensor') end
    names[#names + 1] = name
  end
  for k, v in pairs(check.type(metadata or {}, 'save: metadata', 'table')) do
    text(k, 'save: metadata key')
    text(v, 'save: metadata ' .. k)
    keys[#keys + 1] = k
  end
  table.sort(names)
  table.sort(keys)
  local c_names, c_tensors = texts(#names + 1), ffi.new('ag_tensor *[?]', #names + 1)
  local c_keys, c_values = texts(#keys + 1), texts(#keys + 1)
  for i, name in ipairs(names) do
    keep[i] = tensors[name]:contiguous()
    c_names[i - 1], c_tensors[i - 1] = name, keep[i]
  end
  for i, k in ipairs(keys) do c_keys[i - 1], c_values[i - 1] = k, metadata[k] end
  local rc = lib.ag_file_save(path, #names, c_names, c_tensors, #keys, c_keys, c_values)
  -- Not a tail call: the caller's line is counted from here.
  local ok, err, code = status.check(rc, true)
  return ok, err, code
end

return M
