-- Code of scripts and of the prompt is interpreted, not compiled: a compiled loop runs until it
-- ends, without a look at Ctrl-C, and a script may hold one that never ends. It costs little, as
-- the work is done in C: 40 ns for an element of an array, where a compiled loop takes 2 to 10. A
-- script that wants a loop compiled says so, `jit.on(f)`. The library's own loops are compiled, and
-- those that may take long look for themselves (status.heed_interrupt).

local M = {}

local root = debug.getinfo(1, 'S').source:match '^(@.*/)[^/]*$'

local function is_ours(source) return source:sub(1, #root) == root end

--- Switches the compiler off for a chunk and the functions in it.
---@param chunk function
---@return function chunk
function M.off(chunk)
  jit.off(chunk, true)
  return chunk
end

local function off(chunk, ...)
  if chunk and not is_ours(debug.getinfo(chunk, 'S').source) then M.off(chunk) end
  return chunk, ...
end

-- A function that loads code: for the library it stays what it was.
local function loading(load)
  return function(...)
    local caller = debug.getinfo(2, 'S')
    if caller and is_ours(caller.source) then return load(...) end
    return off(load(...))
  end
end

local installed = false

--- From here on whatever a script loads is interpreted too: by require, load, loadstring, loadfile
--- and dofile.
function M.install()
  if installed then return end
  installed = true
  local G, require_file = _G, package.loaders[2]
  for _, name in ipairs {'load', 'loadstring', 'loadfile'} do G[name] = loading(G[name]) end
  local loadfile = G.loadfile
  function G.dofile(path)
    local chunk, err = loadfile(path)
    if not chunk then error(err, 2) end
    return M.off(chunk)()
  end
  package.loaders[2] = function(name)
    local loader, rest = require_file(name)
    if type(loader) == 'function' then off(loader) end
    return loader, rest
  end
end

return M
