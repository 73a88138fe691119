-- The prompt: through a pipe, and through a pseudo-terminal as a person uses it.

local command = require 'support.command'
local golden = require 'support.golden'
local lfs = require 'lfs'

local function quote(s) return command.quote(s) end

-- A session through a pipe: both streams together, in the order in which they were written.
local function piped(input, args, env)
  local words = {'repl'}
  for _, a in ipairs(args or {}) do words[#words + 1] = a end
  local r = command.run({'-c', '"$0" "$@" 2>&1', command.exe, unpack(words)},
    {exe = 'bash', stdin = input, env = env})
  return r.out, r.code
end

-- A session at a terminal: keys are typed with a pause after each. What the terminal shows, without
-- the codes that move its cursor, and the exit code.
local function typed(keys, args, env)
  local feed = {'sleep 0.4'}
  for _, k in ipairs(keys) do
    local text = type(k) == 'table' and k[1] or k
    feed[#feed + 1] = ("printf '%%b' %s; sleep %g"):format(quote((text:gsub('\\', '\\\\')
      :gsub('\n', '\\n'):gsub('%c', function(c) return ('\\0%03o'):format(c:byte()) end))),
      type(k) == 'table' and k[2] or 0.15)
  end
  local words = {}
  for i, a in ipairs(args or {}) do words[i] = quote(a) end
  local session = ('%s repl %s; echo "code $?"'):format(quote(command.exe), table.concat(words,
    ' '))
  local r = command.run({'-c', ('{ %s; } | script -qec %s /dev/null'):format(table.concat(feed,
    '; '),
    quote(session))}, {exe = 'bash', env = env, timeout = 60})
  local text = r.out:gsub('\27%[[%d;?]*[%a]', ''):gsub('\27[=>]', ''):gsub('\r', '')
  return text, tonumber(text:match 'code (%d+)')
end

