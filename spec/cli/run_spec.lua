-- argent run: what a script gets, what its results and errors become, and how it stops. That it
-- gets the library and its arguments is in command_spec.lua.

local command = require 'support.command'
local lfs = require 'lfs'
local st = require 'support.st'

describe('argent run', function()
  local dir, script

  setup(function()
    dir = os.tmpname()
    os.remove(dir)
    assert(lfs.mkdir(dir))
    script = dir .. '/s.lua'
  end)

  teardown(function() os.execute('rm -rf ' .. command.quote(dir)) end)

  local function run(text, opts, ...)
    st.write(text, script)
    return command.run({'run', script, ...}, opts)
  end

  -- A failing script: this exit code and exactly this line on standard error.
  local function fails(code, line, r)
    assert.equal(('argent: run: %s\n'):format(line), r.err)
    assert.equal(code, r.code)
    assert.equal('', r.out)
  end

  it('gives a script the libraries that Argent itself uses', function()
    local r = run [[
      print(require('cjson').null, type(require('lfs').dir), require('argparse') ~= nil)]]
    assert.equal('userdata: NULL\tfunction\ttrue\n', r.out, r.err)
  end)

  it('gives a script the whole library through ffi.C, as nothing else is loaded', function()
    local r = run [[
      local lib = require 'argent.ffi'
      print(lib == require('ffi').C, lib.ag_interrupted())]]
    assert.equal('true\t0\n', r.out, r.err)
  end)

  it('finds the library from any folder, and by ARGENT_HOME', function()
    st.write("print(require('argent').version)", script)
    local version = require('argent').version .. '\n'
    local r = command.run({'run', script}, {before = 'cd /;'})
    assert.equal(version, r.out)
    r = command.run({'run', script}, {before = 'cd /;', env = {ARGENT_HOME = command.root}})
    assert.equal(version, r.out)
    r = command.run({'run', script}, {env = {ARGENT_HOME = dir}})
    assert.equal(1, r.code)
    assert.matches('^argent: ARGENT_HOME is set to a folder without lua/argent; [^\n]*\n$', r.err)
  end)

  it('passes arguments on as they are, options and odd characters too', function()
    local r = run("print(#arg, arg[0]) print(table.concat({...}, '|'))", nil,
      '--help', '-m', '', "it's", 'a b', '*', '$HOME', 'ü\n')
    assert.equal(("8\t%s\n--help|-m||it's|a b|*|$HOME|ü\n\n"):format(script), r.out)
  end)

  it('runs a script with a first line for the shell', function()
    assert.equal('hi\n', run('#!/usr/bin/env -S argent run\nprint "hi"').out)
  end)

  it('makes an exit code of a number, and none of other results', function()
    assert.equal(0, run('return 0').code)
    assert.equal(255, run('return 255').code)
    assert.equal(0, run('return "text"').code)
    assert.equal(0, run('return true').code)
    assert.equal(3, run('os.exit(3)').code)
    for _, v in ipairs {'256', '-1', '1.5'} do
      fails(1, ('%s returned %s, an exit code is 0 to 255'):format(script, v), run('return ' .. v))
    end
    assert.equal(1, run('return 0 / 0').code)
  end)

  it('makes the exit code of a fault that a script hands on', function()
    fails(6, '/none/a: No such file or directory', run [[
      return require('argent.cli.common').read_input('/none/a', 10)]])
  end)

  it('tells where an error is, in one line', function()
    fails(1, script .. ':2: no', run "\nerror 'no'")
    fails(1, script .. ':1: a; b; c', run 'error "a\\nb\\n  c"')
    fails(1, script .. ":1: unexpected symbol near '<eof>'", run 'local x = (')
    local r = run 'local function f() return 1 + f() end f()'
    assert.equal(1, r.code)
    assert.matches('^argent: run: [^\n]*stack overflow\n$', r.err)
  end)

  it('tells what an error is that is not a text', function()
    local instead = ": use error('text'), or return nil, 'text', code"
    fails(1, 'the error is not a text but {code = 3, message = "lost"}' .. instead,
      run 'error {message = "lost", code = 3}')
    fails(1, 'the error is not a text but nil' .. instead, run 'error()')
    fails(1, 'mine', run 'error(setmetatable({}, {__tostring = function() return "mine" end}))')
  end)

  it("keeps the exit code of the world's faults", function()
    for name, code in pairs {format = 3, value = 4, capacity = 4, memory = 5, io = 6} do
      fails(code, 'bad', run(("require('argent.status').throw('bad', %q)"):format(name)))
      fails(code, 'bad', run(("return nil, 'bad', %q"):format(name)))
    end
    fails(1, 'bad', run 'return nil, "bad"')
  end)

  it('shows the stack with ARGENT_TRACE', function()
    local r = run('local function f() error "no" end f()', {env = {ARGENT_TRACE = '1'}})
    assert.equal(1, r.code)
    assert.matches('s.lua:1: no\nstack traceback:\n', r.err)
    assert.matches("s.lua:1: in function 'f'", r.err)
  end)

  it('ends with exit code 5 when Lua has no memory left', function()
    local limit = 'ulimit -v 2000000;'
    if command.run({'--version'}, {before = limit}).code ~= 0 then
      pending 'this build does not start with 2 GB of addresses (sanitizers reserve more)'
      return
    end
    fails(5, 'out of memory', run([[
      local t = {}
      while true do t[#t + 1] = ('x'):rep(2 ^ 20) .. #t end]], {before = limit}))
  end)

  it('refuses options of its own, no script, and a script that is not there', function()
    fails(2, "unknown option '--threads': a script comes first, then its arguments (see argent run "
      .. '--help)', command.run {'run', '--threads', '2', 'x.lua'})
    fails(2, 'no script given (see argent run --help)', command.run {'run'})
    fails(6, dir .. '/none.lua: No such file or directory', command.run {'run', dir .. '/none.lua'})
    fails(1, ('cannot read %s: Is a directory'):format(dir), command.run {'run', dir})
  end)

  it('ends with exit code 6 when what a script printed was lost', function()
    local lost = 'argent: standard output could not be written\n'
    local full = {before = 'exec >/dev/full;'}
    local r = run('print "x"', full)
    assert.same({6, lost}, {r.code, r.err})
    r = run('for i = 1, 1e5 do print(i) end', {after = '| head -n 1'})
    assert.same({6, lost, '1\n'}, {r.code, r.err, r.out})
    fails(1, script .. ':1: no', run('print "x" error "no"', full))
    assert.equal(0, run('return 0', full).code)
  end)

  describe('at Ctrl-C', function()
    it('stops interpreted Lua with exit code 130 and one line', function()
      local r = run('while true do for k in pairs {1} do local _ = k end end', {interrupt = 0.5})
      assert.same({130, 'argent: run: interrupted\n'}, {r.code, r.err})
    end)

    it('stops a script that waits for input', function()
      local pipe = dir .. '/pipe'
      local before = ('mkfifo %s;'):format(pipe)
      local r = run('io.open(arg[1])', {interrupt = 0.5, before = before}, pipe)
      assert.same({130, 'argent: run: interrupted\n'}, {r.code, r.err})
    end)

    it('stops a loop of ops, compiled or not, also where errors are wrapped', function()
      local r = run([[
        local ag = require 'argent'
        local x = ag.zeros(assert(ag.backend('cpu', {threads = 2})), {8, 8})
        local ok, err = pcall(function()
          while true do ag.ops.mul(x, x, x) end
        end)
        error('my pipeline: ' .. tostring(err))]], {interrupt = 0.5})
      assert.same({130, 'argent: run: interrupted\n'}, {r.code, r.err})
    end)

    it('lets a script end in its own way', function()
      local r = run([[
        print(pcall(function()
          while true do for k in pairs {1} do local _ = k end end
        end))
        return 9]], {interrupt = 0.5})
      assert.equal(9, r.code)
      assert.matches('^false\t.*interrupted\n$', r.out)
    end)

    -- Runs the script with a Ctrl-C after half a second and one more after `pause`.
    local function twice(text, pause)
      st.write(text, script)
      local f = io.popen(([[%s run %s 2>&1 & p=$!
        (sleep 20; kill -KILL $p) >/dev/null 2>&1 & k=$!
        sleep 0.5; kill -INT $p; sleep %g; kill -INT $p
        wait $p; r=$?; kill $k; echo $r]]):format(command.quote(command.exe), script, pause))
      local said = f:read '*a'
      f:close()
      return said
    end

    it('takes two signals close together for one, as wrappers send them twice', function()
      assert.equal('9\n', twice([[
        pcall(function() while true do for k in pairs {1} do local _ = k end end end)
        local t = os.clock()
        while os.clock() < t + 0.4 do end
        return 9]], 0.02))
    end)

    it('dies the second time where the first does nothing, as in a compiled loop', function()
      assert.equal('130\n', twice([[
        local function loop() while true do end end
        jit.on(loop)
        loop()]], 0.5))
    end)
  end)
end)
