-- How the C half stands on itself: each file includes what is below it, so that any of them can be
-- read, and changed, with what it includes alone.

local command = require 'support.command'

-- Every C and CUDA file: its path and the paths that it includes.
local function includes()
  local out = {}
  local list = assert(io.popen(('cd %s && find runtime kernels -name "*.[ch]" -o -name "*.cu*"')
    :format(command.quote(command.root))))
  for path in list:lines() do
    out[path] = {}
    for line in io.lines(command.root .. '/' .. path) do
      local name = line:match '^#include "([^"]+)"'
      if name then
        local whole, n = path:match '^(.*/)' .. name, 1
        while n > 0 do whole, n = whole:gsub('[^/]+/%.%./', '', 1) end
        table.insert(out[path], whole)
      end
    end
  end
  list:close()
  return out
end

-- A source and its header are one: what either includes is below both.
local function stem(path)
  return (path:gsub('%.[ch]$', ''):gsub('%.cuh?$', ''))
end

describe('the C half', function()
  it('has no file that stands on one that stands on it', function()
    local below = {}
    for path, list in pairs(includes()) do
      local name = stem(path)
      below[name] = below[name] or {}
      for _, other in ipairs(list) do
        other = stem(other)
        if other ~= name then table.insert(below[name], other) end
      end
    end
    assert.is_truthy(below['runtime/tensor'])
    local done = {}
    local function visit(name, above)
      if done[name] then return end
      for i, other in ipairs(above) do
        local circle = table.concat(above, ' > ', i) .. ' > ' .. name
        if other == name then error('a circle: ' .. circle, 0) end
      end
      above[#above + 1] = name
      for _, other in ipairs(below[name] or {}) do visit(other, above) end
      above[#above] = nil
      done[name] = true
    end
    for name in pairs(below) do visit(name, {}) end
  end)

  it('knows of kernels only where a backend is made of them', function()
    local strangers = {}
    for path, list in pairs(includes()) do
      local neutral = path:find '^runtime/[^/]+$' and not path:find '_cpu%.[ch]$'
      for _, other in ipairs(list) do
        if neutral and other:find '^kernels/' then
          strangers[#strangers + 1] = path .. ' includes ' .. other
        end
      end
    end
    assert.same({}, strangers)
  end)

  it('asks a backend what it can do, and never what it is called', function()
    local asked = {}
    for path in pairs(includes()) do
      for line in io.lines(command.root .. '/' .. path) do
        if line:find 'strcmp%([^)]*kind' and path ~= 'runtime/backends.c' then
          asked[#asked + 1] = path .. ': ' .. line
        end
      end
    end
    assert.same({}, asked)
  end)
end)
