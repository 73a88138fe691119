-- The command as a process: its standard streams, the signals that end it, and what it leaves.

local command = require 'support.command'
local golden = require 'support.golden'
local lfs = require 'lfs'

-- A golden model with named voices.
local function speaking_model()
  for _, m in ipairs(golden.models()) do
    for _, c in ipairs(m.cases) do
      if c.mode == 'custom_voice' then return m.model, c.voice end
    end
  end
end

local function read(path)
  local f = assert(io.open(path, 'rb'))
  local s = f:read '*a'
  f:close()
  return s
end

describe('argent as a process', function()
  local dir, model, voice

  setup(function()
    dir = os.tmpname()
    os.remove(dir)
    assert(lfs.mkdir(dir))
    model, voice = speaking_model()
  end)

  teardown(function() os.execute('rm -rf ' .. command.quote(dir)) end)

  local function say(more)
    local args = {'say', 'Hi.', '-m', model, '--voice', voice, '--seed', '1'}
    for _, a in ipairs(more or {}) do args[#args + 1] = a end
    return args
  end

  describe('whose standard streams are closed', function()
    -- argent with some of them closed by the shell.
    local function closed(streams, args)
      local words = {'-c', ('exec "$@" %s'):format(streams), 'sh', command.exe}
      for _, a in ipairs(args) do words[#words + 1] = a end
      return command.run(words, {exe = 'sh'})
    end

    it('writes the same sound file, and its notes nowhere', function()
      local wanted, got = dir .. '/wanted.wav', dir .. '/got.wav'
      local r = command.run(say {'--max-frames', '3', '-o', wanted})
      assert.equal(0, r.code, r.err)
      for _, streams in ipairs {'2>&-', '<&- 2>&-', '<&- >&- 2>&-'} do
        r = closed(streams, say {'--max-frames', '3', '-v', '-o', got})
        assert.equal(0, r.code, streams)
        assert.is_true(read(wanted) == read(got), streams)
        os.remove(got)
      end
    end)

    it('does not take lost output for done, or a closed input for an empty one', function()
      local r = closed('>&-', say {'--max-frames', '3', '-o', '-'})
      assert.equal(6, r.code, r.err)
      assert.matches('standard output: Bad file descriptor', r.err)
      r = closed('<&-', {'tokenize', '-m', model, '-'})
      assert.equal(6, r.code, r.err)
      assert.matches('standard input: Bad file descriptor', r.err)
    end)
  end)
end)
