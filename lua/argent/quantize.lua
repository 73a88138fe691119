-- Writes a model's directory once more, with the matrices of its products in q8 or q4, so that it
-- is smaller and opens at once. What tables and norms hold stays as it is, and so does the codec.

local Backend = require 'argent.backend'
local check = require 'argent.check'
local dtypes = require 'argent.dtype'
local io_tensors = require 'argent.io'
local lfs = require 'lfs'
local models = require 'argent.models'
local posix = require 'argent.posix'
local weight = require 'argent.nn.weight'
local weights = require 'argent.weights'

local M = {}

local PIECE = 2 ^ 20

-- Files of weights, which are written anew.
local function is_weights(name)
  return name:find '^model.*%.safetensors$' or name == 'model.safetensors.index.json'
end

local function copy_file(from, to)
  local source, err = io.open(from, 'rb')
  if not source then return nil, err, 'io' end
  local out
  out, err = io.open(to, 'wb')
  local ok = out ~= nil
  while ok do
    local bytes = source:read(PIECE)
    if not bytes then break end
    ok, err = out:write(bytes)
  end
  if out then
    local closed, why = out:close()
    if ok and not closed then ok, err = nil, why end
  end
  source:close()
  if not ok then return nil, err, 'io' end
  return true
end

local function each(dir, fn)
  for name in lfs.dir(dir) do
    if name ~= '.' and name ~= '..' then
      local ok, err, code = fn(name)
      if not ok then return nil, err, code end
    end
  end
  return true
end

-- All but the weights of the folder itself.
local function copy_folder(from, to, top)
  return each(from, function(name)
    local a, b = from .. '/' .. name, to .. '/' .. name
    if lfs.attributes(a, 'mode') == 'directory' then
      local ok, err = lfs.mkdir(b)
      if not ok then return nil, ('%s: %s'):format(b, err), 'io' end
      return copy_folder(a, b, false)
    end
    if top and is_weights(name) then return true end
    return copy_file(a, b)
  end)
end

local function remove(dir)
  if not lfs.symlinkattributes(dir, 'mode') then return end
  each(dir, function(name)
    local path = dir .. '/' .. name
    if lfs.symlinkattributes(path, 'mode') == 'directory' then remove(path) else os.remove(path) end
    return true
  end)
  lfs.rmdir(dir)
end

-- Which matrices products read, by their whole names: what the networks say that they take.
local function matrices(kind, dir, backend, dtype)
  local tts, err, code, w
  weights.by_headers(function()
    tts, err, code = kind.open(dir, {backend = backend, dtype = dtype})
    w = tts and tts.weights
  end)
  if not w then return nil, err, code end
  return w.products
end

local function quantized(w, products, dtype)
  local out = {}
  for _, name in ipairs(w:names()) do
    local t, err, code = w:tensor(name)
    if not t then return nil, err, code end
    if products[name] then
      local bad = w:count_nonfinite(name)
      if bad > 0 then
        return nil, ('%s: %s: %d values are NaN or infinite; the file is damaged, fetch it again')
          :format(w:info(name).file, name, bad), 'format'
      end
      out[name], out[name .. '_scale'] = weight.quantize(t, dtype)
    else
      out[name] = t
    end
  end
  return out
end

local function write(dir, to, w, products, dtype)
  local tensors, ok, err, code
  tensors, err, code = quantized(w, products, dtype)
  if not tensors then return nil, err, code end
  ok, err, code = copy_folder(dir, to, true)
  if not ok then return nil, err, code end
  return io_tensors.save(to .. '/model.safetensors', tensors,
    {format = 'pt', quantization = dtype .. ' in blocks of 32'})
end

--- Writes the model of `dir` to `to`, a directory that is not there yet, whole or not at all. Its
--- matrices become planes: X.weight, I8 [outs, ins] for q8 or U8 [outs, ins / 2] for q4, and
--- X.weight_scale, F16 [outs, ins / 32] (see ops.quantize).
---@param dir string
---@param to string
---@param dtype string 'q8' or 'q4'
---@param opts? {backend: ag.Backend?} default: the CPU, one thread per core
---@return {matrices: integer, bytes: number}? how many were written so; bytes of the weights
---@return string? err
---@return string? code
function M.directory(dir, to, dtype, opts)
  check.type(dir, 'quantize: directory', 'string')
  check.type(to, 'quantize: output', 'string')
  check.one_of(dtype, 'quantize: dtype', {'q8', 'q4'})
  opts = check.options(opts, 'quantize', {'backend'})
  local backend, kind, products, w, ok, err, code = opts.backend
  if not backend then backend, err, code = Backend.open 'cpu' end
  if not backend then return nil, err, code end
  if lfs.attributes(to, 'mode') then
    return nil, to .. ': is there already; give another name, or remove it', 'io'
  end
  -- All that is in the folder is copied, so a copy inside it would hold itself.
  local home, place = posix.realpath(dir), posix.realpath(to:gsub('/+$', ''):match '^(.*)/' or '.')
  if home and place and (place .. '/'):sub(1, #home + 1) == home .. '/' then
    return nil, ('%s: is inside the model %s; name another place'):format(to, dir), 'io'
  end
  kind, err = models.of(dir)
  if not kind then return nil, err, 'format' end
  w, err, code = weights.open(dir, {backend = backend})
  if not w then return nil, err, code or 'format' end
  local stored = w:dtype()
  if not dtypes.float[stored] then
    return nil, ('%s: its weights are %s already'):format(dir, stored), 'format'
  end
  products, err, code = matrices(kind, dir, backend, dtype)
  if not products then return nil, err, code or 'format' end
  local folder, name = to:gsub('/+$', ''):match '^(.-)([^/]+)$'
  local partial = ('%s.%s.partial'):format(folder, name)
  remove(partial) -- of a run that was ended
  ok, err = lfs.mkdir(partial)
  if not ok then return nil, ('%s: %s'):format(partial, err), 'io' end
  ok, err, code = write(dir, partial, w, products, dtype)
  if ok then ok, err = os.rename(partial, to) end
  if not ok then
    remove(partial)
    return nil, err, code or 'io'
  end
  local count = 0
  for _ in pairs(products) do count = count + 1 end
  return {matrices = count, bytes = lfs.attributes(to .. '/model.safetensors', 'size')}
end

return M
