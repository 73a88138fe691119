-- Memory that is refused at one call: at each in turn of those that a short speech makes.

local amount = require 'support.amount'
local command = require 'support.command'
local faults = require 'support.faults'
local st = require 'support.st'

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
      assert.matches('^[^\n]*libsndfile', r.err, what)
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
      for n in amount.places(calls, 25) do
        if check(kind, n, files['x.wav']) == 5 then refused = refused + 1 end
      end
      assert.is_true(calls > 100 and refused > 3, ('%d of %d'):format(refused, calls))
    end)
  end

  -- What runs `text` with a folder's name, where a file is being written.
  local function script(text)
    local path = os.tmpname()
    local f = assert(io.open(path, 'w'))
    f:write([[
      local ag, ffi = require 'argent', require 'ffi'
      ffi.cdef 'void exit(int); int raise(int);'
      local be = assert(ag.backend('cpu', {threads = 1}))
      local writer = assert(require('argent.audio.file').create(arg[1]))
      ]], text)
    f:close()
    local r = faults.run({'run', path, '%d/x.wav'}, {fault = 'memory:0:0'})
    os.remove(path)
    return r
  end

  it('ends a process with exit code 5 where a library ends it, as lua-cjson does', function()
    local r = script 'ffi.C.exit(-1)'
    assert.equal(5, r.code, r.err)
    assert.equal('argent: out of memory\n', r.err)
    assert.same({}, r.files)
  end)

  it('takes the files that are being written along where a library crashes', function()
    assert.same({}, script 'ffi.C.raise(6)'.files)
    assert.same({}, script 'print(ffi.cast("int *", 8)[0])'.files)
  end)

  it('is exit code 5 where libsndfile is at work, or it crashes by itself', function()
    local path = os.tmpname()
    local f = assert(io.open(path, 'w'))
    f:write [[
      local be = assert(require('argent').backend('cpu', {threads = 1}))
      local sound = require('argent.audio.sound').new {samples = require('argent').zeros(be, {9}),
        rate = 24000}
      local ok, err, code = sound:save(arg[1])
      return ok and 0, err, code]]
    f:close()
    local run, memory = {'run', path, '%d/x.wav'}, 0
    local calls = faults.count(run, 'memory:ENOMEM')
    for n = calls, calls - 60, -1 do
      local r = faults.run(run, {fault = ('memory:ENOMEM:%d:1'):format(n)})
      local what = ('call %d of %d: %d, %s'):format(n, calls, r.code, r.err)
      if r.code == 5 then memory = memory + 1
      elseif r.code ~= 0 then assert.matches('libsndfile', r.err, what) end
      if r.code ~= 0 then assert.same({}, r.files, what) end
    end
    os.remove(path)
    assert.is_true(memory > 3, memory .. ' of 61')
  end)

  it('is not asked for where LuaJIT registers machine code, which would crash', function()
    local function calls(pieces)
      local path = st.write(([[
        local function loop()
          local x = 0
          for i = 1, 100 do x = x + i end
          return x
        end
        jit.on(loop)
        for _ = 1, %d do
          jit.flush()
          loop()
        end]]):format(pieces))
      local n = faults.count({'run', path}, 'memory:ENOMEM')
      os.remove(path)
      return n
    end
    assert.equal(calls(0), calls(40))
  end)

  it('is no matter where Lua asks for it once, and exit code 5 where it is for good', function()
    local function listing(objects)
      return st.write(([[
        jit.off()
        jit.flush()
        local list = {}
        for i = 1, %d do list[i] = {i} end
        io.write(#list)]]):format(objects))
    end
    local empty, full = listing(0), listing(400000)
    -- Before the script there is code to compile, more or less of it.
    local first = faults.count({'run', empty}, 'map:ENOMEM') + 60
    local last = faults.count({'run', full}, 'map:ENOMEM') - 60
    assert.is_true(last > first + 100, last - first)
    for n = first, last, math.floor((last - first) / 10) do
      local r = faults.run({'run', full}, {fault = ('map:ENOMEM:%d:1'):format(n)})
      assert.same({0, '400000', ''}, {r.code, r.out, r.err}, n)
    end
    local r = faults.run({'run', full}, {fault = ('map:ENOMEM:%d:1000000'):format(first)})
    assert.same({5, ''}, {r.code, r.out})
    assert.matches('^argent: [^\n]*out of memory\n$', r.err)
    os.remove(empty)
    os.remove(full)
  end)

  it('may be refused for machine code alone, for good: then Lua is interpreted', function()
    local _, files = faults.count(SAY, 'map:ENOMEM')
    local r = faults.run(SAY, {fault = 'map:code:1:1000000'})
    assert.equal(0, r.code, r.err)
    assert.same(files, r.files)
  end)

  it('ends a script by os.exit(-1) no differently from 255', function()
    assert.equal(255, script 'os.exit(-1)'.code)
  end)
end)
