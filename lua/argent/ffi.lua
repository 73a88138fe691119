-- The C library: finds it, declares what its own header text says, and returns it. Inside the
-- `argent` executable the symbols are there already; under a plain LuaJIT (busted, scripts) the
-- library that argent.place names is opened.

local ffi = require 'ffi'
local place = require 'argent.place'

-- The AG_ABI of runtime/argent.h that these Lua files are written for.
local ABI = 1

-- ffi.cdef is permanent for the process, while busted reloads modules; the guard is a declared
-- type, not a module variable.
local function declared()
  return (pcall(ffi.typeof, 'ag_tensor *'))
end

if not declared() then ffi.cdef 'const char *ag_cdef(void); int ag_abi(void);' end

local function open()
  if pcall(function() return ffi.C.ag_cdef end) then return ffi.C, 'the executable' end
  local ok, lib = pcall(ffi.load, place.library)
  if ok then return lib, place.library end
  error(('cannot open %s (%s): %s'):format(place.library, lib, place.is_installed
    and 'install Argent again' or 'build it with scripts/quickstart'), 0)
end

local lib, where = open()
local ok, abi = pcall(function() return lib.ag_abi() end)
if not ok or abi ~= ABI then
  error(('%s and the Lua files in %sargent are of different versions (ABI %s, %d): %s'):format(
    where, place.root, ok and abi or 'unknown', ABI, place.is_installed and 'install Argent again'
    or 'build it again with scripts/quickstart'), 0)
end
if not declared() then ffi.cdef(ffi.string(lib.ag_cdef())) end

return lib
