-- Goldens may be links to checkpoints that are dear to somebody: no spec may change them.

local command = require 'support.command'
local golden = require 'support.golden'
local lfs = require 'lfs'

local quote = command.quote

local function write(path, text)
  local f = assert(io.open(path, 'w'))
  f:write(text)
  f:close()
end

local function read(path)
  local f = assert(io.open(path, 'rb'))
  local text = f:read '*a'
  f:close()
  return text
end

describe('a spec with goldens that are links to a checkpoint', function()
  local dir, checkpoint

  before_each(function()
    dir = os.tmpname()
    os.remove(dir)
    checkpoint = dir .. '/checkpoint'
    for _, path in ipairs {dir, checkpoint, dir .. '/golden', dir .. '/golden/m'} do
      assert(lfs.mkdir(path))
    end
    write(checkpoint .. '/model.safetensors', 'weights')
    write(dir .. '/golden/m/cases.json', '[]')
    assert(lfs.link(checkpoint, dir .. '/golden/m/model', true))
  end)
  after_each(function() os.execute('rm -rf ' .. quote(dir)) end)

  it('changes a copy, never the checkpoint', function()
    local copy = golden.copy(dir .. '/golden/m/model', dir .. '/copy')
    write(copy .. '/model.safetensors', 'other')
    assert.equal('weights', read(checkpoint .. '/model.safetensors'))
    assert(lfs.link(checkpoint .. '/model.safetensors', checkpoint .. '/link', true))
    copy = golden.copy(checkpoint, dir .. '/copy of links')
    write(copy .. '/link', 'other')
    assert.equal('weights', read(checkpoint .. '/model.safetensors'))
  end)

  -- Runs a spec file with that text under this tree's helper.
  local function run(text)
    local path = dir .. '/some_spec.lua'
    write(path, text)
    local which = assert(io.popen 'command -v busted')
    local busted = which:read '*l'
    which:close()
    return command.run({'run', busted, '--ignore-lua', '-o', 'plainTerminal', path},
      {env = {ARGENT_GOLDEN = dir .. '/golden'}, before = 'cd ' .. quote(command.root) .. ';'})
  end

  it('that writes to the checkpoint is an error of the run that names both', function()
    local r = run [[
      it('overwrites', function()
        local f = io.open(os.getenv 'ARGENT_GOLDEN' .. '/m/model/model.safetensors', 'a')
        f:write '!'
        f:close()
      end)]]
    assert.equal(1, r.code, r.out .. r.err)
    assert.truthy(r.out:find('1 success / 0 failures / 1 error', 1, true), r.out)
    assert.matches('wrote outside its own folder: %S+/golden/m/model/model%.safetensors\n'
      .. '[^\n]*some_spec%.lua', r.out)
    r = run [[
      it('leaves a file', function()
        io.open(os.getenv 'ARGENT_GOLDEN' .. '/new', 'w'):close()
      end)]]
    assert.equal(1, r.code, r.out .. r.err)
    assert.matches('wrote outside its own folder: %S+/golden/new\n', r.out)
  end)

  it('that only reads it is none', function()
    local r = run [[
      it('reads', function()
        io.open(os.getenv 'ARGENT_GOLDEN' .. '/m/model/model.safetensors'):read('*a')
      end)]]
    assert.equal(0, r.code, r.out .. r.err)
  end)
end)
