-- The prompt: through a pipe, and through a pseudo-terminal as a person uses it.

local ffi = require 'ffi'
local command = require 'support.command'
local golden = require 'support.golden'
local lfs = require 'lfs'
local st = require 'support.st'
local terminal = require 'support.terminal'

local function quote(s) return command.quote(s) end

-- A session through a pipe: both streams together, in the order in which they were written.
local function piped(input, args, env)
  local words = {'repl'}
  for _, a in ipairs(args or {}) do words[#words + 1] = a end
  local r = command.run({'-c', '"$0" "$@" 2>&1', command.exe, unpack(words)},
    {exe = 'bash', stdin = input, env = env})
  return r.out, r.code
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

  it('shows the frames of the session and of scripts, and none of its own', function()
    local path = dir .. '/mine.lua'
    local f = assert(io.open(path, 'w'))
    f:write 'return function(x)\n  return {x:narrow(1, 2, 3)}\nend\n'
    f:close()
    local out = piped(('mine = dofile %q\n'):format(path)
      .. 'function g() local r = mine(ag.zeros(be, {1})) end\ng()\n')
    assert.equal(([[
%s:2: narrow: length: expected an integer from 0 to 1, got 3
  %s:2: in function 'mine'
  repl:2: in function 'g'
  repl:3: in main chunk
]]):format(path, path), out)
    assert.matches('^repl:1: sync: expected a backend, got nil [^\n]*\n$', (piped 'be.sync()\n'))
    -- Through code of ours that calls a function of the session, and ends in C.
    out = piped [[
v = setmetatable({}, {__tostring = function() error 'mine' end})
function g() local text = ag.show(v) return text end
g()
]]
    assert.matches(([[
^repl:1: mine
  %[C%]: in function 'error'
  repl:1: in function [^\n]*
  repl:2: in function 'g'
  repl:3: in main chunk
$]]):gsub('^\n', ''), out)
  end)

  it('knows its names, and says which was meant', function()
    assert.equal("repl:1: there is no 'prnt', did you mean print?\n", (piped 'prnt(1)\n'))
    assert.equal("repl:1: there is no 'mzq'\n", (piped 'mzq.x = 1\n'))
    assert.matches("^repl:2: there is no 'sound', did you mean sounds%?\n",
      (piped 'sounds = {}\nfunction f() return sound end f()\n'))
    -- What was set to nil is nil, and so is the last value before there is one.
    assert.equal('nil\nnil\nnil\n', (piped '_\nx, y = nil\nx\ny\n'))
    assert.equal('3\n', (piped('y\n', {'-e', 'y = 3'})))
    assert.matches("^argent: repl: %-%-eval:1: there is no 'yy'\n$", (piped('', {'-e', 'x = yy'})))
  end)

  it('says why there is no model', function()
    assert.matches('^repl:1: there is no tts: [^\n]*no such model directory[^\n]*\n2\n$',
      (piped('tts\n1 + 1\n', {}, {ARGENT_MODEL = dir .. '/none'})))
  end)

  it('shows all parts of ag, also those that are loaded when they are named', function()
    local out = piped 'ag\n'
    for _, name in ipairs {'qwen3_tts', 'plot', 'audio', 'nn', 'load', 'save'} do
      assert.truthy(out:find('\n  ' .. name .. ' = (loaded when it is named)', 1, true), name)
    end
    assert.is_nil((piped 'ag.load\nag\n'):find('load = (loaded', 1, true))
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
    for _, part in ipairs {'M.load(path, opts)',
      'Reads every tensor of a safetensors or GGUF file.', '  path: string',
      'Tensor:narrow(dim, first, length)', 'ops.linear(out, x, w, opt_bias, opt_scale)',
      'Backend:sync()', "there is no 'nothing'", ':doc needs a name'} do
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
    -- A session that has shown its first prompt; nil where there are no pseudo-terminals.
    local function session(state, args)
      local words = {command.exe, 'repl'}
      for _, a in ipairs(args or {}) do words[#words + 1] = a end
      local t, why = terminal.open(words, {XDG_STATE_HOME = dir .. '/' .. state, TERM = 'xterm',
        HOME = dir, ARGENT_MODEL = ''})
      if not t then
        pending(why)
        return nil
      end
      return t:expect '> '
    end

    it('gives the output that a pipe gives', function()
      local lines = {'1 + 1', 'x = ag.tensor(be, {1, 2})', 'x', 'for i = 1, 2 do', 'print(i)',
        'end', "error('oops')", '"alive" .. 1'}
      local t = session 'same'
      if not t then return end
      for _, line in ipairs(lines) do
        t:type(line .. '\n'):expect(line)
        t:expect((line:find ' do$' or line:find '^print') and '. ' or '> ')
      end
      assert.equal(0, t:settle():type('\4'):wait())
      -- Without the banner, the prompts and what was typed, it is the pipe's output.
      local shown, typed = {}, {}
      for _, line in ipairs(lines) do typed[line] = true end
      for line in t.shown:gmatch '([^\n]*)\n' do
        if not line:find '^[>.] ' and not typed[line] and not line:find '^Argent'
          and line ~= '' then
          shown[#shown + 1] = line
        end
      end
      assert.equal((piped(table.concat(lines, '\n') .. '\n')), table.concat(shown, '\n') .. '\n')
    end)

    it('completes names, members and files by TAB', function()
      local t = session 'tab'
      if not t then return end
      t:settle():type('ag.qw\t'):expect 'en3_tts'
      t:type('.op\t'):expect 'en'
      t:type('\n'):expect 'qwen3_tts/init.lua':expect '> '
      t:settle():type("'" .. model:sub(1, -3) .. '\t'):expect '/'
      t:type("'\n"):expect('"' .. model .. '/'):expect '> '
      t:settle():type('be:\t'):expect 'isa  kind  live_bytes  packed':expect '> '
      t:type('\21'):settle():type('\4'):wait()
    end)

    it('remembers lines from session to session, for their user alone', function()
      local t = session 'past'
      if not t then return end
      t:type('40 + 2\n'):expect '42':expect '> '
      t:settle():type('\4'):wait()
      assert.equal('rw-------', lfs.attributes(dir .. '/past/argent/history', 'permissions'))
      t = session 'past'
      t:settle():type('\27[A'):expect '40 + 2'
      t:type('\n'):expect '42\n':expect '> '
      t:settle():type('\4'):wait()
    end)

    it('gives an entry of several lines back whole, in the next session, too', function()
      local t = session 'whole'
      if not t then return end
      for _, line in ipairs {'for i = 1, 2 do', '  print(i * 21)'} do
        t:settle():type(line .. '\n'):expect '. '
      end
      t:type('end\n'):expect '\n21\n42\n':expect '> '
      t:settle():type('\27[A'):expect 'print(i * 21)':expect 'end'
      t:type('\n'):expect '\n21\n42\n':expect '> '
      t:type('error "where"\n'):expect 'repl:7: where':expect '> ' -- lines are counted on
      t:settle():type('\4'):wait()
      t = session 'whole'
      t:settle():type('\27[A'):expect 'where'
      t:settle():type('\27[A'):expect 'end'
      t:type('\n'):expect '\n21\n42\n':expect '> '
      t:settle():type('\4'):wait()
    end)

    it('stops what runs at Ctrl-C, and goes on', function()
      local t = session('stop', {'-m', model})
      if not t then return end
      t:type('print "on"; while true do end\n'):expect '\non'
      t:type('\3'):expect 'interrupted':expect '> '
      t:type('"alive"\n'):expect '\n"alive"':expect '> '
      t:type('hi = {text = "Hi.", voice = "ryan", max_frames = 20}\n'):expect '> '
      t:type('print "on"; while true do tts:say(hi) end\n'):expect '\non'
      -- Signals closer together than 0.1 s are taken for one.
      t:settle():type('\3'):expect 'interrupted':expect '> '
      t:type('#assert(tts:say(hi)).codes > 0\n'):expect '\ntrue\n':expect '> '
      assert.equal(0, t:settle():type('\4'):wait())
    end)

    it('stops a loop in a module at one Ctrl-C, and goes on', function()
      st.write('return function() local n = 0 while true do n = n + 1 end end', dir .. '/spin.lua')
      local t = session 'module'
      if not t then return end
      t:type(("package.path = '%s/?.lua;' .. package.path\n"):format(dir)):expect '> '
      t:type "print 'on' require 'spin' ()\n":expect '\non'
      t:settle():type('\3'):expect 'interrupted':expect '> '
      t:type('"alive"\n'):expect '\n"alive"':expect '> '
      assert.equal(0, t:settle():type('\4'):wait())
    end)

    it('ends at SIGTERM, at the prompt and while something runs', function()
      for _, entry in ipairs {'7\n', 'print(7) while true do end\n'} do
        local t = session 'term'
        if not t then return end
        t:type(entry):expect '\n7\n'
        ffi.C.kill(t:settle().pid, 15)
        assert.equal(143, t:wait())
      end
    end)

    it('gives up a line at Ctrl-C, and leaves at the second', function()
      local t = session 'leave'
      if not t then return end
      t:settle():type('abc'):expect 'abc'
      t:type('\3'):expect '^C':expect '> '
      t:type('7\n'):expect '7\n':expect '> '
      t:settle():type('\3'):expect '^C':expect '> '
      assert.equal(130, t:settle():type('\3'):wait())
    end)

    it('leaves at Ctrl-D', function()
      local t = session 'd'
      if t then assert.equal(0, t:settle():type('\4'):wait()) end
    end)
  end)
end)