describe('argent repl', function()
  local dir, model

  setup(function()
    dir = os.tmpname()
    os.remove(dir)
    assert(lfs.mkdir(dir))
    for _, m in ipairs(golden.models()) do
      if m.name == 'custom' then model = m.model end
    end
  end)

  teardown(function() os.execute('rm -rf ' .. quote(dir)) end)

  local function env(state)
    return {XDG_STATE_HOME = dir .. '/' .. (state or 'state'), TERM = 'xterm'}
  end

  it('prints what expressions give, with and without =', function()
    assert.equal('2\n6\n"text"\n1, 2\nnil, "why", "value"\n',
      (piped '1 + 1\n=2 * 3\n"text"\n1, 2\nnil, "why", "value"\n'))
    assert.equal('', (piped 'x = 5\n\n-- a comment\n'))
    assert.equal('6\n', (piped 'x = 5\nx + 1 -- and a comment\n'))
    assert.equal('7\n7\n', (piped '7\n_\n'))
  end)

  it('keeps names, also local ones of a line of their own', function()
    assert.equal('3\n5\n',
      (piped 'local a, b = 1, 2\na + b\nlocal function f() return 5 end\nf()\n'))
  end)

  it('shows tensors with shape, dtype, device, extremes, mean, NaN, and their edges', function()
    local out = piped 'x = ag.zeros(be, {9, 20})\ny = x:fill(0.5)\nx\n'
    assert.equal([==[
tensor [9, 20] f32 on cpu, min 0.5, max 0.5, mean 0.5
[[0.5 0.5 0.5 ... 0.5 0.5 0.5]
 [0.5 0.5 0.5 ... 0.5 0.5 0.5]
 [0.5 0.5 0.5 ... 0.5 0.5 0.5]
 ...
 [0.5 0.5 0.5 ... 0.5 0.5 0.5]
 [0.5 0.5 0.5 ... 0.5 0.5 0.5]
 [0.5 0.5 0.5 ... 0.5 0.5 0.5]]
]==], out)
    out = piped('x = ag.tensor(be, {-3, 0, 4})\nn = x:narrow(1, 2, 1)\nn = n:copy(n * (1 / '
      .. '0))\nx\n')
    assert.equal('tensor [3] f32 on cpu, min -3, max 4, mean 0.5, 1 NaN\n[-3 nan 4]\n', out)
    assert.equal('tensor [2] i32 on cpu, min 1, max 2, mean 1.5\n[1 2]\n',
      (piped 'ag.tensor(be, {1, 2}, "i32")\n'))
  end)

  it('continues an entry that is not finished', function()
    assert.equal('1\n2\n', (piped 'for i = 1, 2 do\nprint(i)\nend\n'))
    assert.equal('3\n', (piped '1 +\n2\n'))
    assert.equal('{1, 2}\n', (piped '{1,\n2}\n'))
    assert.equal('repl: the input ends inside an entry\n', (piped 'for i = 1, 2 do\n'))
  end)

  it('shows the place of an error, and the session lives', function()
    assert.equal('repl:1: oops\n4\n', (piped "error('oops')\n2 + 2\n"))
    local out = piped 'function g()\n  error("deep")\nend\nlocal function f() g() end\nf()\n1\n'
    assert.matches("^repl:2: deep\n  %[C%]: in function 'error'\n  repl:2: in function 'g'\n", out)
    assert.matches('\n1\n$', out)
    assert.equal("repl:2: unexpected symbol near '='\n1\n", (piped 'x = 1\ny = = 2\nx\n'))
    out = piped 'ag.zeros(be, {-1})\n'
    assert.matches('^repl:1: shape: expected an integer', out)
    assert.equal('{a = 1}\n', (piped 'error {a = 1}\n'))
  end)

  it('has the model at hand', function()
    local out = piped([[
tts
#assert(tts:say {text = 'Hi.', voice = 'ryan', seed = 1, max_frames = 3}).codes
tts:say {text = 'Hi.', voice = 'rayn'}
assert(tts:say {text = 'Hi.', voice = 'ryan', seed = 1, max_frames = 3})
]], {'-m', model, '--dtype', 'f32'})
    assert.matches('^Qwen3%-TTS custom_voice %(%S+, f32%) from [^\n]+\n3\nnil, "unknown voice '
      .. '\'rayn\', '
      .. 'did you mean ryan%? [^\n]+", "value"\nsound: 0.0%d s at 24000 Hz\n$', out)
  end)

  it('documents functions, methods and ops', function()
    local out = piped(':doc ag.load\n:doc tensor.narrow\n:doc ops.linear\n:doc be.sync\n'
      .. ':doc nothing\n:doc\n')
    for _, part in ipairs {'M.load(path, opts)', 'Reads every tensor of a file.', '  path: string',
      'Tensor:narrow(dim, first, length)', 'ops.linear(out, x, w, opt_bias)', 'Backend:sync()',
      "there is no 'nothing'", ':doc needs a name'} do
      assert.truthy(out:find(part, 1, true), part .. ' is not in\n' .. out)
    end
    assert.truthy((piped(':doc tts:say\n', {'-m', model})):find('Synthesizer:say(opts)', 1, true))
  end)

  it('takes times, counts memory, lists its commands, and leaves', function()
    assert.matches('^2\n0%.%d+ s\n$', (piped ':time 1 + 1\n'))
    local out = piped(':time assert(tts:say {text = "Hi.", voice = "ryan", max_frames = 2})\n',
      {'-m', model})
    assert.matches('s, RTF %d', out)
    assert.matches('^Lua [%d.]+ MB, tensors [%d.]+ MB, process [%d.]+ MB\n$', (piped ':mem\n'))
    out = piped ':help\n:quit\n1\n'
    for _, name in ipairs {':doc NAME', ':time EXPR', ':mem', ':play EXPR', ':quit'} do
      assert.truthy(out:find(name, 1, true), name)
    end
    assert.is_nil(out:find '\n1\n$')
    assert.equal("no command ':foo'; :help lists them\n", (piped ':foo\n'))
  end)

  it('plays a sound with the player that is there, and says when there is none', function()
    local path = dir .. '/bin'
    lfs.mkdir(path)
    local f = assert(io.open(path .. '/aplay', 'w'))
    f:write('#!/bin/sh\nhead -c 4 "$2"; echo\n')
    f:close()
    os.execute('chmod +x ' .. path .. '/aplay')
    local out = piped(':play ag.zeros(be, {100})\n', {}, {PATH = path .. ':/usr/bin:/bin'})
    if out:find '^RIFF' == nil then assert.matches('paplay', os.getenv 'PATH' .. out) end
    assert.equal('RIFF\n', out)
    assert.equal(':play needs a sound or a tensor of samples\n', (piped ':play 5\n'))
    local none = dir .. '/none'
    lfs.mkdir(none)
    os.execute(('ln -s /bin/bash /bin/sh %s/'):format(none))
    out = command.run({'-c', ('echo ":play ag.zeros(be, {9})" | PATH=%s %s repl 2>&1'):format(none,
      quote(command.exe))}, {exe = 'bash'}).out
    assert.matches('^no player found', out)
  end)

  it('runs code before the first line with -e, and ends with 0', function()
    local out, code = piped('y\n', {'-e', 'y = 9'})
    assert.equal('9\n', out)
    assert.equal(0, code)
  end)

  describe('at a terminal', function()
    local SESSION = {'1 + 1', 'x = ag.tensor(be, {1, 2})', 'x', 'for i = 1, 2 do', 'print(i)',
      'end',
      "error('oops')", '"alive"'}

    it('gives the output that a pipe gives', function()
      local keys = {}
      for i, line in ipairs(SESSION) do keys[i] = line .. '\n' end
      keys[#keys + 1] = '\4'
      local shown, code = typed(keys, {}, env 'same')
      assert.equal(0, code)
      -- Without the banner, the prompts and what was typed, it is the pipe's output.
      local lines = {}
      for line in shown:gmatch '([^\n]*)\n' do
        if not line:find '^[>.] ' and not line:find '^Argent' and not line:find '^code'
          and not line:find '^%^D' and line ~= '' then lines[#lines + 1] = line end
      end
      assert.equal((piped(table.concat(SESSION, '\n') .. '\n')), table.concat(lines, '\n') .. '\n')
    end)

    it('completes names, members and files by TAB', function()
      local shown = typed({'ag.qw\t.op\t\n', '\4'}, {}, env 'tab')
      assert.matches('function %([^\n]*qwen3_tts/init.lua', shown)
      shown = typed({"'" .. model:sub(1, -3) .. '\t', "'\n", '\4'}, {}, env 'tab')
      assert.truthy(shown:find('"' .. model .. '/', 1, true), shown)
      shown = typed({'be:\t', '\21', '\4'}, {}, env 'tab')
      assert.matches('isa  kind  live_bytes  sync  threads', shown)
    end)

    it('remembers lines from session to session, for their user alone', function()
      typed({'40 + 2\n', '\4'}, {}, env 'past')
      local file = dir .. '/past/argent/history'
      assert.equal('rw-------', lfs.attributes(file, 'permissions'))
      local shown = typed({'\27[A\n', '\4'}, {}, env 'past')
      assert.matches('> 40 %+ 2\n42\n', shown)
    end)

    it('stops what runs at Ctrl-C, and goes on', function()
      local shown, code = typed({'while true do end\n', {'\3', 0.4}, '"alive"\n',
        'while true do tts:say {text = "Hi.", voice = "ryan", max_frames = 20} end\n', {'\3', 0.5},
          '#assert(tts:say {text = "Hi.", voice = "ryan", max_frames = 2}).codes\n', '\4'},
        {'-m', model}, env 'stop')
      assert.equal(0, code)
      assert.equal(2, select(2, shown:gsub('interrupted', '')))
      assert.matches('\n"alive"\n', shown)
      assert.matches('\n2\n', shown)
    end)

    it('gives up a line at Ctrl-C, and leaves at the second', function()
      local shown, code = typed({'abc\3', '7\n', '\3', '\3'}, {}, env 'leave')
      assert.matches('\n7\n', shown)
      assert.equal(130, code)
    end)

    it('leaves at Ctrl-D', function()
      assert.equal(0, (select(2, typed({'\4'}, {}, env 'd'))))
    end)
  end)
end)
