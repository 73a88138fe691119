-- The command as a process: its standard streams, the signals that end it, and what it leaves.

local ag = require 'argent'
local command = require 'support.command'
local golden = require 'support.golden'
local json = require 'argent.json'
local lfs = require 'lfs'
local st = require 'support.st'

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

  -- ---- signals ----

  -- Starts argent, waits until a file appears (`ready`), does something with $pid in the shell, and
  -- waits for the end. Gives what the shell printed, then the exit code, and what argent said.
  local function during(args, ready, action)
    local script, log, words = dir .. '/during.sh', dir .. '/during.log', {}
    for i, a in ipairs(args) do words[i] = command.quote(a) end
    st.write(([[
      env --default-signal=HUP,INT,TERM %s %s 2>%s >/dev/null & pid=$!
      (sleep 30; kill -KILL $pid) >/dev/null 2>&1 & limit=$!
      for i in $(seq 3000); do
        if compgen -G %s >/dev/null || ! kill -0 $pid 2>/dev/null; then break; fi
        sleep 0.01
      done
      sleep 0.2
      %s
      wait $pid
      echo code $?
      kill -- -$limit
    ]]):format(command.quote(command.exe), table.concat(words, ' '), command.quote(log),
      command.quote(ready), action), script)
    local f = io.popen('bash -m ' .. command.quote(script) .. ' 2>/dev/null')
    local said = f:read '*a'
    f:close()
    return said, read(log)
  end

  local function names(folder)
    local list = {}
    for name in lfs.dir(folder) do
      if name ~= '.' and name ~= '..' then list[#list + 1] = name end
    end
    table.sort(list)
    return list
  end

  local function new_folder()
    local folder = ('%s/%d'):format(dir, #names(dir))
    assert(lfs.mkdir(folder))
    return folder
  end

  -- Speech that goes on and on, and the partial file that says it has begun.
  local endless
  local function speaking(folder)
    if not endless then
      endless = golden.copy(model, dir .. '/endless')
      local be = assert(ag.backend('cpu', {threads = 1}))
      local t = assert(ag.load(endless .. '/model.safetensors', {backend = be}))
      local eos = json.read(endless .. '/config.json').talker_config.codec_eos_token_id
      local head = t['talker.codec_head.weight']:to('f32'):clone()
      head:narrow(1, eos + 1, 1):fill(0)
      t['talker.codec_head.weight'] = head:to('bf16')
      -- A file of its own: the tensors above are mapped from the old one.
      os.remove(endless .. '/model.safetensors')
      assert(ag.save(endless .. '/model.safetensors', t))
    end
    return {'say', 'Hi.', '-m', endless, '--voice', voice, '--temperature', '0.01',
      '--max-frames', '100000', '-o', folder .. '/a.wav'}, folder .. '/.a.wav.*.partial'
  end

  for name, code in pairs {TERM = 143, HUP = 129, INT = 130} do
    it(('leaves nothing when SIG%s stops it, and ends with %d'):format(name, code), function()
      local folder = new_folder()
      local args, ready = speaking(folder)
      local said, err = during(args, ready, 'kill -' .. name .. ' $pid')
      assert.equal(('code %d\n'):format(code), said)
      assert.equal('argent: say: interrupted\n', err:match 'argent: .*')
      assert.same({}, names(folder))
    end)
  end

  it('leaves nothing when a second signal kills it in a script that goes on', function()
    local folder = new_folder()
    st.write(([[
      local file = require 'argent.audio.file'
      writer = assert(file.create(%q))
      while true do pcall(function() while true do end end) end
    ]]):format(folder .. '/a.wav'), dir .. '/stubborn.lua')
    local said = during({'run', dir .. '/stubborn.lua'}, folder .. '/.a.wav.*.partial',
      'kill -TERM $pid; sleep 0.3; kill -TERM $pid')
    assert.equal('code 143\n', said)
    assert.same({}, names(folder))
  end)

  it('goes on under nohup when SIGHUP comes', function()
    local folder = new_folder()
    st.write(([[
      io.open(%q, 'w'):close()
      local t = os.time()
      while os.time() < t + 2 do end
      return 9
    ]]):format(folder .. '/ready'), dir .. '/patient.lua')
    local script = dir .. '/nohup.sh'
    st.write(('trap "" HUP; %s run %s/patient.lua & sleep 0.7; kill -HUP $!; wait $!; echo $?')
      :format(command.quote(command.exe), dir), script)
    local f = io.popen('bash ' .. script)
    assert.equal('9\n', f:read '*a')
    f:close()
  end)

  it('is cleaned up after by the next run when it was killed, and only then', function()
    local folder = new_folder()
    local args, ready = speaking(folder)
    local next_run = {command.quote(command.exe)}
    for _, a in ipairs(say {'--max-frames', '1', '-o', folder .. '/b.wav'}) do
      next_run[#next_run + 1] = command.quote(a)
    end
    next_run = ('%s 2>/dev/null; ls -A %s | tr "\\n" " "; '):format(table.concat(next_run, ' '),
      folder)
    local said = during(args, ready, next_run .. 'kill -KILL $pid; wait $pid; rm '
      .. folder .. '/b.wav; ' .. next_run)
    assert.matches('^%.a%.wav%.%d+%.partial b%.wav b%.wav code 137\n$', said)
    -- Other names stay, and what somebody else has put there under such a name.
    st.write('', folder .. '/.mine.partial')
    st.write('', folder .. '/a.wav.999999999.partial')
    assert(lfs.mkdir(folder .. '/.a.wav.999999999.partial'))
    os.execute('{ ' .. next_run .. '} >/dev/null')
    assert.same({'.a.wav.999999999.partial', '.mine.partial', 'a.wav.999999999.partial', 'b.wav'},
      names(folder))
  end)

  it('names the model file that is cut short while it speaks, and leaves nothing', function()
    local folder = new_folder()
    local args, ready = speaking(folder)
    local copy = golden.copy(endless, folder .. '-model')
    args[4] = copy
    local said, err = during(args, ready, ('truncate -s 4096 %s/model.safetensors'):format(copy))
    assert.equal('code 6\n', said)
    assert.equal(('argent: %s/model.safetensors: cut short while it was in use, or its disk '
      .. 'failed; fetch it again\n'):format(copy), err:match 'argent: .*')
    assert.same({}, names(folder))
  end)

  describe('running a script', function()
    -- Ctrl-C once in a loop; the seconds until the end.
    local function stop(loop)
      local folder = new_folder()
      st.write('return function() local n = 0 while true do n = n + 1 end end',
        folder .. '/spin.lua')
      st.write(([[
        package.path = %q .. '/?.lua;' .. package.path
        io.open(%q, 'w'):close()
        %s
      ]]):format(folder, folder .. '/ready', loop), folder .. '/s.lua')
      local said, err = during({'run', folder .. '/s.lua'}, folder .. '/ready',
        'a=$(date +%s%N); kill -INT $pid; wait $pid; b=$(date +%s%N); echo $(( (b - a) / 1000 ))')
      assert.matches('\ncode 130\n$', said, loop)
      assert.equal('argent: run: interrupted\n', err, loop)
      return tonumber(said:match '^%d+') / 1e6
    end

    it('stops at one Ctrl-C, whatever loop it is in', function()
      for _, loop in ipairs {
        'local n = 0 while true do n = n + 1 end',
        'for i = 1, 1e15 do end',
        "require 'spin' ()",
        "dofile(package.path:match '^[^?]*' .. 'spin.lua')()",
        "loadfile(package.path:match '^[^?]*' .. 'spin.lua')()()",
        "loadstring 'local n = 0 while true do n = n + 1 end' ()",
        "load(function() local s = text; text = nil; return s end)()",
        'coroutine.wrap(function() while true do end end)()',
        'local function f() return f() end f()',
      } do
        -- 200 ms are promised; the process must end too, on a machine that may be busy.
        local seconds = stop("text = 'local n = 0 while true do n = n + 1 end'\n" .. loop)
        assert.is_true(seconds < 1, ('%s: %g s'):format(loop, seconds))
      end
    end)

    local function run(text)
      st.write(text, dir .. '/s.lua')
      return command.run {'run', dir .. '/s.lua'}
    end

    it('lets finalizers use tensors when it ends, of locals and of globals', function()
      local r = run [[
        local ag = require 'argent'
        local be = assert(ag.backend('cpu', {threads = 2}))
        local function finalized(name)
          local x, p = ag.tensor(be, {1, 2, 3}), newproxy(true)
          getmetatable(p).__gc = function() print(name, (x + x)[3]) end
          return p
        end
        local a = finalized 'local'
        b = finalized 'global'
        package.loaded.c = finalized 'module'
        getmetatable(newproxy(true)).__gc = function() error 'in a finalizer' end
      ]]
      assert.equal(0, r.code, r.err)
      for _, name in ipairs {'local', 'global', 'module'} do
        assert.truthy(r.out:find(name .. '\t6\n', 1, true), r.out)
      end
    end)

    it('says in a child of fork() that the threads are those of the parent', function()
      local r = run [[
        local ag, ffi = require 'argent', require 'ffi'
        ffi.cdef 'int fork(void); int waitpid(int, int *, int); void _exit(int);'
        local be = assert(ag.backend('cpu', {threads = 2}))
        local one = assert(ag.backend('cpu', {threads = 1}))
        local x, w = ag.zeros(be, {64, 64}), ag.zeros(be, {64, 64})
        local y, v = ag.zeros(one, {64, 64}), ag.zeros(one, {64, 64})
        ag.ops.linear(x, x:clone(), w)
        io.stdout:setvbuf 'no'
        local pid = ffi.C.fork()
        if pid == 0 then
          print(pcall(ag.ops.linear, x, w, w))
          print(pcall(ag.ops.linear, y, v, v))
          be, x, w = nil, nil, nil
          collectgarbage()
          local own = assert(ag.backend('cpu', {threads = 2}))
          print(ag.tensor(own, {1, 2}):to('bf16'):totable()[2])
          ffi.C._exit(0)
        end
        ffi.C.waitpid(pid, nil, 0)
        ag.ops.linear(x, w, w)
        print 'parent'
      ]]
      assert.equal(0, r.code, r.err)
      assert.matches('^false\t[^\n]*this backend was opened before a fork, and its 2 threads are '
        .. "the parent's: open one in the child\ntrue\n2\nparent\n$", r.out)
    end)
  end)
end)
