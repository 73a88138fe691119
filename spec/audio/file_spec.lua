-- Sound files: exact integers in lossless formats, the same sound in lossy ones, and nothing under
-- the final name before it is complete, whatever goes wrong.

local ffi = require 'ffi'
local command = require 'support.command'
local file = require 'argent.audio.file'
local lfs = require 'lfs'
local pcm = require 'argent.audio.pcm'
local posix = require 'argent.posix'
local sound = require 'support.sound'
local st = require 'support.st'

local KINDS = {'wav', 'flac', 'ogg', 'opus', 'mp3'}

-- n samples of 440 Hz and 3 kHz.
local function tone(n)
  local x = ffi.new('float[?]', n + 1)
  for i = 0, n - 1 do
    local t = 2 * math.pi * i / 24000
    x[i] = 0.4 * math.sin(440 * t) + 0.3 * math.sin(3000 * t)
  end
  return x
end

-- Random samples, some beyond full scale, and the edges in front.
local function edges(n)
  local x, state = ffi.new('float[?]', n + 1), 12345
  for i = 0, n - 1 do
    state = (state * 1664525 + 1013904223) % 2 ^ 31
    x[i] = state / 2 ^ 31 * 2.4 - 1.2
  end
  for i, v in ipairs {1, -1, 2, -2, 1 / 0, -1 / 0, 0, 0.5, -0.5} do
    if i <= n then x[i - 1] = v end
  end
  return x
end

local function read(path)
  local f = assert(io.open(path, 'rb'))
  local s = f:read '*a'
  f:close()
  return s
end

-- The integer at `at` (from 1) of little-endian bytes.
local function number(s, at, size)
  local v = 0
  for i = size, 1, -1 do v = v * 256 + s:byte(at + i - 1) end
  return v
end

