-- A model's weights: one safetensors or GGUF file, or shards behind an index. Networks take their
-- tensors through scopes (names by prefix), which note what was asked for, so that what a model
-- lacks and what nobody read can both be said.

local ffi = require 'ffi'
local lfs = require 'lfs'
local backends = require 'argent.backend'
local json = require 'argent.json'
local check = require 'argent.check'
local dtypes = require 'argent.dtype'
local lib = require 'argent.ffi'
local posix = require 'argent.posix'
local room = require 'argent.room'
local status = require 'argent.status'
local tensor = require 'argent.tensor'

local M = {}

local INDEX, SINGLE = 'model.safetensors.index.json', 'model.safetensors'
local INDEX_LIMIT = 64 * 2 ^ 20

---@class ag.Weights
---@field products table<string, true> names of what Scope.product has noted
---@field copied number bytes of tensors that scopes have noted as copied
---@field path string the file, or the index of the shards
local Weights = {}
Weights.__index = Weights

---@class ag.Scope
---@field backend ag.Backend where its tensors are
local Scope = {}
Scope.__index = Scope

--- Tensors of more bytes than this are not looked through when a scope that looks later loads them.
M.LATER = 2 ^ 16

-- A message with names from a file, which may hold any character, on one line.
local function message(fmt, ...)
  return (fmt:format(...):gsub('%c', '?'))
end

-- While by_headers runs.
local headers_only = false

-- ---- files ----

local function open_file(path)
  if path:find '%z' then return nil, message('%s: a path cannot hold a zero byte', path), 'io' end
  local out = ffi.new('ag_file *[1]')
  local rc = lib.ag_file_open(out, path)
  local f, err, code = status.check(rc, out[0])
  if not f then return nil, err, code end
  return {raw = ffi.gc(f, lib.ag_file_free), path = path}
end

-- Adds a file's tensors to the names of w; `listed` says which shard each name belongs to.
local function add_file(w, file, shard, listed)
  for i = 0, lib.ag_file_count(file.raw) - 1 do
    local name = ffi.string(lib.ag_file_name(file.raw, i))
    if w.entries[name] then
      return nil, message('%s: %s: is in %s too', file.path, name, w.entries[name].file.path)
    end
    if listed and listed[name] ~= shard then
      return nil, message('%s: %s: %s does not list it here', file.path, name, INDEX)
    end
    w.entries[name] = {file = file, index = i}
  end
  return true
end

-- A shard is a plain name in the directory. The hub's cache links it into its own blobs, two
-- folders up; nowhere else.
local function check_shard(dir, shard)
  local plain = type(shard) == 'string' and not shard:find '[/\\%z]' and shard ~= ''
    and shard ~= '.' and shard ~= '..'
  if not plain then return nil, message('%s/%s: a shard must be a plain file name', dir, INDEX) end
  local home, real = posix.realpath(dir), posix.realpath(dir .. '/' .. shard)
  if not real then return nil, message('%s/%s: missing (listed in %s)', dir, shard, INDEX) end
  local blobs = home:match '^(.*)/snapshots/[^/]+$'
  local folder = real:match '^(.*)/[^/]*$'
  if folder ~= home and not (blobs and folder == blobs .. '/blobs') then
    return nil, message('%s/%s: leads outside the model directory', dir, shard)
  end
  return true
end

