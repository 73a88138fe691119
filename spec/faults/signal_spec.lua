-- Signals at many moments of a short speech: at system calls, which are the same ones each time,
-- and after times that have nothing to do with them.

local amount = require 'support.amount'
local command = require 'support.command'
local faults = require 'support.faults'

local SAY = {'say', 'Hi.', '-m', command.root .. '/models/demo', '--seed', '1', '--max-frames', '3',
  '--threads', '2', '-o', '%d/x.wav'}

-- The code of a process that dealt with it, and 128 + its number, for one that had not begun to, or
-- had already ended its work.
local SIGNALS = {
  SIGINT = {code = 130, number = 2, name = 'INT'},
  SIGTERM = {code = 143, number = 15, name = 'TERM'},
  SIGHUP = {code = 129, number = 1, name = 'HUP'},
  SIGPIPE = {code = 0, number = 13, name = 'PIPE'},
}

describe('a signal', function()
  local missing = faults.missing()
  if missing then
    pending(missing)
    return
  end
  local calls, whole = faults.count(SAY, 'any:SIGINT')

  -- Calls to be interrupted: of all of them, and more of the last ones, when the sound is written.
  local function moments()
    local list = {}
    for n in amount.places(calls, 15) do list[#list + 1] = n end
    for n in amount.places(160, 14) do list[#list + 1] = calls - 160 + n end
    return ipairs(list)
  end

  -- Done, with the whole sound; or ended, with the signal's code and the whole sound or none.
  local function check(r, s, what)
    what = ('%s: %d, %s'):format(what, r.code, r.err)
    assert.is_true(r.code == 0 or r.code == s.code or r.code == 128 + s.number, what)
    for name, bytes in pairs(r.files) do
      assert.is_true(name == 'x.wav' and bytes == whole['x.wav'], what .. name)
    end
    if r.code == 0 then assert.is_truthy(r.files['x.wav'], what) end
    return r.code
  end

  for signal, s in pairs(SIGNALS) do
    it(('%s at a system call leaves the whole sound or none'):format(signal), function()
      local ended = 0
      for _, n in moments() do
        local r = faults.run(SAY, {fault = ('any:%s:%d:1'):format(signal, n)})
        if check(r, s, ('%s at call %d'):format(signal, n)) ~= 0 then ended = ended + 1 end
      end
      if signal ~= 'SIGPIPE' then assert.is_true(ended > 5, ended .. ' ended') end
    end)

    it(('%s at any time leaves the whole sound or none'):format(signal), function()
      math.randomseed(s.number)
      for _ = 1, amount.of(5, 200) do
        local after = 0.001 + 0.3 * math.random() ^ 2
        local exe = ('timeout --preserve-status -s %s %.4f %s'):format(s.name, after,
          command.quote(command.exe))
        check(faults.run(SAY, {exe = exe}), s, ('%s after %.4f s'):format(signal, after))
      end
    end)
  end

  it('SIGKILL leaves the whole sound or a hidden file, which the next run takes away', function()
    math.randomseed(9)
    local folder = os.tmpname()
    os.remove(folder)
    os.execute('mkdir ' .. folder)
    local args, again = {}, {}
    for i, word in ipairs(SAY) do
      args[i] = word:gsub('%%d/', folder .. '/')
      again[i] = word:gsub('%%d/x', folder .. '/again')
    end
    local lfs = require 'lfs'
    local function hidden()
      local n = 0
      for name in lfs.dir(folder) do
        if name:find '^%.x%.wav%.%d+%.partial$' then n = n + 1 end
      end
      return n
    end
    local left = 0
    for _, n in moments() do
      local r = command.run(args, {exe = faults.exe(('any:SIGKILL:%d:1'):format(n))})
      local f = io.open(folder .. '/x.wav', 'rb')
      if f then
        assert.is_true(f:read '*a' == whole['x.wav'], 'call ' .. n)
        f:close()
      end
      assert.is_true(r.code == 137 or r.code == 0, r.err)
      left = math.max(left, hidden())
      os.remove(folder .. '/x.wav')
    end
    assert.is_true(left > 0)
    assert.equal(0, command.run(again).code)
    assert.equal(0, hidden())
    os.execute('rm -rf ' .. folder)
  end)
end)
