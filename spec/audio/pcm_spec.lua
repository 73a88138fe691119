-- Samples as raw s16le: the rounding, and a stream that arrives whole through every kind of pipe.

local ffi = require 'ffi'
local command = require 'support.command'
local pcm = require 'argent.audio.pcm'
local st = require 'support.st'

local function floats(list)
  return ffi.new('float[?]', #list + 1, list)
end

-- The integers in a string of s16le bytes.
local function integers(s)
  local list = {}
  for i = 1, #s, 2 do
    local v = s:byte(i) + 256 * s:byte(i + 1)
    list[#list + 1] = v < 32768 and v or v - 65536
  end
  return list
end

-- What the children below write, and its bytes.
local WAVE = [[
  local ffi, pcm = require 'ffi', require 'argent.audio.pcm'
  local n = 100003
  local x = ffi.new('float[?]', n)
  for i = 0, n - 1 do x[i] = (i * 7919 % 65536 - 32768) / 32767 end
]]

local function wave_bytes()
  local out = {}
  for i = 0, 100002 do
    local v = i * 7919 % 65536
    v = (v - 32768) % 65536
    out[#out + 1] = string.char(v % 256, math.floor(v / 256))
  end
  return table.concat(out)
end

-- Runs Lua code in a process of its own, its standard output going through `after`.
local function child(code, before, after)
  local script = os.tmpname()
  st.write(('package.path, package.cpath = %q, %q\n'):format(package.path, package.cpath) .. code,
    script)
  local r = command.run({script}, {exe = 'luajit', before = before, after = after})
  os.remove(script)
  return r
end

describe('pcm.s16', function()
  it('rounds to the nearest integer and clips', function()
    local x = floats {0, 1, -1, 2, -2, 1 / 0, -1 / 0, 0.5, -0.5, 100.4 / 32767, -100.6 / 32767}
    assert.same({0, 32767, -32767, 32767, -32768, 32767, -32768, 16384, -16383, 100, -101},
      integers(pcm.s16(x, 11)))
  end)

  it('takes no sample, one sample, and a pointer into the middle', function()
    local x = floats {0.25, 1, -1}
    assert.equal('', pcm.s16(x, 0))
    assert.equal('\0\32', pcm.s16(x, 1)) -- 8191.75
    assert.equal('\255\127\1\128', pcm.s16(ffi.cast('const float *', x) + 1, 2))
  end)

  it('refuses what is not a number, and names the sample', function()
    local s, err, code = pcm.s16(floats {0, 0, 0 / 0}, 3)
    assert.is_nil(s)
    assert.same({'sample 2 is not a number', 'internal'}, {err, code})
  end)

  it('raises on other memory and counts', function()
    local doubles = ffi.new 'double[2]'
    for _, case in ipairs {{doubles, 2, 'expected a float pointer, got ctype<double %[2%]>'},
      {nil, 1, 'expected a float pointer, got nil'}, {'abcd', 1, 'expected a float pointer'},
      {floats {}, 0.5, 'n: expected an integer'}, {floats {}, -1, 'n: expected an integer'}} do
      local ok, err = pcall(function() return (pcm.s16(case[1], case[2])) end)
      assert.is_false(ok)
      assert.matches('pcm_spec.lua:%d+: pcm.s16: ' .. case[3], err)
    end
  end)
end)

describe('pcm.sink', function()
  it('writes the same bytes in any portions', function()
    local r = child(WAVE .. [[
      local w, at = pcm.sink(1), 0
      for _, size in ipairs {0, 1, 4095, 4096, 4097, 1, 0, n - 12290} do
        assert(w:write(x + at, size))
        at = at + size
        assert(w.samples == at)
      end
      assert(w:finish {as = nil})
    ]])
    assert.same({0, ''}, {r.code, r.err})
    assert.is_true(r.out == wave_bytes())
  end)

  it('arrives whole through a slow pipe that takes some bytes at a time and none for a while',
    function()
      local r = child(WAVE .. [[
        ffi.cdef 'int fcntl(int fd, int command, ...);'
        assert(ffi.C.fcntl(1, 4, ffi.cast('int', 2048)) == 0) -- F_SETFL, O_NONBLOCK
        local w = pcm.sink(1)
        assert(w:write(x, 1)) -- so that later blocks do not fit the pipe's pages
        assert(w:write(x + 1, n - 1))
        assert(w:finish())
      ]], nil, '| { sleep 0.2; cat; }')
      assert.same({0, ''}, {r.code, r.err})
      assert.is_true(r.out == wave_bytes())
    end)

  it('arrives whole when signals interrupt every write', function()
    local r = child(WAVE .. [[
      ffi.cdef [=[
        int abs(int);
        void (*signal(int number, int (*handler)(int)))(int);
        int siginterrupt(int number, int flag);
        int setitimer(int which, const long *times, long *old);
      ]=]
      ffi.C.signal(14, ffi.C.abs) -- any function of C that takes an int and does nothing
      ffi.C.siginterrupt(14, 1)
      ffi.C.setitimer(0, ffi.new('long[4]', {0, 2000, 0, 2000}), nil) -- SIGALRM every 2 ms
      local w = pcm.sink(1)
      assert(w:write(x, n))
      assert(w:finish())
    ]], nil, '| { sleep 0.2; cat; }')
    assert.same({0, ''}, {r.code, r.err})
    assert.is_true(r.out == wave_bytes())
  end)

  it('says that standard output was closed', function()
    local r = child(WAVE .. [[
      local w = pcm.sink(1)
      local ok, err, code = w:write(x, n)
      io.stderr:write(tostring(ok), ' ', err, ' ', code, '\n')
      ok, err, code = w:finish()
      io.stderr:write(tostring(ok), ' ', err, ' ', code, '\n')
    ]], "trap '' PIPE;", '| head -c 100')
    assert.equal(('nil standard output was closed io\n'):rep(2), r.err)
    assert.is_true(r.out == wave_bytes():sub(1, 100))
  end)

  it('says why else it cannot write', function()
    local r = child(WAVE .. [[
      print(pcm.sink(require 'argent.posix'.open_existing '/dev/full'):write(x, 1))
      print(pcm.sink(999):write(x, 1))
    ]])
    assert.equal('nil\tstandard output: No space left on device\tio\n'
      .. 'nil\tstandard output: Bad file descriptor\tio\n', r.out)
  end)

  it('refuses what is not a number, names the sample and writes none of the call', function()
    local r = child [[
      local ffi, pcm = require 'ffi', require 'argent.audio.pcm'
      local w = pcm.sink(1)
      assert(w:write(ffi.new('float[2]', {1, 1}), 2))
      local ok, err, code = w:write(ffi.new('float[3]', {1, 0 / 0, 1}), 3)
      io.stderr:write(tostring(ok), ' ', err, ' ', code, ' ', w.samples)
    ]]
    assert.equal('nil sample 3 is not a number internal 2', r.err)
    assert.equal('\255\127\255\127', r.out)
  end)

  it('raises when it is used after its end, or without a descriptor', function()
    local x = floats {0}
    for _, ending in ipairs {'finish', 'abort'} do
      local w = pcm.sink(999)
      w[ending](w)
      assert.has_error(function() w:write(x, 1) end, 'write: the stream is finished')
      assert.has_error(function() w:finish() end, 'finish: the stream is finished')
      w:abort()
    end
    assert.error_matches(function() pcm.sink '1' end, 'pcm.sink: fd: expected an integer')
    assert.error_matches(function() pcm.sink(-1) end, 'pcm.sink: fd: expected an integer')
  end)
end)

describe('a host array that only the call knows', function()
  -- What collects garbage stands where each of them has looked at its arguments and not yet used
  -- them. Arrays of this size go back to the system, so that a late read ends the process.
  local COLLECTING = [[
    local ffi, pcm = require 'ffi', require 'argent.audio.pcm'
    local find_nan = pcm.find_nan
    pcm.find_nan = function(...)
      collectgarbage()
      collectgarbage()
      return find_nan(...)
    end
    local n = 1000003
    local function host()
      local x = ffi.new('float[?]', n)
      for i = 0, n - 1 do x[i] = 0.5 end
      return x, n
    end
  ]]
  local BYTES = ('\0\64'):rep(1000003) -- 16383.5 rounds up

  it('lives until pcm.s16 has made its string', function()
    local r = child(COLLECTING .. 'io.write(assert(pcm.s16(host())))')
    assert.same({0, ''}, {r.code, r.err})
    assert.is_true(r.out == BYTES)
  end)

  it('lives until a sink has written it', function()
    local r = child(COLLECTING .. 'assert(pcm.sink(1):write(host()))')
    assert.same({0, ''}, {r.code, r.err})
    assert.is_true(r.out == BYTES)
  end)

  it('lives until it is in a sound file', function()
    local path = os.tmpname() .. '.wav'
    local r = child(COLLECTING .. ([[
      local w = assert(require 'argent.audio.file'.create(%q))
      assert(w:write(host()))
      assert(w:finish())
    ]]):format(path))
    assert.same({0, ''}, {r.code, r.err})
    local f = assert(io.open(path, 'rb'))
    assert.is_true(f:read '*a':sub(-#BYTES) == BYTES)
    f:close()
    os.remove(path)
  end)

  it('is not read beyond its end', function()
    local ok, err = pcall(function() return (pcm.s16(ffi.new 'float[3]', 4)) end)
    assert.is_false(ok)
    assert.matches('pcm_spec.lua:%d+: pcm.s16: 4 samples of an array of 3', err)
  end)
end)