local function open_shards(w, dir)
  local index, err = json.read(dir .. '/' .. INDEX, INDEX_LIMIT)
  if not index then return nil, err end
  local map = type(index) == 'table' and index.weight_map
  if type(map) ~= 'table' or next(map) == nil then
    return nil, message('%s/%s: weight_map is missing', dir, INDEX)
  end
  local shards, seen = {}, {}
  for _, shard in pairs(map) do
    local ok
    if not seen[shard] then
      ok, err = check_shard(dir, shard)
      if not ok then return nil, err end
      seen[shard] = true
      shards[#shards + 1] = shard
    end
  end
  table.sort(shards)
  for _, shard in ipairs(shards) do
    local file, code
    file, err, code = open_file(dir .. '/' .. shard)
    if not file then return nil, err, code end
    local ok
    ok, err = add_file(w, file, shard, map)
    if not ok then return nil, err end
  end
  for name, shard in pairs(map) do
    if not w.entries[name] then
      return nil, message('%s/%s: %s: missing, though %s lists it', dir, shard, name, INDEX)
    end
  end
  return true
end

--- Opens the weights of a directory (model.safetensors, or shards behind
--- model.safetensors.index.json) or a single file.
---@param path string
---@param opts {backend: ag.Backend}
---@return ag.Weights?
---@return string? err
---@return string? code 'format', 'io', 'memory'
function M.open(path, opts)
  check.type(path, 'weights: path', 'string')
  opts = check.options(opts, 'weights', {'backend'})
  backends.check(opts.backend, 'weights: backend')
  local w = setmetatable({backend = opts.backend, entries = {}, used = {}, absent = {},
    products = {}, copied = 0, blanks = headers_only and {} or nil}, Weights)
  local file, ok, err, code = path
  if lfs.attributes(path, 'mode') == 'directory' then
    file = path .. '/' .. SINGLE
    if not lfs.attributes(file, 'mode') and lfs.attributes(path .. '/' .. INDEX, 'mode') then
      ok, err, code = open_shards(w, path)
      if not ok then return nil, err, code or 'format' end
      w.path = path .. '/' .. INDEX
      return w
    end
  end
  local f
  f, err, code = open_file(file)
  if not f then return nil, err, code end
  ok, err = add_file(w, f)
  if not ok then return nil, err, 'format' end
  w.path, w.file = file, f
  return w
end

-- ---- looking ----

local function sorted_keys(t)
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

--- All names, sorted.
---@return string[]
function Weights:names()
  return sorted_keys(self.entries)
end

-- Value j of metadata entry i.
local function metadata_value(raw, i, kind, j)
  if kind == 't' then
    local bytes = ffi.new 'double[1]'
    local text = lib.ag_file_metadata_text(raw, i, j, bytes)
    return ffi.string(text, bytes[0])
  end
  local n = lib.ag_file_metadata_number(raw, i, j)
  if kind == 'b' then return n ~= 0 end
  return n
end

--- What a single file says beside its tensors: safetensors' texts (`__metadata__`), GGUF's texts,
--- numbers, booleans and lists of them; nothing of shards.
---@return table<string, string|number|boolean|table>
function Weights:metadata()
  local out, file = {}, self.file
  for i = 0, file and lib.ag_file_metadata_count(file.raw) - 1 or -1 do
    local key = ffi.string(lib.ag_file_metadata_key(file.raw, i))
    local kind = string.char(lib.ag_file_metadata_kind(file.raw, i))
    local length = lib.ag_file_metadata_length(file.raw, i)
    if length < 0 then
      out[key] = metadata_value(file.raw, i, kind, 0)
    else
      local list = {}
      for j = 1, length do list[j] = metadata_value(file.raw, i, kind, j - 1) end
      out[key] = list
    end
  end
  return out
end

local function shape_of(e)
  local shape, dims = {}, ffi.new('int64_t[?]', lib.AG_MAX_DIMS)
  lib.ag_file_shape(e.file.raw, e.index, dims)
  for i = 1, lib.ag_file_ndim(e.file.raw, e.index) do shape[i] = tonumber(dims[i - 1]) end
  return shape
end

local function holds_floats(e)
  return lib.ag_file_float(e.file.raw, e.index) ~= 0
end

--- What the file says of a tensor; nil for an unknown name.
---@param name string
---@return {dtype: string, float: boolean, shape: integer[], file: string, bytes: number}? float: it
---holds floats that a tensor can be made of
function Weights:info(name)
  check.type(name, 'info: name', 'string')
  local e = self.entries[name]
  return e and {
    dtype = ffi.string(lib.ag_file_dtype(e.file.raw, e.index)), float = holds_floats(e),
    shape = shape_of(e), file = e.file.path, bytes = lib.ag_file_bytes(e.file.raw, e.index),
  }
end

--- The kind of its linear weights: where they are stored as codes theirs, else what is asked for.
---@param asked? string default 'bf16'
---@return string? dtype
---@return string? err where codes would have to become something else, or the backend reads none
---@return string? code 'format', 'unsupported'
function Weights:dtype(asked)
  local kinds = {i8 = 'q8', u8 = 'q4'}
  for name in pairs(self.entries) do
    local codes = name:match '^(.*)_scale$'
    local stored = codes and self.entries[codes] and kinds[self:info(codes).dtype:lower()]
    if stored and asked and asked ~= stored then
      return nil, message('%s: its weights are %s and cannot be opened as %s', self.path, stored,
        asked), 'format'
    end
    if stored then
      asked = stored
      break
    end
  end
  if asked and not dtypes.float[asked] and not self.backend.packed then
    return nil, message('%s: %s weights are for the CPU', self.path, asked), 'unsupported'
  end
  return asked or 'bf16'
end

--- Names that no scope has asked for, sorted.
---@return string[]
function Weights:unused()
  local names = {}
  for name in pairs(self.entries) do
    if not self.used[name] then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

--- Names that scopes have asked for (`get`, `try`) and that are not there, sorted: a model's
--- optional parts among them.
---@return string[]
function Weights:missing()
  return sorted_keys(self.absent)
end

--- Runs fn so that the weights it opens are known by their headers alone: names, dtypes and shapes
--- are checked as ever, values are zeros. The networks that fn assembles can say what they lack.
---@param fn fun()
function M.by_headers(fn)
  check.type(fn, 'by_headers', 'function')
  headers_only = true
  local ok, err = pcall(fn)
  headers_only = false
  if not ok then error(err, 0) end
end

--- Whether by_headers is running.
---@return boolean
function M.only_headers() return headers_only end

-- Zeros of this shape. All share memory, which is large enough never to be touched.
local function blank(w, shape, dtype)
  local n = 1
  for _, d in ipairs(shape) do n = n * d end
  local zeros = w.blanks[dtype]
  if not zeros or #zeros < n then
    zeros = tensor.zeros(w.backend, {math.max(n, 2 ^ 22)}, dtype)
    w.blanks[dtype] = zeros
  end
  return zeros:narrow(1, 1, n):view(shape)
end

--- A tensor by its whole name: in dtype, or as stored.
---@param name string
---@param dtype? string
---@return ag.Tensor?
---@return string? err
---@return string? code
function Weights:tensor(name, dtype)
  check.type(name, 'tensor: name', 'string')
  local e = self.entries[name]
  if not e then return nil, message('%s: %s: missing', self.path, name), 'format' end
  local kind = dtype and tensor.dtype(dtype) or -1
  local stored = ffi.string(lib.ag_file_dtype(e.file.raw, e.index)):lower()
  if self.blanks and holds_floats(e) and (not dtype or dtypes.float[dtype]) then
    return blank(self, shape_of(e), dtype or dtypes.float[stored] and stored or 'f32')
  end
  local out = ffi.new('ag_tensor *[1]')
  local rc = lib.ag_file_tensor(out, e.file.raw, e.index, self.backend, kind)
  if rc == lib.AG_ENOMEM then -- the collector does not see how large dead tensors are
    collectgarbage()
    collectgarbage()
    rc = lib.ag_file_tensor(out, e.file.raw, e.index, self.backend, kind)
  end
  local t, err, code = status.check(rc, out[0])
  if not t then return nil, err, code end
  t = tensor.own(t)
  return e.order and e.order(t) or t
end

local function damage(e, name, count)
  return message('%s: %s: %d values are NaN or infinite; the file is damaged, fetch it again',
    e.file.path, name, count)
end

--- How many values of a tensor are NaN or infinite, by the bytes of the file.
---@param name string one of names()
---@return integer? count nil for a dtype that Argent does not read
function Weights:count_nonfinite(name)
  local e = self.entries[check.type(name, 'count_nonfinite: name', 'string')]
  if not e then error(("count_nonfinite: there is no '%s'"):format(name), 2) end
  local count = lib.ag_file_count_nonfinite(e.file.raw, e.index)
  return count >= 0 and count or nil
end

--- Looks through all tensors, used or not, and says what is damaged.
---@return string[] errs one line for each tensor that holds NaN or infinities
---@return integer looked how many tensors there are of dtypes that Argent reads
function Weights:scan()
  local errs, looked = {}, 0
  for _, name in ipairs(self:names()) do
    local count = self:count_nonfinite(name)
    if count then looked = looked + 1 end
    if count and count > 0 then errs[#errs + 1] = damage(self.entries[name], name, count) end
  end
  return errs, looked
end

--- Looks through the used tensors for NaN and infinities: who asks has met them downstream, as
--- scopes may `look later`.
---@return string? err names the first tensor that is damaged; nil when none is
function Weights:damaged()
  for _, name in ipairs(sorted_keys(self.used)) do
    local count = self:count_nonfinite(name)
    if count and count > 0 then return damage(self.entries[name], name, count) end
  end
end

--- The same tensors under other names, for networks that know them by those.
---@param name fun(name: string): string? the new name; nil: the tensor is left out
---@param order fun(name: string): (fun(t: ag.Tensor): ag.Tensor)? by the new name, what a tensor
---that has been read still needs
---@return ag.Weights
function Weights:renamed(name, order)
  check.type(name, 'renamed: name', 'function')
  check.type(order, 'renamed: order', 'function')
  local w = setmetatable({}, Weights)
  for k, v in pairs(self) do w[k] = v end
  w.entries, w.used, w.absent = {}, {}, {}
  for old, e in pairs(self.entries) do
    local new = name(old)
    if new then w.entries[new] = {file = e.file, index = e.index, order = order(new)} end
  end
  return w
end

--- The part of the names that begins with a prefix: `w:scope 'talker.'`.
---@return ag.Scope
function Weights:scope(prefix)
  check.type(prefix, 'scope: prefix', 'string')
  return setmetatable({weights = self, backend = self.backend, prefix = prefix, later = false},
    Scope)
end

-- ---- scopes ----

local Missing = {} -- the metatable of the faults that build catches

local function fault(code, fmt, ...)
  error(setmetatable({message = message(fmt, ...), code = code}, Missing), 0)
end

--- A scope inside this one.
function Scope:scope(prefix)
  check.type(prefix, 'scope: prefix', 'string')
  local s = self.weights:scope(self.prefix .. prefix)
  s.later = self.later
  return s
end

--- The same scope for matrices that are read where they lie in the file: reading all of them at
--- once would cost more than to open the model. For networks in which a NaN or an infinity always
--- arrives at the end: whoever finds one there asks Weights:damaged. Small tensors are looked
--- through at once all the same.
---@return ag.Scope
function Scope:look_later()
  local s = self.weights:scope(self.prefix)
  s.later = true
  return s
end

--- Ends `build`: the tensor's values are of no use though each is finite.
---@param name string
---@param fact string
function Scope:unusable(name, fact)
  local whole = self.prefix .. name
  fault('format', '%s: %s: %s; the file is damaged, fetch it again',
    self.weights.entries[whole].file.path, whole, fact)
end

--- Whether the tensor is there.
function Scope:has(name)
  check.type(name, 'has: name', 'string')
  return self.weights.entries[self.prefix .. name] ~= nil
end

--- Lets go of a tensor of this scope that is not read any more: the pages of the file, and memory
--- of its own, as the collector does not see how much it is.
---@param t ag.Tensor
function Scope:done(t) -- luacheck: ignore self
  if not tensor.is(t) then check.type(t, 'done: tensor', 'tensor') end
  lib.ag_tensor_forget(t)
  t:release()
end

--- Whether ops read the tensor as it is stored.
---@param name string
---@return boolean
function Scope:readable(name)
  local e = self.weights.entries[self.prefix .. check.type(name, 'readable: name', 'string')]
  return e ~= nil and dtypes.weight[ffi.string(lib.ag_file_dtype(e.file.raw, e.index)):lower()]
    ~= nil
end

--- The tensor, which must have this shape and finite values; nil when it is not there. Call inside
--- `build`.
---@param name string
---@param shape integer[]
---@param dtype? string nil = as stored, but f32 for floats that no op computes with
---@return ag.Tensor?
function Scope:try(name, shape, dtype)
  check.type(name, 'try: name', 'string')
  check.type(shape, 'try: shape', 'table')
  local w, whole = self.weights, self.prefix .. name
  local e = w.entries[whole]
  if not e then
    w.absent[whole] = true
    return nil
  end
  local has = table.concat(shape_of(e), ', ')
  local want = table.concat(shape, ', ')
  if has ~= want then
    fault('format', '%s: %s: shape [%s], expected [%s]', e.file.path, whole, has, want)
  end
  local stored = ffi.string(lib.ag_file_dtype(e.file.raw, e.index)):lower()
  if not dtype and holds_floats(e) and not dtypes.weight[stored] then dtype = 'f32' end
  if not w.blanks and not (self.later and lib.ag_file_bytes(e.file.raw, e.index) > M.LATER) then
    local count = w:count_nonfinite(whole) or 0
    if count > 0 then fault('format', '%s', damage(e, whole, count)) end
  end
  local t, err, code = w:tensor(whole, dtype)
  if not t then fault(code, '%s', err) end
  w.used[whole] = true
  return t
end

--- Notes in `products` of the weights that this matrix is read by products alone, so that its form
--- may change (argent.quantize).
---@param name string
function Scope:product(name)
  check.type(name, 'product: name', 'string')
  self.weights.products[self.prefix .. name] = true
end

--- Notes that this tensor is used as a copy: the file's own bytes are not read again.
---@param name string
function Scope:copied(name)
  check.type(name, 'copied: name', 'string')
  local w, e = self.weights, self.weights.entries[self.prefix .. name]
  if not e then error(("copied: there is no '%s'"):format(self.prefix .. name), 2) end
  w.copied = w.copied + lib.ag_file_bytes(e.file.raw, e.index)
end

--- The tensor, which must be there. Call inside `build`.
---@param name string
---@param shape integer[]
---@param dtype? string as for `try`
---@return ag.Tensor
function Scope:get(name, shape, dtype)
  check.type(name, 'get: name', 'string')
  check.type(shape, 'get: shape', 'table')
  local t = self:try(name, shape, dtype)
  if not t then fault('format', '%s: %s: missing', self.weights.path, self.prefix .. name) end
  return t
end

--- Runs fn, which assembles networks from scopes; the first tensor that is missing or wrong ends it
--- as an error value. Other errors pass.
---@param fn fun(): any
---@return any result
---@return string? err
---@return string? code 'format', 'memory'
function M.build(fn)
  check.type(fn, 'build', 'function')
  local ok, result = pcall(room.share, fn)
  if ok then return result end
  if getmetatable(result) == Missing then return nil, result.message, result.code end
  error(result, 0)
end

check.methods(Weights, 'set of weights')
check.methods(Scope, 'scope')

return M
