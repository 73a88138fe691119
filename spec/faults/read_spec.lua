-- Reads and opens that fail, one after the other, of all that a short speech reads: Lua files,
-- libraries, the model, and the sound that is read again.

local amount = require 'support.amount'
local command = require 'support.command'
local faults = require 'support.faults'

local SAY = {'say', 'Hi.', '-m', command.root .. '/models/demo', '--seed', '1', '--max-frames', '3',
  '--threads', '1', '-o', '%d/x.wav'}

describe('a system call that fails while things are read', function()
  local missing = faults.missing()
  if missing then
    pending(missing)
    return
  end

  for _, how in ipairs {'read:EIO', 'open:EMFILE'} do
    it(('(%s) is one line and no file, or makes no difference'):format(how), function()
      local calls, whole = faults.count(SAY, how)
      local ended = 0
      for n in amount.places(calls, 40) do
        local r = faults.run(SAY, {fault = ('%s:%d:1'):format(how, n)})
        local what = ('%s, call %d: %d, %s'):format(how, n, r.code, r.err)
        if r.code == 0 then
          assert.is_true(r.files['x.wav'] == whole['x.wav'], what)
        else
          -- Of Argent's own files and libraries 1, or 5 where the loader does not say which.
          assert.is_truthy((' 1 3 5 6 '):find((' %d '):format(r.code), 1, true), what)
          assert.matches('^argent: [^\n]*\n$', r.err, what)
          assert.same({}, r.files, what)
          ended = ended + 1
        end
      end
      assert.is_true(ended > 5, ('%d of %d'):format(ended, calls))
    end)
  end
end)
