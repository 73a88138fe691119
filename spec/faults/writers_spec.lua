-- Several processes that write one output.

local amount = require 'support.amount'
local command = require 'support.command'
local faults = require 'support.faults'
local lfs = require 'lfs'

local q = command.quote

local function read(path)
  local f = io.open(path, 'rb')
  local s = f and f:read '*a'
  if f then f:close() end
  return s
end

describe('writers of one output', function()
  local folder, whole = nil, {}

  local function say(seed)
    return {'say', 'Hi.', '-m', command.root .. '/models/demo', '--seed', tostring(seed),
      '--max-frames', '3', '--threads', '1', '-o', '%d/x.wav'}
  end

  local function line(seed)
    local words = {q(command.exe)}
    for _, word in ipairs(say(seed)) do words[#words + 1] = q((word:gsub('%%d', folder))) end
    return table.concat(words, ' ')
  end

  setup(function()
    folder = os.tmpname()
    os.remove(folder)
    assert(lfs.mkdir(folder))
    for seed = 1, 4 do whole[faults.run(say(seed)).files['x.wav']] = true end
  end)
  teardown(function() os.execute('rm -rf ' .. q(folder)) end)

  local function left()
    local names = {}
    for name in lfs.dir(folder) do
      if name ~= '.' and name ~= '..' and name ~= 'x.wav' then names[#names + 1] = name end
    end
    return names
  end

  it('leave the whole sound of one of them', function()
    for _ = 1, amount.of(4, 50) do
      os.execute(('(%s & %s & %s & %s & wait) 2>/dev/null'):format(line(1), line(2), line(3),
        line(4)))
      assert.is_true(whole[read(folder .. '/x.wav')] or false)
      assert.same({}, left())
      os.remove(folder .. '/x.wav')
    end
  end)

  it('leave that of those that live, where others are killed', function()
    math.randomseed(1)
    for _ = 1, amount.of(6, 200) do
      local after = 0.01 + 0.2 * math.random()
      os.execute(('(%s & %s & sleep %.3f; kill -KILL $!; wait) 2>/dev/null'):format(line(1),
        line(2), after))
      assert.is_true(whole[read(folder .. '/x.wav')] or false)
    end
    os.execute(line(3) .. ' 2>/dev/null')
    assert.same({}, left())
  end)
end)
