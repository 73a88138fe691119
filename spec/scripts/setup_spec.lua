-- Set-up on systems without apt-get: it goes on when all is there, and names what is not.

local command = require 'support.command'
local lfs = require 'lfs'

describe('scripts/setup.sh without apt-get', function()
  local quote = command.quote
  local dir

  -- A folder of programs: those that are named, by links.
  before_each(function()
    dir = os.tmpname()
    os.remove(dir)
    assert(lfs.mkdir(dir))
    for name in ([[bash cat paste env timeout cc make cmake pkg-config luajit busted]])
      :gmatch '%S+' do
      os.execute(('ln -s "$(command -v %s)" %s/'):format(name, quote(dir)))
    end
  end)

  after_each(function() os.execute('rm -r ' .. quote(dir)) end)

  local function setup_there(env)
    env = env or {}
    env.PATH = dir
    return command.run({'-c', 'cd "$0" && . scripts/setup.sh && echo goes on', command.root},
      {exe = dir .. '/bash', env = env})
  end

  it('goes on when all is there', function()
    local r = setup_there()
    assert.same({0, 'goes on\n', ''}, {r.code, r.out, r.err})
  end)

  it('names what is missing, and the packages of other systems', function()
    os.remove(dir .. '/cmake')
    os.remove(dir .. '/busted')
    local r = setup_there {LUA_CPATH = '/nowhere/?.so'}
    assert.equal(1, r.code)
    assert.matches('please install what is missing: cmake busted cjson lfs\n', r.err)
    for _, system in ipairs {'Fedora: dnf', 'Arch: pacman', 'Alpine: apk'} do
      assert.truthy(r.err:find(system, 1, true), system)
    end
  end)
end)
