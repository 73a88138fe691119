-- The scripts for more than one machine, tried on this one: a Slurm of one node with two slots, and
-- two servers behind nginx.

local command = require 'support.command'

local function try(name)
  if os.getenv 'ARGENT_BUILD' then pending 'tried with build/ alone' return nil end
  local r = command.run({}, {exe = command.quote(command.root .. '/scripts/' .. name .. '/try'),
    timeout = 600})
  if r.code == 3 then pending(r.err) return nil end
  assert.equal(0, r.code, r.out .. r.err)
  return r.out
end

describe('scripts/slurm', function()
  it('speaks lines in the tasks of an array; one that is killed goes on where it was', function()
    local out = try 'slurm'
    if not out then return end
    assert.matches('argent%-each%-2: argent was killed %(137%): the task is queued again', out)
    assert.matches('argent%-each%-2: 1 made, 1 skipped, 0 failed', out)
    assert.matches('argent%-merge%-%d+: 0 made, 8 skipped, 0 failed', out)
    assert.matches('8 files, all as one process makes them; made twice: none\n$', out)
  end)

  it('refuses what is no command of say --each', function()
    local each = command.quote(command.root .. '/scripts/slurm/each')
    local r = command.run({'0', 'say'}, {exe = each})
    assert.equal(2, r.code)
    assert.matches('scripts/slurm/each TASKS say', r.err)
  end)
end)

describe('scripts/fleet', function()
  it('loses no request whose answer has not begun when a server is killed', function()
    local out = try 'fleet'
    if not out then return end
    assert.matches('killed the second server under load', out)
    assert.matches('it answers again', out)
    assert.matches('40 requests: %d+ whole, %d+ cut while they were answered %(and seen as cut%), '
      .. '0 lost, 0 wrong\n$', out)
  end)
end)
