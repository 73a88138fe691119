-- The first command that a newcomer runs: in what order it builds and speaks.

local command = require 'support.command'
local lfs = require 'lfs'
local sound = require 'support.sound'

describe('scripts/quickstart', function()
  local dir
  local quote = command.quote

  -- A tree whose programs are ours: cmake notes what it was asked for, and whether the sound was
  -- there by then.
  before_each(function()
    dir = os.tmpname()
    os.remove(dir)
    for _, name in ipairs {'', '/build', '/bin'} do assert(lfs.mkdir(dir .. name)) end
    assert(lfs.link(command.exe, dir .. '/build/argent', true))
    assert(lfs.link(command.root .. '/models', dir .. '/models', true))
    os.execute(('cp -r %s/scripts %s'):format(quote(command.root), quote(dir)))
  end)

  after_each(function() os.execute('rm -r ' .. quote(dir)) end)

  local function program(name, text)
    local path = dir .. '/bin/' .. name
    local f = assert(io.open(path, 'w'))
    f:write('#!/bin/sh\n', text, '\n')
    f:close()
    os.execute('chmod +x ' .. quote(path))
  end

  local function quickstart()
    program('cmake', ('test -e hello.wav && echo sound >>%s/log; echo "$*" >>%s/log'):format(dir,
      dir))
    local r = command.run({'-c', ('unset ARGENT_WERROR; PATH=%s/bin:$PATH %s/scripts/quickstart')
      :format(dir, dir)}, {exe = 'bash'})
    assert.equal(0, r.code, r.err)
    local f = assert(io.open(dir .. '/log'))
    local log = f:read '*a'
    f:close()
    return log
  end

  it('speaks before it builds for a card, and builds for the one that is here', function()
    program('nvcc', 'exit 1')
    program('nvidia-smi', 'echo 9.0; echo 8.6')
    local log = quickstart()
    assert.matches('^%-S %. %-B build %-DARGENT_CUDA=OFF\n%-%-build build', log)
    assert.matches('\nsound\n%-S %. %-B build %-DARGENT_CUDA=ON %-DCMAKE_CUDA_ARCHITECTURES=90'
      .. '%-real\n', log)
    assert.is_true(assert(sound.read(dir .. '/hello.wav')).frames > 12000)
  end)

  it('leaves the CUDA half out where nvcc or a card is missing', function()
    program('nvcc', 'exit 1')
    program('nvidia-smi', 'echo no devices were found >&2; exit 6')
    assert.is_nil(quickstart():find('ARGENT_CUDA=ON', 1, true))
  end)
end)