describe('a sound file', function()
  local dir

  before_each(function()
    dir = os.tmpname()
    os.remove(dir)
    assert(lfs.mkdir(dir))
  end)

  after_each(function() os.execute('rm -rf ' .. command.quote(dir)) end)

  local function names()
    local list = {}
    for name in lfs.dir(dir) do
      if name ~= '.' and name ~= '..' then list[#list + 1] = name end
    end
    table.sort(list)
    return list
  end

  -- In three calls, one of them empty and one longer than a block.
  local function write(path, x, n, bits, opts)
    local w = assert(file.create(path, {bits = bits}))
    local part = math.floor(n / 7)
    assert.is_true(w:write(x, part))
    assert.is_true(w:write(x, 0))
    assert.is_true(w:write(x + part, n - part))
    assert.equal(n, w.samples)
    assert(w:finish(opts))
  end

  -- Runs Lua code in a process of its own, after the shell text `before`.
  local function child(code, before)
    local script = os.tmpname()
    st.write(('package.path, package.cpath = %q, %q\n'):format(package.path, package.cpath) .. code,
      script)
    local r = command.run({script}, {exe = 'luajit', before = before})
    os.remove(script)
    return r
  end

  local function plain(err)
    return (err:gsub(dir:gsub('%p', '%%%0'), 'DIR'))
  end

  local function refused(path, opts)
    local w, err, code = file.create(path, opts)
    assert.is_nil(w)
    assert.is_nil(err:find('\n', 1, true))
    return plain(err), code
  end

  describe('that is lossless', function()
    for _, case in ipairs {{'wav', '16', 32767, 'wav 16'}, {'wav', '24', 8388607, 'wav 24'},
      {'flac', '16', 32767, 'flac 16'}, {'flac', '24', 8388607, 'flac 24'}} do
      local kind, bits, scale, format = unpack(case)
      it(('holds the nearest integers, clipped: %s of %s bits'):format(kind, bits), function()
        for _, n in ipairs {0, 1, 7, 4095, 9001} do
          local path, x = ('%s/%d.%s'):format(dir, n, kind), edges(n)
          write(path, x, n, bits)
          local s = assert(sound.read(path))
          assert.same({n, 24000, 1, format}, {s.frames, s.rate, s.channels, s.format})
          for i = 0, n - 1 do
            local got = s.samples[i] * (scale + 1)
            local exact = math.max(-scale - 1, math.min(scale, x[i] * scale))
            assert(got % 1 == 0 and math.abs(got - exact) <= 0.5,
              ('sample %d of %d: %.17g, got %.17g'):format(i, n, x[i], got))
          end
        end
      end)
    end

    it('holds full scale, what is beyond, and halves as documented', function()
      local x = ffi.new('float[8]', {0, 1, -1, 3, -3, 0.5, -0.5, 1e-9})
      write(dir .. '/x.wav', x, 8)
      local s, got = sound.read(dir .. '/x.wav').samples, {}
      for i = 0, 7 do got[i + 1] = s[i] * 32768 end
      assert.same({0, 32767, -32767, 32767, -32768, 16384, -16383, 0}, got)
    end)

    it('holds floats bit for bit', function()
      for _, n in ipairs {0, 1, 4097} do
        local x = edges(n)
        write(dir .. '/f.wav', x, n, 'float')
        local s = assert(sound.read(dir .. '/f.wav'))
        assert.same({n, 24000, 1, 'wav float'}, {s.frames, s.rate, s.channels, s.format})
        for i = 0, n - 1 do assert(x[i] == s.samples[i]) end
      end
    end)

    it('holds the bytes of the raw stream behind the 44 bytes of a plain wav header', function()
      local n, x = 4099, edges(4099)
      write(dir .. '/x.wav', x, n)
      local wav = read(dir .. '/x.wav')
      assert.equal('RIFF', wav:sub(1, 4))
      assert.equal(#wav - 8, number(wav, 5, 4))
      assert.equal('WAVEfmt ', wav:sub(9, 16))
      -- Size of the chunk, PCM, channels, rate, bytes a second, bytes a sample, bits.
      assert.same({16, 1, 1, 24000, 48000, 2, 16}, {number(wav, 17, 4), number(wav, 21, 2),
        number(wav, 23, 2), number(wav, 25, 4), number(wav, 29, 4), number(wav, 33, 2),
        number(wav, 35, 2)})
      assert.equal('data', wav:sub(37, 40))
      assert.equal(2 * n, number(wav, 41, 4))
      assert.is_true(wav:sub(45) == pcm.s16(x, n))
    end)

    it('does not tell the time: the same samples are the same bytes on another day', function()
      write(dir .. '/f.wav', tone(100), 100, 'float')
      -- A chunk that libsndfile writes on its own, with the time in it.
      assert.is_nil(read(dir .. '/f.wav'):find('PEAK', 1, true))
    end)
  end)

  describe('that is lossy', function()
    for kind, format in pairs {ogg = 'ogg vorbis', opus = 'ogg opus', mp3 = 'mp3 layer 3'} do
      it('sounds like what was written: ' .. kind, function()
        local n, x = 24001, tone(24001)
        write(dir .. '/x.' .. kind, x, n)
        local s = assert(sound.read(dir .. '/x.' .. kind))
        assert.same({n, 24000, 1, format}, {s.frames, s.rate, s.channels, s.format})
        -- The best correlation over the codec's delay; the signal repeats after 1200 samples.
        local best = 0
        for shift = -600, 600 do
          local xy, xx, yy = 0, 0, 0
          for i = 1000, n - 1001 do
            local a, b = x[i], s.samples[i + shift]
            xy, xx, yy = xy + a * b, xx + a * a, yy + b * b
          end
          best = math.max(best, xy / math.sqrt(xx * yy))
        end
        assert.is_true(best > 0.9, ('correlation %.3f'):format(best))
      end)

      it('may be as short as a sample, and of odd length: ' .. kind, function()
        for _, n in ipairs {1, 2, 575, 577, 1919, 1921, 4097} do
          write(dir .. '/x.' .. kind, tone(n), n)
          assert.equal(n, sound.read(dir .. '/x.' .. kind).frames)
        end
      end)
    end

    it('gets no sample beyond full scale', function()
      local n, x = 8001, tone(8001)
      for i = 0, n - 1 do x[i] = x[i] * 100 end
      write(dir .. '/x.ogg', x, n)
      local s, peak = sound.read(dir .. '/x.ogg'), 0
      for i = 0, n - 1 do peak = math.max(peak, math.abs(s.samples[i])) end
      assert.is_true(peak < 3, 'peak ' .. peak) -- a clipped wave rings; an unclipped one has 70
    end)
  end)

  it('may be without samples, but for opus, which says so', function()
    for _, kind in ipairs {'wav', 'flac', 'ogg', 'mp3'} do
      local path = dir .. '/x.' .. kind
      assert(assert(file.create(path)):finish())
      assert.is_true(lfs.attributes(path, 'size') > 40)
      assert.equal(0, assert(sound.read(path)).frames)
    end
    local ok, err, code = assert(file.create(dir .. '/x.opus')):finish()
    assert.is_nil(ok)
    assert.same({'DIR/x.opus: no samples, which opus cannot hold; use wav', 'usage'},
      {plain(err), code})
    assert.same({'x.flac', 'x.mp3', 'x.ogg', 'x.wav'}, names())
  end)

  it('has the rate that was asked for', function()
    local w = assert(file.create(dir .. '/x.wav', {rate = 44100}))
    assert(w:write(tone(10), 10))
    assert(w:finish())
    assert.equal(44100, sound.read(dir .. '/x.wav').rate)
  end)

  it('does not hold what is not a number: the sample is named, and none of the call written',
    function()
      for _, bits in ipairs {'16', '24', 'float'} do
        local w = assert(file.create(dir .. '/nan.wav', {bits = bits}))
        assert(w:write(tone(5), 5))
        local ok, err, code = w:write(ffi.new('float[3]', {0.25, 0 / 0, 0}), 3)
        assert.is_nil(ok)
        assert.same({'DIR/nan.wav: sample 6 is not a number', 'internal'}, {plain(err), code})
        assert.equal(5, w.samples)
        assert(w:finish())
        assert.equal(5, sound.read(dir .. '/nan.wav').frames)
      end
    end)

  describe('takes its name', function()
    it('only when it is complete; what stood there stays until then', function()
      st.write('old', dir .. '/x.wav')
      local w = assert(file.create(dir .. '/x.wav'))
      assert(w:write(tone(5000), 5000))
      assert.equal('old', read(dir .. '/x.wav'))
      assert.equal(2, #names())
      assert(w:finish())
      assert.same({'x.wav'}, names())
      assert.equal(5000, sound.read(dir .. '/x.wav').frames)
    end)

    it('never when it is given up, which leaves nothing behind', function()
      st.write('old', dir .. '/x.wav')
      for _, kind in ipairs(KINDS) do
        local w = assert(file.create(dir .. '/x.' .. kind))
        assert(w:write(tone(5000), 5000))
        w:abort()
        w:abort()
      end
      assert.same({'x.wav'}, names())
      assert.equal('old', read(dir .. '/x.wav'))
    end)

    it('never when its script forgets it or ends early', function()
      local w = assert(file.create(dir .. '/x.wav'))
      assert(w:write(tone(10), 10))
      assert.equal(1, #names())
      w = nil -- luacheck: ignore
      collectgarbage()
      collectgarbage()
      assert.same({}, names())
      local r = child(([[
        local w = require 'argent.audio.file'.create(%q)
        w:write(require 'ffi'.new 'float[9]', 9)
        error 'stop']]):format(dir .. '/x.ogg'))
      assert.equal(1, r.code)
      assert.same({}, names())
    end)

    it('or another one on demand, with the file of its own name untouched', function()
      st.write('old', dir .. '/x.wav')
      write(dir .. '/x.wav', tone(77), 77, '16', {as = dir .. '/x.partial.wav'})
      assert.same({'x.partial.wav', 'x.wav'}, names())
      assert.equal('old', read(dir .. '/x.wav'))
      assert.equal(77, sound.read(dir .. '/x.partial.wav').frames)
    end)

    it('with spaces, quotes, UTF-8 and a format in capitals', function()
      for _, name in ipairs {"it's a b.wav", '"q" $HOME `x`.FLAC', 'Grüße 你好.Ogg', '-.opus',
        '%s.mp3', '.wav', 'two\nlines.wav', ('n'):rep(251) .. '.wav', ('ü'):rep(125) .. '.flac'} do
        write(dir .. '/' .. name, tone(99), 99)
        assert.same({name}, names())
        assert.equal(99, sound.read(dir .. '/' .. name).frames)
        os.remove(dir .. '/' .. name)
      end
    end)

    it('in the working directory too', function()
      local before = lfs.currentdir()
      assert(lfs.chdir(dir))
      local ok, err = pcall(write, 'x.wav', tone(9), 9)
      lfs.chdir(before)
      assert(ok, err)
      assert.same({'x.wav'}, names())
    end)

    it("beside somebody's leftovers, which stay", function()
      local leftover = ('%s/.x.wav.%d.partial'):format(dir, posix.getpid())
      st.write('theirs', leftover)
      write(dir .. '/x.wav', tone(9), 9)
      assert.equal('theirs', read(leftover))
      assert.equal(2, #names())
    end)

    it('for the eyes of those who could read what stood there', function()
      for octal, mode in pairs {['600'] = 'rw-------', ['666'] = 'rw-rw-rw-'} do
        local path = dir .. '/private.wav'
        assert(io.open(path, 'w')):close()
        assert.equal(0, os.execute(('chmod %s %s'):format(octal, command.quote(path))))
        local w = assert(file.create(path, {rate = 24000}))
        assert(w:write(tone(10), 10))
        for name in lfs.dir(dir) do -- while it is written, too
          if name:find 'private' then
            assert.equal(mode, lfs.attributes(dir .. '/' .. name, 'permissions'))
          end
        end
        assert(w:finish())
        assert.equal(mode, lfs.attributes(path, 'permissions'))
        assert(os.remove(path))
      end
    end)

    it('behind a link, which stays a link', function()
      lfs.mkdir(dir .. '/there')
      st.write('old', dir .. '/there/real')
      os.execute(('ln -s there/real %s/x.wav'):format(command.quote(dir)))
      write(dir .. '/x.wav', tone(9), 9)
      assert.equal('link', lfs.symlinkattributes(dir .. '/x.wav', 'mode'))
      assert.equal(9, sound.read(dir .. '/there/real').frames)
    end)
  end)

  describe('written to a device or FIFO', function()
    it('goes there: /dev/null stays what it is', function()
      assert.equal('wav', file.format '/dev/null')
      local w = assert(file.create '/dev/null')
      assert(w:write(tone(10), 10))
      assert(w:finish {as = dir .. '/ignored.wav'})
      assert.equal('char device', lfs.attributes('/dev/null', 'mode'))
      for _, kind in ipairs(KINDS) do
        os.execute(("ln -s /dev/null %s"):format(command.quote(dir .. '/x.' .. kind)))
        write(dir .. '/x.' .. kind, tone(10), 10)
        assert.equal('char device', lfs.attributes(dir .. '/x.' .. kind, 'mode'))
      end
      assert.equal(#KINDS, #names())
    end)

    it('arrives at the reader of the FIFO, in the formats that need no way back', function()
      for _, kind in ipairs {'flac', 'ogg', 'opus'} do
        local fifo, got = dir .. '/x.' .. kind, dir .. '/got.' .. kind
        assert.equal(0, os.execute('mkfifo ' .. command.quote(fifo)))
        local reader = io.popen(('cat %s >%s'):format(command.quote(fifo), command.quote(got)), 'w')
        write(fifo, tone(5001), 5001)
        reader:close()
        assert.equal('named pipe', lfs.attributes(fifo, 'mode'))
        assert.equal(5001, assert(sound.read(got)).frames)
      end
    end)

    it('is refused before it waits for a reader, where the length is written last', function()
      for _, kind in ipairs {'wav', 'mp3'} do
        os.execute('mkfifo ' .. command.quote(dir .. '/x.' .. kind))
        assert.same({('DIR/x.%s: %s cannot be written to a FIFO; use flac, ogg or opus')
          :format(kind, kind), 'usage'}, {refused(dir .. '/x.' .. kind)})
      end
    end)

    it('says that the device is full, at once or at the end', function()
      for _, kind in ipairs(KINDS) do
        local path = dir .. '/x.' .. kind
        os.execute(('ln -s /dev/full %s'):format(command.quote(path)))
        for _, n in ipairs {1, 50000} do
          local w, err, code = file.create(path)
          local ok
          if w then
            ok, err, code = w:write(tone(n), n)
            if ok then ok, err, code = w:finish() end
            w:abort()
          end
          assert.is_nil(ok)
          assert.same({'DIR/x.' .. kind .. ': cannot write: No space left on device', 'io'},
            {plain(err), code})
        end
      end
    end)

    it('says that the reader of the FIFO went away', function()
      os.execute('mkfifo ' .. command.quote(dir .. '/x.flac'))
      local r = child(([[
        local reader = io.popen("head -c 10 '%s'", 'r')
        local w = assert(require 'argent.audio.file'.create('%s'))
        local x, ok, err, code = require 'ffi'.new('float[?]', 65536), true
        for i = 0, 65535 do x[i] = math.random() end
        for _ = 1, 100 do
          ok, err, code = w:write(x, 65536)
          if not ok then break end
        end
        print(ok, err, code, w:finish())]]):format(dir .. '/x.flac', dir .. '/x.flac'),
        "trap '' PIPE;")
      assert.equal(('nil\t%s: cannot write: Broken pipe\tio\t'):format(dir .. '/x.flac'):rep(2)
        :gsub('\t$', '\n'), r.out)
    end)

    it('says so too when the reader goes away before the last page', function()
      os.execute('mkfifo ' .. command.quote(dir .. '/x.ogg'))
      local r = child(([[
        local reader = io.popen("head -c 10 '%s'", 'r')
        local w = assert(require 'argent.audio.file'.create('%s'))
        local ok, err, code = w:write(require 'ffi'.new 'float[9]', 9)
        reader:read '*a'
        reader:close()
        if ok then ok, err, code = w:finish() end -- else the reader was gone before
        print(ok, err, code)]]):format(dir .. '/x.ogg', dir .. '/x.ogg'), "trap '' PIPE;")
      assert.equal('nil\tDIR/x.ogg: cannot write: Broken pipe\tio\n', plain(r.out), r.err)
    end)
  end)

  it('that lost data after it was written is refused, though no call has failed', function()
    for _, kind in ipairs {'wav', 'ogg', 'opus'} do
      local w = assert(file.create(dir .. '/x.' .. kind))
      assert(w:write(tone(50000), 50000))
      local path = dir .. '/' .. names()[1]
      os.execute(('truncate -s -1000 %s'):format(command.quote(path)))
      local ok, err, code = w:finish()
      assert.is_nil(ok)
      local want = 'DIR/x.%s: cannot write: the file is incomplete; is the disk full?'
      assert.same({want:format(kind), 'io'}, {plain(err), code})
      assert.same({}, names())
    end
  end)

  it('on a disk that fills at any byte is refused, with the old file and nothing else left',
    function()
      -- A limit on the size of files stands for the disk: each of the codecs has its own ways to
      -- find out late, or not at all. One process for all limits; at the last one it fits.
      for _, how in ipairs {{'wav', '16'}, {'wav', '24'}, {'wav', 'float'}, {'flac', '16'},
        {'ogg', '16'}, {'opus', '16'}, {'mp3', '16'}} do
        local kind, bits = unpack(how)
        local path = dir .. '/x.' .. kind
        st.write('old', path)
        local r = child(([[
          local path, bits, ffi, lfs = %q, %q, require 'ffi', require 'lfs'
          local file = require 'argent.audio.file'
          ffi.cdef 'int setrlimit(int what, const unsigned long *soft_hard);'
          local function limit(bytes)
            assert(ffi.C.setrlimit(1, ffi.new('unsigned long[2]', {bytes, -1ULL})) == 0)
          end
          local n = 5001
          local x = ffi.new('float[?]', n)
          for i = 0, n - 1 do x[i] = math.sin(i * 0.3) * math.sin(i * i * 1e-5) end
          local function run()
            local ok, err, code
            local w
            w, err, code = file.create(path, {bits = bits})
            if not w then return nil, err, code end
            for first = 0, n - 1, 1667 do
              ok, err, code = w:write(x + first, 1667)
              if not ok then break end
            end
            local first = err
            local done
            done, err, code = w:finish()
            if first and (done or err ~= first) then return nil, 'finish after a fault', code end
            return done, err, code
          end
          local bytes, refused = 0, 0
          while bytes < 100000 do
            limit(bytes)
            local ok, err, code = run()
            limit(1000000)
            if ok then break end
            local want = path .. ': cannot write: '
            if code ~= 'io' or err:sub(1, #want) ~= want or err:find '\n'
                or not err:find('; is the disk full?', 1, true) then
              print('message', bytes, err, code)
            end
            local f = io.open(path)
            if f:read '*a' ~= 'old' then print('the old file', bytes) end
            f:close()
            refused = refused + 1
            bytes = bytes + (bytes < 200 and 11 or 83)
          end
          local names = {}
          for name in lfs.dir(%q) do names[#names + 1] = name end
          print(refused > 10, #names, lfs.attributes(path, 'size') <= bytes)]])
          :format(path, bits, dir), "trap '' XFSZ;")
        assert.equal('true\t3\ttrue\n', r.out, kind .. bits .. r.err)
        assert.equal(5001, sound.read(path).frames)
        os.remove(path)
      end
    end)

  describe('is refused, in one line with the path', function()
    it('without a format that is known', function()
      for name, message in pairs {
        ['x.xyz'] = "unknown sound format '.xyz'", ['x.wav.bak'] = "unknown sound format '.bak'",
        ['x'] = 'no extension says the sound format', ['x.a\nb'] = "unknown sound format '.a?b'",
        ['wav'] = 'no extension says the sound format',
        ['x.'] = 'no extension says the sound format'} do
        local known = '; known are wav, flac, ogg, opus, mp3'
        local want = 'DIR/' .. name:gsub('\n', '?') .. ': ' .. message .. known
        assert.same({want, 'usage'}, {refused(dir .. '/' .. name)})
        local format, err = file.format(dir .. '/' .. name)
        assert.is_nil(format)
        assert.equal(want, plain(err))
      end
      assert.equal('flac', file.format 'a.b/c d.FLAC')
    end)

    it('with samples that its container cannot hold', function()
      for _, case in ipairs {
        {'mp3', '24', '24-bit', 'wav or flac'}, {'mp3', 'float', 'float', 'wav'},
        {'ogg', '24', '24-bit', 'wav or flac'}, {'ogg', 'float', 'float', 'wav'},
        {'opus', '24', '24-bit', 'wav or flac'}, {'opus', 'float', 'float', 'wav'},
        {'flac', 'float', 'float', 'wav'}} do
        local kind, bits, what, use = unpack(case)
        assert.same({('DIR/x.%s: %s cannot hold %s samples; use %s'):format(kind, kind, what, use),
          'usage'}, {refused(dir .. '/x.' .. kind, {bits = bits})})
      end
    end)

    it('with a rate that its codec does not know', function()
      assert.same({'DIR/x.opus: Opus only supports sample rates of 8000, 12000, 16000, 24000, and '
        .. '48000', 'usage'}, {refused(dir .. '/x.opus', {rate = 44100})})
      local err, code = refused(dir .. '/x.mp3', {rate = 96000})
      assert.matches('^DIR/x.mp3: MPEG.* only supports sample rates', err)
      assert.equal('usage', code)
      assert.same({}, names())
    end)

    it('where it cannot stand', function()
      lfs.mkdir(dir .. '/folder.wav')
      st.write('', dir .. '/plain')
      for path, message in pairs {['/none/x.wav'] = 'No such file or directory',
        ['/folder.wav'] = 'is a directory', ['/plain/x.wav'] = 'Not a directory',
        ['/' .. ('n'):rep(252) .. '.wav'] = 'File name too long',
        ['/x\0.wav'] = 'a path cannot hold a zero byte'} do
        assert.same({('DIR%s: %s'):format(path:gsub('%z', '?'), message), 'io'},
          {refused(dir .. path)})
      end
      assert.same({'folder.wav', 'plain'}, names())
    end)

    it('where the user may not write', function()
      -- Root may write anywhere, so the child gives up what it has of that.
      local id = io.popen 'id -u'
      local root = id:read '*n' == 0
      id:close()
      assert.equal(0, os.execute(('chmod 555 %s'):format(command.quote(dir))))
      local r = child(([[
        local ffi, file = require 'ffi', require 'argent.audio.file'
        ffi.cdef 'int setuid(unsigned id);'
        if %s then assert(ffi.C.setuid(65534) == 0) end
        print(file.create(%q))]]):format(root, dir .. '/x.wav'))
      assert.equal('nil\tDIR/x.wav: Permission denied\tio\n', plain(r.out), r.err)
    end)

    it('under another name that it cannot take, with nothing left behind', function()
      lfs.mkdir(dir .. '/folder.wav')
      os.execute(('ln -s /dev/null %s'):format(command.quote(dir .. '/null.wav')))
      for as, message in pairs {['/folder.wav'] = 'is a directory',
        ['/none/x.wav'] = 'cannot rename to it: No such file or directory',
        ['/null.wav'] = 'is a char device, not a file'} do
        local w = assert(file.create(dir .. '/x.wav'))
        assert(w:write(tone(9), 9))
        local ok, err, code = w:finish {as = dir .. as}
        assert.is_nil(ok)
        assert.same({('DIR%s: %s'):format(as, message), 'io'}, {plain(err), code})
        assert.same({'folder.wav', 'null.wav'}, names())
      end
    end)

    it('when a wav would need more than its 32 bits of size', function()
      local w = assert(file.create(dir .. '/x.wav', {bits = '24'}))
      w.samples = 1431654000 -- as if 16 hours were written
      local ok, err, code = w:write(tone(1000), 1000)
      assert.is_nil(ok)
      assert.same({'DIR/x.wav: a wav file ends at 4 GiB; use flac', 'io'}, {plain(err), code})
      w:abort()
    end)

    it('without libsndfile, and says what to install', function()
      local r = child(([[
        local ffi = require 'ffi'
        local load = ffi.load
        ffi.load = function(name, ...)
          if name:find 'sndfile' then error 'no such library' end
          return load(name, ...)
        end
        print(require 'argent.audio.file'.create(%q))]]):format(dir .. '/x.wav'))
      assert.equal('nil\tlibsndfile is missing: apt install libsndfile1\tunsupported\n', r.out)
      assert.same({}, names())
    end)
  end)

  it('raises at the line that misuses it', function()
    local w = assert(file.create(dir .. '/x.wav'))
    local x = ffi.new 'float[4]'
    local function raises(message, fn)
      local ok, err = pcall(fn)
      assert.is_false(ok)
      assert.matches(('file_spec.lua:%d: '):format(debug.getinfo(fn, 'S').linedefined) .. message,
        err, 1, false)
    end
    local function create(opts) return function() file.create('x.wav', opts) end end
    raises("file.create: unknown option string 'bit'", create {bit = 16})
    raises('file.create: bits: expected one of', create {bits = 16})
    raises('file.create: rate: expected an integer', create {rate = 1})
    raises('file.create: rate: expected an integer', create {rate = 0 / 0})
    raises('file.create: expected a table', create '16')
    raises('file.create: path: expected a string', function() file.create() end)
    raises('file.format: path: expected a string', function() file.format() end)
    raises('write: n: expected an integer from 0', function() w:write(x, -1) end)
    raises('write: n: expected an integer from 0', function() w:write(x, 1.5) end)
    raises('write: n: expected an integer from 0', function() w:write(x) end)
    raises('write: expected a float pointer, got nil', function() w:write(nil, 1) end)
    raises('write: expected a float pointer, got table', function() w:write({1, 2}, 2) end)
    local doubles, null = ffi.new 'double[4]', ffi.new 'float *'
    raises('write: expected a float pointer, got ctype<double %[4%]>',
      function() w:write(doubles, 4) end)
    raises('write: expected a float pointer, got ctype<float %*>', function() w:write(null, 4) end)
    raises("finish: unknown option string 'name'", function() w:finish {name = 'a'} end)
    raises('finish: as: expected a string', function() w:finish {as = 1} end)
    assert(w:write(ffi.cast('const float *', x), 4))
    assert(w:finish())
    raises('finish: the file is finished', function() w:finish() end)
    raises('write: the file is finished', function() w:write(x, 4) end)
    w:abort()
    assert.same({'x.wav'}, names())
  end)
end)
