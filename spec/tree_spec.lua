-- The texts of the tree itself: what comments point to is there, and no line is too long.

local command = require 'support.command'
local lfs = require 'lfs'

-- Folders of files that nobody reads as text.
local DATA = {['spec/fixtures'] = true, ['spec/fuzz/corpus'] = true}
local CODE = {'runtime', 'kernels', 'lua', 'scripts', 'spec', 'cmake', '.ci'}

local function slurp(path)
  local f = assert(io.open(path, 'rb'))
  local s = f:read '*a'
  f:close()
  return s
end

-- Every file under the folders, by its path from the root; fixtures are data.
local function files()
  local list = {}
  local function walk(path)
    for name in lfs.dir(command.root .. '/' .. path) do
      local inner = path .. '/' .. name
      local mode = lfs.attributes(command.root .. '/' .. inner, 'mode')
      if mode == 'file' then
        list[#list + 1] = inner
      elseif mode == 'directory' and name:sub(1, 1) ~= '.' and not DATA[inner] then
        walk(inner)
      end
    end
  end
  for _, folder in ipairs(CODE) do walk(folder) end
  for name in lfs.dir(command.root) do
    if name:find '%.md$' or name == 'CMakeLists.txt' then list[#list + 1] = name end
  end
  table.sort(list)
  return list
end

-- The comments of a file, each block as one line.
local function comments(path, text)
  local list = {}
  if path:find '%.[ch]$' or path:find '%.cuh?$' or path:find '%.def$' then
    for block in text:gmatch '/%*(.-)%*/' do
      list[#list + 1] = block:gsub('\n%s*%*?%s*', ' ')
    end
    return list
  end
  local mark = path:find '%.lua$' and '%-%-+' or '#'
  local block
  for line in (text .. '\n'):gmatch '([^\n]*)\n' do
    local whole = (line .. ' '):match('^%s*' .. mark .. '%s(.*)$')
    local tail = not whole and line:match('%s' .. mark .. '%s(.*)$')
    if whole then
      block = block and block .. ' ' .. whole or whole
    else
      list[#list + 1], block = block, nil
      list[#list + 1] = tail or nil
    end
  end
  list[#list + 1] = block
  return list
end

describe('the tree', function()
  local MADE = {['report.md'] = true, ['installed.lua'] = true} -- by what is in the tree
  local all, there, titles = files(), {}, {}

  setup(function()
    there['models/demo/README.md'] = true
    for _, path in ipairs(all) do
      -- By every end of its path: as comments in the same folder, or one above, name it.
      local tail = path
      while tail do
        there[tail] = true
        tail = tail:match '^[^/]*/(.*)$'
      end
    end
    for title in slurp(command.root .. '/REFERENCE.md'):gmatch '\n#+ ([^\n]*)' do
      titles[title] = true
    end
  end)

  -- Calls fn(path, comment) for each comment of each file of code.
  local function each_comment(fn)
    for _, path in ipairs(all) do
      if not path:find '%.md$' then
        for _, text in ipairs(comments(path, slurp(command.root .. '/' .. path))) do
          fn(path, text)
        end
      end
    end
  end

  it('has the sections of REFERENCE.md that comments point to', function()
    local pointers = 0
    each_comment(function(path, text)
      for rest in text:gmatch 'REFERENCE%.md, ("[^%)]*)' do
        for title in rest:gmatch '"([^"]+)"' do
          title, pointers = title:gsub('%s+', ' '), pointers + 1
          assert.is_true(titles[title] ~= nil, ('%s: REFERENCE.md has no section "%s"'):format(path,
            title))
        end
      end
    end)
    assert.is_true(pointers >= 15, pointers .. ' pointers')
  end)

  it('has the files that comments name', function()
    local named = 0
    each_comment(function(path, text)
      if text:find 'shared/' or text:find 'anchors' then
        error(path .. ': a comment points out of the tree: ' .. text)
      end
      for name in text:gmatch '%f[%w_*$}.]([%w_][%w_%-./]*%.%l+)' do
        local kind = name:match '%.(%l+)$'
        if (' c h cu cuh def lua md py sh '):find(' ' .. kind .. ' ', 1, true)
          and not name:find '%.%.' then
          named = named + 1
          assert.is_true(there[name] or MADE[name] or false,
            ('%s: there is no file %s: %s'):format(path, name, text))
        end
      end
    end)
    assert.is_true(named >= 100, named .. ' names')
  end)

  it('has the files that its pages name', function()
    local named = 0
    for _, path in ipairs(all) do
      if path:find '%.md$' then
        local text = slurp(command.root .. '/' .. path):gsub('\n```.-\n```', '')
        for name in text:gmatch '%]%(([^)#:]+)%)' do
          named = named + 1
          local target = command.root .. '/' .. name
          assert.is_truthy(lfs.attributes(target), path .. ' links to ' .. name)
        end
        for name in text:gmatch '`([%w_%-./]+%.%l+)`' do
          local kind = name:match '%.(%l+)$'
          if path ~= 'REFERENCE.md' and path ~= 'GUIDE.md' and not name:find 'NAME'
            and (' c h cu cuh def lua md py sh '):find(' ' .. kind .. ' ', 1, true) then
            named = named + 1
            assert.is_true(there[name] or MADE[name] or false, path .. ' names ' .. name)
          end
        end
      end
    end
    assert.is_true(named >= 40, named .. ' names')
  end)

  it('has sentences about every op in spec/ops', function()
    local specs, ops = {}, 0
    for _, path in ipairs(all) do
      if path:find '^spec/ops/' then specs[#specs + 1] = slurp(command.root .. '/' .. path) end
    end
    specs = table.concat(specs)
    for name in pairs(require('argent').ops) do
      ops = ops + 1
      assert.is_truthy(specs:find(('ops.%s%%f[^%%w_]'):format(name))
        or specs:find(("'%s'"):format(name), 1, true), name)
    end
    assert.is_true(ops > 25)
  end)

  it('has no line of more than 100 characters', function()
    for _, path in ipairs(all) do
      local number = 0
      for line in (slurp(command.root .. '/' .. path) .. '\n'):gmatch '([^\n]*)\n' do
        number = number + 1
        local characters = #line:gsub('[\128-\191]', '')
        local row = path:find '%.md$' and line:find '^|' or nil -- of a table: it cannot be broken
        assert.is_true(characters <= 100 or row ~= nil,
          ('%s:%d: %d characters'):format(path, number, characters))
      end
    end
  end)
end)
