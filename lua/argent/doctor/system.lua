-- What a report of a mistake needs to say of the system around Argent, besides the CPU: how Argent
-- was built and where it lies, the system's release, limits, Lua modules, variables that count.

local ffi = require 'ffi'
local hub = require 'argent.hub'
local lib = require 'argent.ffi'
local place = require 'argent.place'
local posix = require 'argent.posix'

local M = {}

-- Variables whose value matters; of secrets only that there is one.
local VARIABLES = {
  'ARGENT_BUILD', 'ARGENT_HOME', 'ARGENT_ISA', 'ARGENT_MODEL', 'ARGENT_PDL', 'ARGENT_TRACE',
  'CUDA_VISIBLE_DEVICES', 'HF_ENDPOINT', 'HF_HOME', 'HF_HUB_CACHE', 'HF_HUB_OFFLINE', 'LANG',
  'LC_ALL', 'LD_LIBRARY_PATH', 'LD_PRELOAD', 'LUA_CPATH', 'LUA_PATH', 'XDG_CACHE_HOME',
}
local SECRETS = {'HF_TOKEN'}

-- Of /proc/self/limits.
local LIMITS = {
  ['address space'] = 'Max address space', ['open files'] = 'Max open files',
  ['file size'] = 'Max file size', ['locked memory'] = 'Max locked memory',
}

local function slurp(path)
  local f = io.open(path)
  local s = f and f:read '*a' or ''
  if f then f:close() end
  return s
end

local function libc()
  pcall(ffi.cdef, 'const char *gnu_get_libc_version(void);')
  local ok, version = pcall(function() return ffi.string(ffi.C.gnu_get_libc_version()) end)
  return ok and 'glibc ' .. version or 'another libc than glibc'
end

---@class argent.doctor.System
---@field build string compiler and kind of build
---@field abi integer
---@field place string where Argent's Lua files are
---@field installed boolean false: run from the tree
---@field jit string LuaJIT's compiler: 'on SSE3 ...' or 'off'
---@field release string
---@field kernel string
---@field libc string
---@field modules table<string, string> version of each Lua module
---@field limits table<string, string> only those that are set
---@field environment table<string, string>
---@field disk table<string, number> bytes that are free, by folder

--- Everything about the system.
---@return argent.doctor.System
function M.look()
  local status = {jit.status()}
  local compiler = status[1] and 'on' or 'off'
  for i = 2, #status do -- instruction sets; the names of optimisations are small
    if status[i]:find '^%u' then compiler = compiler .. ' ' .. status[i] end
  end
  local r = {
    build = ffi.string(lib.ag_build()), abi = lib.ag_abi(), place = place.root .. 'argent',
    installed = place.is_installed, jit = compiler, libc = libc(),
    release = slurp '/etc/os-release':match 'PRETTY_NAME="?([^"\n]*)' or 'unknown',
    kernel = slurp '/proc/sys/kernel/osrelease':match '%S+' or 'unknown',
    modules = {}, limits = {}, environment = {}, disk = {},
  }
  for module, field in pairs {cjson = '_VERSION', lfs = '_VERSION', argparse = 'version'} do
    local ok, m = pcall(require, module)
    r.modules[module] = ok and tostring(m[field]):match '%d[%w.]*' or 'missing'
  end
  local limits = slurp '/proc/self/limits'
  for name, key in pairs(LIMITS) do
    local value = limits:match(key .. '%s+(%S+)')
    if value and value ~= 'unlimited' then r.limits[name] = value end
  end
  for _, name in ipairs(VARIABLES) do r.environment[name] = os.getenv(name) end
  for _, name in ipairs(SECRETS) do r.environment[name] = os.getenv(name) and '(set)' end
  for _, folder in ipairs {hub.caches()[1].path, os.getenv 'TMPDIR' or '/tmp', '.'} do
    r.disk[folder] = posix.free_space(folder)
  end
  return r
end

return M
