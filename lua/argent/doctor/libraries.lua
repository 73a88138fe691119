-- The libraries that Argent opens by FFI: which are there, in which version, and what does not work
-- without them. None of them is needed to ask.

local ffi = require 'ffi'

-- busted loads modules again while ffi.cdef is permanent.
if not pcall(ffi.typeof, 'struct argent_doctor') then
  ffi.cdef [[
    struct argent_doctor { int declared; };
    const char *sf_version_string(void);
    int pcre2_config_8(uint32_t what, void *where);
    const char *utf8proc_version(void);
    const char *soxr_version(void);
    const char *pango_version_string(void);
    const char *openblas_get_config(void);
  ]]
end

local PCRE2_VERSION = 11

local M = {}

--- `files`: the names under which the modules that use a library look for it. `version` asks the
--- library; one that cannot be asked is known by its file. `stem`: how that begins, where it is not
--- by the name. Where `optional`, the rest works without it.
M.LIST = {
  {
    name = 'libsndfile', files = {'libsndfile.so.1'}, package = 'libsndfile1',
    needed_for = 'sound files',
    version = function(lib) return ffi.string(lib.sf_version_string()) end,
  },
  {
    name = 'PCRE2', files = {'libpcre2-8.so.0', 'pcre2-8'}, package = 'libpcre2-8-0',
    needed_for = 'the tokenizer: any speech',
    version = function(lib)
      local text = ffi.new('char[64]')
      return lib.pcre2_config_8(PCRE2_VERSION, text) > 0 and ffi.string(text) or nil
    end,
  },
  {
    name = 'utf8proc', files = {'libutf8proc.so.3', 'libutf8proc.so.2', 'utf8proc'},
    package = 'libutf8proc2', newer = 'libutf8proc3', needed_for = 'the tokenizer: any speech',
    version = function(lib) return ffi.string(lib.utf8proc_version()) end,
  },
  {
    name = 'libsoxr', files = {'libsoxr.so.0'}, package = 'libsoxr0',
    needed_for = 'recordings that are not at 24 kHz',
    version = function(lib) return ffi.string(lib.soxr_version()) end,
  },
  {
    name = 'kissfft', files = {'libkissfft-float.so.131'}, package = 'libkissfft-float131',
    needed_for = 'speaker vectors, mel pictures',
  },
  { -- with cairo, which it needs
    name = 'pango', files = {'libpangocairo-1.0.so.0'}, package = 'libpangocairo-1.0-0',
    needed_for = 'pictures',
    version = function(lib)
      require('argent.plot.cairo').open() -- which keeps it: it leaks when it is unloaded
      return ffi.string(lib.pango_version_string())
    end,
  },
  {
    name = 'libsonic', files = {'libsonic.so.0'}, package = 'libsonic0',
    needed_for = 'speech at another speed (--speed)', optional = true,
  },
  {
    name = 'OpenBLAS', files = {'libopenblas.so.0'}, stem = 'libopenblas', package = 'libopenblas0',
    needed_for = 'products of large matrices in scripts (matmul), in less time', optional = true,
    version = function(lib) return ffi.string(lib.openblas_get_config()) end,
  },
  {
    name = 'libedit', files = {'libedit.so.2', 'libedit.so.0'}, package = 'libedit2',
    needed_for = 'editing and completion at the prompt', optional = true,
  },
}

--- The file that a loaded library came from, links followed: '/usr/lib/.../libedit.so.2.0.70'.
---@param file string 'libedit.so.2'
---@return string? path
function M.mapped(file)
  local f = io.open '/proc/self/maps'
  if not f then return nil end
  local stem, found = file:gsub('%.so.*$', '.so'), nil
  for line in f:lines() do
    local path = line:match '%s(/.*)$'
    local base = path and path:match '[^/]*$'
    if base and base:sub(1, #stem) == stem then found = found or path end
  end
  f:close()
  return found
end

-- Opens the first of the files that can be; else the system's reason for the one that is not
-- merely absent.
local function open(files)
  local reason
  for _, file in ipairs(files) do
    local ok, lib = pcall(ffi.load, file)
    if ok then return lib, file end
    if not tostring(lib):find 'No such file' then reason = tostring(lib):gsub('%c', ' ') end
  end
  return nil, reason
end

---@class argent.doctor.Library
---@field name string
---@field needed_for string
---@field optional boolean
---@field found boolean
---@field file? string path, or the name that was loaded
---@field version? string
---@field fault? string what is wrong and what to do, one line

---@param l table an entry of LIST
---@return argent.doctor.Library
local function look(l)
  local r = {name = l.name, needed_for = l.needed_for, optional = l.optional or false}
  local lib, file = open(l.files)
  r.found = lib ~= nil
  if lib then
    r.file = M.mapped(l.stem or l.files[1]) or file
    local ok, version = pcall(l.version or error, lib)
    if ok and version then
      r.version = version:match '%d[%w.]*'
    else
      r.version = r.file:match '%.so%.([%d.]+)$'
    end
    return r
  end
  local package = l.newer and ('%s (%s on newer systems)'):format(l.package, l.newer) or l.package
  r.fault = (file and 'cannot be loaded (%s): apt install --reinstall %s'
    or 'missing%s: apt install %s'):format(file or '', package)
  return r
end

--- Looks for every library.
---@return argent.doctor.Library[]
function M.all()
  local list = {}
  for i, l in ipairs(M.LIST) do list[i] = look(l) end
  return list
end

return M
