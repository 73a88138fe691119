-- The C library: finds it, declares what its own header text says, and returns it. Inside the
-- `argent` executable the symbols are there already; under a plain LuaJIT (busted, scripts)
-- build/libargent.so beside this tree is opened, or the build folder that ARGENT_BUILD names.

local ffi = require 'ffi'

-- ffi.cdef is permanent for the process, while busted reloads modules; the guard is a declared
-- type, not a module variable.
local function declared()
  return (pcall(ffi.typeof, 'ag_tensor *'))
end

if not declared() then ffi.cdef 'const char *ag_cdef(void);' end

local function open()
  if pcall(function() return ffi.C.ag_cdef end) then return ffi.C end
  local root = debug.getinfo(1, 'S').source:match('^@(.*)lua/argent/ffi%.lua$') or './'
  local build = os.getenv('ARGENT_BUILD') or 'build'
  local path = (build:sub(1, 1) == '/' and build or root .. build) .. '/libargent.so'
  if not path:find('/', 1, true) then path = './' .. path end
  local ok, lib = pcall(ffi.load, path)
  if ok then return lib end
  error(('cannot open %s (%s): build it with scripts/test'):format(path, lib), 0)
end

local lib = open()
if not declared() then ffi.cdef(ffi.string(lib.ag_cdef())) end

return lib
