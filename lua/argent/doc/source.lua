-- What is written in our own source files: the comment at the head of a file, the `---` comments
-- above functions, and the classes with their fields, which are also the options of functions.

local check = require 'argent.check'
local lfs = require 'lfs'

local M = {}

--- Where lua/argent lies, with a slash at the end.
M.ROOT = debug.getinfo(1, 'S').source:match '^@(.*)doc/source%.lua$'

local files = {}

--- The lines of a file; nil where it cannot be read.
---@param path string
---@return string[]?
function M.lines(path)
  if files[path] then return files[path] end
  local f = io.open(path, 'r')
  if not f then return nil end
  local list = {}
  for line in f:lines() do list[#list + 1] = line end
  f:close()
  files[path] = list
  return list
end

--- The comment at the head of a file.
---@param path string
---@return string[]
function M.header(path)
  local text = {}
  for _, line in ipairs(M.lines(path) or {}) do
    local words = line:match '^%-%- ?(.*)$'
    if not words then break end
    text[#text + 1] = words
  end
  return text
end

--- The file of a module of ours.
---@param t any what `require` gave
---@return string? path
function M.module(t)
  for name, value in pairs(package.loaded) do
    if value == t and type(name) == 'string' and name:find '^argent' then
      local path = M.ROOT .. name:gsub('^argent%.?', ''):gsub('%.', '/')
      if path:sub(-1) ~= '/' and M.lines(path .. '.lua') then return path .. '.lua' end
      path = path:gsub('/$', '') .. '/init.lua'
      return M.lines(path) and path
    end
  end
end

---@class ag.Doc
---@field signature string
---@field text string[] lines of the comment, its @param and @return lines among them
---@field place string? 'lua/argent/io.lua:21'

--- What stands above a function.
---@param fn function
---@return ag.Doc? nil when nothing is written
---@return string? owner the table that the source puts it in: 'Tensor' of Tensor:narrow
---@return string? path
function M.of_function(fn)
  local info = debug.getinfo(check.original(fn), 'S')
  local path = info.source:match '^@(.*)$'
  -- The search path may know our folder by another name than ROOT.
  local ours = path and path:match 'lua/argent/(.*)$'
  if ours and M.lines(M.ROOT .. ours) then path = M.ROOT .. ours end
  local lines = path and M.lines(path)
  if not lines then return nil end
  local first = info.linedefined
  local at = first - 1
  -- Some public functions are made by `return function` or assigned later.
  while at > 0 and lines[at]:find '^%s*%-%-%-' do at = at - 1 end
  local text = {}
  for i = at + 1, first - 1 do text[#text + 1] = lines[i]:match '^%s*%-%-%- ?(.*)$' end
  local head = lines[first]
  local signature = head:match 'function%s+([%w_.:]+%b())' or head:match '^%s*(.-)%s*$'
  local owner = signature:match '^([%w_]+)[.:]'
  if #text == 0 then return nil, owner, path end
  return {signature = signature, text = text, place = ('%s:%d'):format(path, first)}, owner, path
end

---@class argent.doc.Class
---@field name string 'ag.Speech'
---@field owner string? the table of its methods: 'Tensor'
---@field path string
---@field line integer
---@field text string what is said of it
---@field fields {name: string, type: string, text: string}[]

-- A type and what is said behind it. Spaces within brackets, and before what a function returns,
-- belong to the type.
local function split_type(text)
  local at, depth = 1, 0
  while at <= #text do
    local c = text:sub(at, at)
    if c:find '[{(%[<]' then depth = depth + 1 elseif c:find '[})%]>]' then depth = depth - 1 end
    if c == ' ' and depth == 0 and not text:sub(at - 1, at - 1):find '[:,]' then break end
    at = at + 1
  end
  return text:sub(1, at - 1), text:sub(at + 1)
end

local function read_class(lines, at, path)
  local name, text = lines[at]:match '^%-%-%-@class%s+([%w_.]+):?%s*(.*)$'
  local class = {name = name, path = path, line = at, text = text, fields = {}}
  local last = class
  at = at + 1
  while lines[at] and lines[at]:find '^%-%-%-' do
    local field, rest = lines[at]:match '^%-%-%-@field%s+([%w_]+)%s+(.*)$'
    if field then
      last = {name = field, text = rest}
      class.fields[#class.fields + 1] = last
    elseif not lines[at]:find '^%-%-%-@' then
      last.text = last.text .. ' ' .. lines[at]:match '^%-%-%- ?(.*)$'
    end
    at = at + 1
  end
  for _, f in ipairs(class.fields) do f.type, f.text = split_type(f.text) end
  class.owner = lines[at] and lines[at]:match '^local ([%w_]+) = '
  return class
end

local function scan(folder, found)
  for entry in lfs.dir(folder) do
    local path = folder .. entry
    if entry:find '%.lua$' then
      local lines = M.lines(path)
      for at, line in ipairs(lines) do
        if line:find '^%-%-%-@class' then found[#found + 1] = read_class(lines, at, path) end
      end
    elseif not entry:find '^%.' and lfs.attributes(path, 'mode') == 'directory' then
      scan(path .. '/', found)
    end
  end
  return found
end

local classes

--- All classes of our files.
---@return argent.doc.Class[]
function M.classes()
  if not classes then
    classes = scan(M.ROOT, {})
    table.sort(classes, function(a, b) return a.name < b.name end)
  end
  return classes
end

--- The first class for which f is true.
---@param f fun(class: argent.doc.Class): any
---@return argent.doc.Class?
function M.class(f)
  for _, c in ipairs(M.classes()) do
    if f(c) then return c end
  end
end

return M
