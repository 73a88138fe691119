-- Memory that is refused at one call: at each in turn of those that a short speech makes.

local amount = require 'support.amount'
local command = require 'support.command'
local faults = require 'support.faults'

local SAY = {'say', 'Hi.', '-m', command.root .. '/models/demo', '--seed', '1', '--max-frames', '3',
  '--threads', '1', '-o', '%d/x.wav'}

describe('memory that is refused once', function()
  local missing = faults.missing()
  if missing then
    pending(missing)
    return
  end

  -- At the nth call; what comes of it is the whole sound, or exit code 5 and nothing.
  local function check(kind, n, whole)
    local r = faults.run(SAY, {fault = ('%s:%d:1'):format(kind, n)})
    local what = ('%s, call %d: %d, %s'):format(kind, n, r.code, r.err)
    if r.code == 0 then
      assert.same({[1] = whole}, {r.files['x.wav']}, what)
      r.files['x.wav'] = nil
    elseif r.code == 139 then -- libsndfile has not looked at what malloc gave it
      assert.matches('^[^\n]*libc[^\n]*\n[^\n]*libsndfile', r.err, what)
    else
      assert.equal(5, r.code, what)
      assert.matches('argent: [^\n]*memory[^\n]*\n$', r.err, what)
    end
    assert.same({}, r.files, what)
    return r.code
  end

  for _, kind in ipairs {'memory:ENOMEM', 'map:ENOMEM'} do
    it(('by %s is exit code 5 and no file, or makes no difference'):format(kind), function()
      local calls, files = faults.count(SAY, kind)
      local refused = 0
      for n in amount.places(calls, 50) do
        if check(kind, n, files['x.wav']) == 5 then refused = refused + 1 end
      end
      assert.is_true(calls > 100 and refused > 10, ('%d of %d'):format(refused, calls))
    end)
  end

  -- The pieces of machine code are registered with libgcc, which does not look at what malloc says;
  -- so the executable has them itself, and no call of malloc comes from there.
  it('is not met by LuaJIT when it has made machine code', function()
    local script = os.tmpname()
    local f = assert(io.open(script, 'w'))
    f:write [[
      jit.opt.start('sizemcode=4', 'maxmcode=64')
      jit.on()
      local sum = 0
      for i = 1, 300 do
        local fn = assert(loadstring('local n = ... for i = 1, 99 do n = n + i end return n'))
        jit.on(fn)
        sum = sum + fn(i)
      end
      print(sum)]]
    f:close()
    local run = {'run', script}
    local calls = faults.count(run, 'memory:ENOMEM')
    for n in amount.places(calls, 20) do
      local r = faults.run(run, {fault = ('memory:ENOMEM:%d:1'):format(n)})
      assert.is_true(r.code == 0 or r.code == 5, ('call %d: %d, %s'):format(n, r.code, r.err))
    end
    os.remove(script)
  end)

  it('may be refused for machine code alone, for good: then Lua is interpreted', function()
    local _, files = faults.count(SAY, 'map:ENOMEM')
    local r = faults.run(SAY, {fault = 'map:code:1:1000000'})
    assert.equal(0, r.code, r.err)
    assert.same(files, r.files)
  end)

  it('ends a script by os.exit(-1) no differently from 255', function()
    local script = os.tmpname()
    local f = assert(io.open(script, 'w'))
    f:write 'os.exit(-1)'
    f:close()
    assert.equal(255, command.run({'run', script}).code)
    os.remove(script)
  end)
end)
