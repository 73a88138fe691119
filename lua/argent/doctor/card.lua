-- Whether there is a card to run on: the build's CUDA half, the driver, and the card's name.

local Backend = require 'argent.backend'
local ffi = require 'ffi'
local lfs = require 'lfs'
local libraries = require 'argent.doctor.libraries'

-- busted loads modules again while ffi.cdef is permanent.
if not pcall(ffi.typeof, 'struct argent_doctor_card') then
  ffi.cdef [[
    struct argent_doctor_card { int declared; };
    int cuInit(unsigned flags);
    int cuDeviceGet(int *device, int ordinal);
    int cuDeviceGetName(char *name, int len, int device);
    int cuDeviceTotalMem_v2(size_t *bytes, int device);
  ]]
end

local NAME_LIMIT = 128

local M = {}

-- The library of the driver.
local function libcuda()
  local ok, lib = pcall(ffi.load, 'libcuda.so.1')
  return ok and lib or nil
end

-- The version of the NVIDIA driver; '' where it is there and does not say; nil without one.
local function driver()
  local f = io.open '/proc/driver/nvidia/version'
  local text = f and f:read '*a' or ''
  if f then f:close() end
  local version = text:match 'Kernel Module.-%s(%d+%.[%d.]+)'
  if version or text ~= '' then return version or '' end
  return libcuda() and '' or nil
end

-- The CUDA half that lies beside the library; nil where this build has none.
local function half()
  local lib = libraries.mapped 'libargent.so'
  local path = lib and lib:match '^.*/' .. 'libargent_cuda.so'
  return path and lfs.attributes(path, 'mode') and path or nil
end

-- Name and bytes of memory of the first card, the one that the backend takes: asked of the driver,
-- which knows what CUDA_VISIBLE_DEVICES has left. Nothing where it does not answer.
local function first_card()
  local cuda = libcuda()
  if not cuda then return nil end
  local device, name, bytes = ffi.new 'int[1]', ffi.new('char[?]', NAME_LIMIT), ffi.new 'size_t[1]'
  local ok, said = pcall(function()
    return cuda.cuInit(0) == 0 and cuda.cuDeviceGet(device, 0) == 0
      and cuda.cuDeviceGetName(name, NAME_LIMIT, device[0]) == 0
      and cuda.cuDeviceTotalMem_v2(bytes, device[0]) == 0
  end)
  if ok and said then return ffi.string(name), tonumber(bytes[0]) end
end

---@class argent.doctor.Card
---@field found boolean whether the backend opens
---@field why? string the reason of ag.backend where it does not
---@field half? string the file of the build's CUDA half
---@field driver? string its version; '' where it does not say; nil without one
---@field isa? string of a card that is found: 'sm_90'
---@field name? string 'NVIDIA H200'
---@field memory? number bytes

--- Whether CUDA can be used and on which card, or why not.
---@return argent.doctor.Card
function M.look()
  local be, err = Backend.open 'cuda'
  local r = {found = be ~= nil, why = err, half = half(), driver = driver()}
  if be then
    r.isa = be.isa
    r.name, r.memory = first_card()
  end
  return r
end

return M
