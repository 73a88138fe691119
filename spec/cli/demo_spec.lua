-- The demo voice by the command: it speaks when no model is named, and what is said about that.

local command = require 'support.command'

describe('the demo voice', function()
  local NOTE = 'no model is given or found: the demo voice is used'

  local function say(args)
    local words = {'say', 'He spoke in a nervous tone of voice.', '--seed', '1', '-o', '-'}
    for _, a in ipairs(args) do words[#words + 1] = a end
    local r = command.run(words)
    assert.equal(0, r.code, r.err)
    return r
  end

  it('speaks when neither a model nor a voice is named, by its first voice, to the end', function()
    local r = say {}
    assert.equal(1, select(2, r.err:gsub(NOTE, '')), r.err)
    local seconds = #r.out / 2 / 24000
    assert.is_true(seconds > 1 and seconds < 4, seconds .. ' s')
    assert.equal(say({'--voice', 'heart'}).out, r.out)
    local named = say {'-m', command.root .. '/models/demo'}
    assert.equal(r.out, named.out)
    assert.is_nil(named.err:find(NOTE, 1, true))
  end)

  it('says by say --help how to get a released model', function()
    assert.matches('argent pull Qwen3%-TTS%-12Hz%-0%.6B%-CustomVoice',
      command.run({'say', '--help'}).out)
  end)

  it('takes at most 20 MB', function()
    local sum = 0
    local files = io.popen('find ' .. command.quote(command.root .. '/models/demo') .. ' -type f')
    for path in files:lines() do
      local f = assert(io.open(path, 'rb'))
      sum = sum + f:seek 'end'
      f:close()
    end
    files:close()
    assert.is_true(sum > 19e6 and sum <= 20e6, sum .. ' bytes')
  end)
end)
