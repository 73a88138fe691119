-- Completion, without a terminal.

local ag = require 'argent'
local complete = require 'argent.repl.complete'
local lfs = require 'lfs'

describe('completion', function()
  local be = assert(ag.backend('cpu', {threads = 1}))
  local env = setmetatable({ag = ag, be = be, x = ag.zeros(be, {2}), s = 'text',
    t = {alpha = 1, alps = {inner = 2}}}, {__index = _G})
  local commands = {'help', 'doc', 'time'}

  local function candidates(line)
    local list, from = complete.complete(line, env, commands)
    return table.concat(list, ' '), from
  end

  it('gives names of the session, of Lua, and words', function()
    assert.same({'local', 5}, {candidates 'x = loca'})
    assert.same({'tonumber tostring', 3}, {candidates 'f(to'})
    assert.matches('^ag and .*assert', (candidates 'a'))
  end)

  it('gives names of a session, and of Lua behind them', function()
    local session = require('argent.repl.names').of({ag = ag, mine = 1})
    assert.equal('mine', table.concat((complete.complete('mi', session, commands)), ' '))
    assert.equal('print', table.concat((complete.complete('pri', session, commands)), ' '))
    assert.equal('', table.concat((complete.complete('nothing.x', session, commands)), ' '))
  end)

  it('gives members of tables, to any depth, and through metatables', function()
    assert.same({'alpha alps', 3}, {candidates 't.al'})
    assert.same({'inner', 12}, {candidates 'y = t.alps.'})
    local object = setmetatable({}, {__index = {method = print}})
    env.o = object
    assert.equal('method', (candidates 'o:me'))
    assert.equal('qwen3_tts', (candidates 'ag.qw')) -- though it is not loaded yet
    assert.equal('linear', (candidates 'ag.ops.lin'))
  end)

  it('gives methods and fields of tensors, backends and strings', function()
    assert.equal('narrow', (candidates 'x:nar'))
    assert.equal('shape', (candidates 'x.sha'))
    assert.equal('live_bytes', (candidates 'be.li'))
    assert.equal('format', (candidates 's:form'))
  end)

  it('gives files inside quotes', function()
    local dir = os.tmpname()
    os.remove(dir)
    lfs.mkdir(dir)
    lfs.mkdir(dir .. '/sub')
    for _, name in ipairs {'song.wav', 'sound.wav', '.hidden'} do
      io.open(dir .. '/' .. name, 'w'):close()
    end
    finally(function() os.execute('rm -rf ' .. dir) end)
    assert.equal(dir .. '/song.wav ' .. dir .. '/sound.wav', (candidates('f("' .. dir .. '/so')))
    assert.equal(dir .. '/sub/', (candidates("f('" .. dir .. '/su')))
    assert.equal(dir .. '/.hidden', (candidates("'" .. dir .. '/.h')))
    assert.equal('', (candidates("'/no/such/")))
    assert.equal(2, select(2, candidates("'" .. dir)))
    assert.equal('tostring', (candidates("'a' tostr"))) -- the quote is closed
  end)

  it('gives commands at the start of a line', function()
    assert.same({':doc', 1}, {candidates ':d'})
    assert.equal(':doc :help :time', (candidates ':'))
  end)

  it('gives nothing where nothing is known, and calls nothing', function()
    for _, line in ipairs {'nothing.here.', 't.alpha.', 'f().', 'x.shape.', '1 .'} do
      assert.equal('', (candidates(line)), line)
    end
    env.trap = setmetatable({}, {__index = function() error 'called' end})
    assert.equal('', (candidates 'trap.x.y'))
  end)

  it('finds what candidates have in common', function()
    assert.equal('al', complete.common_prefix {'alpha', 'alps'}:sub(1, 2))
    assert.equal('', complete.common_prefix {'a', 'b'})
    assert.equal('', complete.common_prefix {})
  end)
end)
