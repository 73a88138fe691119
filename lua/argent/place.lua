-- Where what belongs to these Lua files lies: beside them in the tree, or where an installation
-- has put it; installed.lua, which the installation writes beside this file, says where.

local lfs = require 'lfs'

local M = {}

-- An absolute path without . and .. in it. The way back is taken by the words of the path, as a
-- link at its end may lead elsewhere.
local function plain(path)
  local n
  repeat path, n = path:gsub('/%./', '/') until n == 0
  repeat path, n = path:gsub('[^/]+/%.%./', '', 1) until n == 0
  return path
end

-- 'lua/' of the tree, or 'share/lua/5.1/' of an installation. Absolute, as a script may change its
-- directory later.
local here = debug.getinfo(1, 'S').source:match '^@(.*)argent/place%.lua$' or ''
M.root = plain(here:sub(1, 1) == '/' and here or lfs.currentdir() .. '/' .. here)

-- Not by `require`, which may find that of another installation.
local installed = loadfile(M.root .. 'argent/installed.lua')
local paths = installed and installed()
  or {command = '../build/argent', library = '../build/libargent.so', models = '../models'}

local function from_root(path)
  return plain(path:sub(1, 1) == '/' and path or M.root .. path)
end

local build = os.getenv 'ARGENT_BUILD'
if build then
  build = (build:sub(1, 1) == '/' and '' or '../') .. build
  paths.command, paths.library = build .. '/argent', build .. '/libargent.so'
end

--- The executable.
M.command = from_root(paths.command)

--- The C library; ARGENT_BUILD names another build folder, from the root of the tree.
M.library = from_root(paths.library)

--- The folder of the models that come with Argent; it may not be there.
M.models = from_root(paths.models)

--- Whether this is an installation; else it is the tree.
M.is_installed = installed ~= nil

return M
