-- Backends: where tensors live and ops run. A backend is made once and passed around; nothing here
-- is global.

local ffi = require 'ffi'
local lib = require 'argent.ffi'
local check = require 'argent.check'
local status = require 'argent.status'
local strict = require 'argent.strict'

local M = {}

--- Opens a backend.
---@param kind string 'cpu', or 'cuda' where its half is built and a card is there ('cuda-emulated'
---runs its kernels as plain C, for specs)
---@param opts? {threads: integer?, isa: string?, device: integer?, pin: boolean?} threads: 0 or nil
---= one per core, or what a container's CPU quota is worth; isa: 'auto' (ARGENT_ISA, else the
---best), 'plain', on x86 'avx2', 'avx512', 'amx', on ARM 'neon'; device: which card, from 0 (the
---default); pin: each thread stays on a core of its own, the calling thread on the first of them
---@return ag.Backend?
---@return string? err
---@return string? code
function M.open(kind, opts)
  check.type(kind, 'backend', 'string')
  opts = check.options(opts, 'backend', {'threads', 'isa', 'device', 'pin'})
  local threads = check.int(opts.threads or 0, 'threads', 0, 256)
  local device = check.int(opts.device or 0, 'device', 0, 1023)
  if opts.isa ~= nil then check.type(opts.isa, 'isa', 'string') end
  local out = ffi.new('ag_backend *[1]')
  local rc = lib.ag_backend_new(out, kind, threads, opts.isa, device)
  local be, err, code = status.check(rc, out[0])
  if not be then return nil, err, code end
  be = ffi.gc(be, lib.ag_backend_free)
  if opts.pin then
    local ok
    ok, err, code = status.check(lib.ag_backend_pin(be), true)
    if not ok then return nil, err, code end
  end
  return be
end

--- The instruction sets that this build has kernels for, from 'plain' to the fastest. The CPU may
--- lack some.
---@return string[]
function M.isas()
  local names = {}
  repeat
    local name = lib.ag_isa_name(#names)
    if name ~= nil then names[#names + 1] = ffi.string(name) end
  until name == nil
  return names
end

---@class ag.Backend
---@field kind string 'cpu', 'cuda', 'cuda-emulated'
---@field isa string the instruction set its kernels use; of a card 'sm_90' and its like
---@field threads integer
---@field packed boolean whether products read packed weights (ops.pack) here
---@field live_bytes number memory of its tensors now; mapped files do not count
local Backend = {}

--- Waits until everything asked of the device is done (nothing to wait for on the CPU).
function Backend:sync()
  status.raise(lib.ag_backend_sync(self), 2)
end

--- How many floats the packed weights of a convolution take, see ops.pack_conv1d; 0 where the
--- backend packs none.
---@param outs integer
---@param taps integer
---@param channels integer
---@return integer
function Backend:packed_conv1d_size(outs, taps, channels)
  local function size(v, name)
    v = check.int(v, 'packed_conv1d_size: ' .. name, 1, 2 ^ 20, 1)
    return v -- no tail call, which would take this function's level away
  end
  return lib.ag_packed_conv1d_size(self, size(outs, 'outs'), size(taps, 'taps'),
    size(channels, 'channels'))
end

local fields = {
  kind = function(be) return ffi.string(lib.ag_backend_kind(be)) end,
  isa = function(be) return ffi.string(lib.ag_backend_isa(be)) end,
  threads = function(be) return lib.ag_backend_threads(be) end,
  packed = function(be) return lib.ag_backend_packed(be) ~= 0 end,
  live_bytes = function(be) return lib.ag_backend_live_bytes(be) end,
}

local backend_type = ffi.typeof('ag_backend *')

--- Whether v is a backend.
function M.is(v)
  return type(v) == 'cdata' and ffi.istype(backend_type, v) and v ~= nil
end

--- A backend; raises for anything else.
---@param v any
---@param name string how the caller knows the argument
---@param level? integer extra levels up to the caller's line
---@return ag.Backend v
function M.check(v, name, level)
  if not M.is(v) then check.type(v, name, 'backend', (level or 0) + 1) end
  return v
end

check.methods(Backend, 'backend', M.is)

ffi.metatype('ag_backend', {
  __index = function(be, key)
    local method = Backend[key]
    if method then return method end
    local field = fields[key]
    if field then return field(be) end
    error(strict.missing('a backend', key, strict.names(Backend, fields)), 2)
  end,
  __tostring = function(be)
    return ('backend %s (%s, %d threads)'):format(be.kind, be.isa, be.threads)
  end,
})

-- For completion and documentation.
M.methods, M.fields = Backend, fields

return M
