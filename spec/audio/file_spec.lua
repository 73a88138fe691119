-- Sound files: exact integers in lossless formats, the same sound in lossy ones, and nothing under the final name before it is complete.

local ffi = require 'ffi'
local file = require 'argent.audio.file'
local lfs = require 'lfs'
local pcm = require 'argent.audio.pcm'

local sf = ffi.load 'libsndfile.so.1'
pcall(ffi.cdef, [[int64_t sf_read_float(argent_sf_file *f, float *p, int64_t n);
  int64_t sf_read_int(argent_sf_file *f, int32_t *p, int64_t n);]])

-- n samples of 440 Hz and 3 kHz.
local function tone(n)
  local x = ffi.new('float[?]', n + 1)
  for i = 0, n - 1 do
    x[i] = 0.4 * math.sin(2 * math.pi * 440 * i / 24000) + 0.3 * math.sin(2 * math.pi * 3000 * i / 24000)
  end
  return x
end

local function open(path)
  local info = ffi.new 'argent_sf_info'
  local f = sf.sf_open(path, 0x10, info)
  assert(f ~= nil, ffi.string(sf.sf_strerror(nil)))
  return f, tonumber(info.frames), info.samplerate, info.channels
end

local function floats(path)
  local f, n, rate, channels = open(path)
  local x = ffi.new('float[?]', n + 1)
  assert.equal(n, tonumber(sf.sf_read_float(f, x, n)))
  sf.sf_close(f)
  return x, n, rate, channels
end

local function integers(path)
  local f, n = open(path)
  local x = ffi.new('int32_t[?]', n + 1)
  sf.sf_read_int(f, x, n)
  sf.sf_close(f)
  return x, n
end

describe('a sound file', function()
  local dir

  setup(function()
    dir = os.tmpname()
    os.remove(dir)
    assert(lfs.mkdir(dir))
  end)

  teardown(function() os.execute("rm -rf '" .. dir .. "'") end)

  local function names()
    local list = {}
    for name in lfs.dir(dir) do
      if name ~= '.' and name ~= '..' then list[#list + 1] = name end
    end
    table.sort(list)
    return list
  end

  local function write(path, x, n, bits)
    local w = assert(file.create(path, {rate = 24000, bits = bits}))
    local half = math.floor(n / 2)
    assert(w:write(x, half))
    assert(w:write(x + half, n - half))
    assert(w:finish())
    assert.equal(n, w.samples)
  end

  for _, n in ipairs {0, 1, 7, 4801} do
    it(('of %d samples holds the nearest integers, in wav and flac of 16 and 24 bits'):format(n), function()
      local x = tone(n)
      for _, kind in ipairs {'wav', 'flac'} do
        for bits, limit in pairs {['16'] = 32767, ['24'] = 8388607} do
          if not (kind == 'flac' and n == 0) then -- libsndfile cannot open a flac file without samples
            local path = ('%s/x%d.%s'):format(dir, n, kind)
            write(path, x, n, bits)
            local y, m = integers(path)
            assert.equal(n, m)
            for i = 0, n - 1 do
              local want = math.floor(x[i] * limit + 0.5) * 2 ^ (bits == '16' and 16 or 8)
              assert(y[i] == want, ('sample %d: %d, expected %d'):format(i, y[i], want))
            end
            os.remove(path)
          end
        end
      end
    end)
  end

  it('holds floats bit for bit, at the rate and with the one channel it was made for', function()
    local path, x = dir .. '/f.wav', tone(1001)
    write(path, x, 1001, 'float')
    local y, n, rate, channels = floats(path)
    assert.same({1001, 24000, 1}, {n, rate, channels})
    for i = 0, n - 1 do assert(x[i] == y[i]) end
  end)

  for _, kind in ipairs {'ogg', 'opus', 'mp3'} do
    it('of kind ' .. kind .. ' sounds like what was written', function()
      local path, n, x = dir .. '/l.' .. kind, 24000, tone(24000)
      write(path, x, n)
      local y, m = floats(path)
      assert.is_true(math.abs(m - n) < 3000)
      -- The best correlation over the codec's delay.
      local best = 0
      for shift = -1400, 1400 do
        local xy, xx, yy = 0, 0, 0
        for i = 4000, 12000, 3 do
          local b = y[i + shift]
          xy, xx, yy = xy + x[i] * b, xx + x[i] * x[i], yy + b * b
        end
        best = math.max(best, xy / math.sqrt(xx * yy))
      end
      assert.is_true(best > 0.9, ('correlation %.3f'):format(best))
    end)
  end

  it('clips what is beyond full scale', function()
    local x = ffi.new('float[4]', {2, -2, 1, -1})
    assert.equal('\255\127\0\128\255\127\1\128', pcm.s16(x, 4))
  end)

  it('does not hold what is not a number', function()
    local x = ffi.new('float[3]', {0, 0 / 0, 0})
    local w = assert(file.create(dir .. '/nan.wav', {rate = 24000}))
    local ok, err = w:write(x, 3)
    assert.is_nil(ok)
    assert.equal(dir .. '/nan.wav: sample 1 is not a number', err)
    w:abort()
    assert.is_nil((lfs.attributes(dir .. '/nan.wav')))
  end)

  it('stands under its name only when it is complete, and under another on demand', function()
    for _, name in ipairs(names()) do os.remove(dir .. '/' .. name) end
    local path = dir .. '/done.wav'
    local w = assert(file.create(path, {rate = 24000}))
    w:write(tone(10), 10)
    assert.is_nil(lfs.attributes(path))
    w:abort()
    assert.same({}, names())
    w = assert(file.create(path, {rate = 24000}))
    w:write(tone(10), 10)
    assert(w:finish {as = dir .. '/other.wav'})
    assert.same({'other.wav'}, names())
  end)

  it('written to a device goes there', function()
    os.execute(("ln -sf /dev/null '%s/null.wav'"):format(dir))
    local w = assert(file.create(dir .. '/null.wav', {rate = 24000}))
    assert(w:write(tone(10), 10))
    assert(w:finish())
    assert.equal('char device', lfs.attributes(dir .. '/null.wav', 'mode'))
  end)

  it('is refused where it cannot be, in one line with the path', function()
    local function refused(path, bits)
      local w, err, code = file.create(path, {rate = 24000, bits = bits})
      assert.is_nil(w)
      return err:gsub(dir:gsub('%p', '%%%0'), 'DIR'), code
    end
    assert.equal("DIR/x.xyz: unknown sound format '.xyz'; known are wav, flac, ogg, opus, mp3", (refused(dir .. '/x.xyz')))
    assert.equal('DIR/x: no extension says the sound format; known are wav, flac, ogg, opus, mp3', (refused(dir .. '/x')))
    assert.equal('DIR/x.mp3: mp3 cannot hold 24-bit samples; use wav', (refused(dir .. '/x.mp3', '24')))
    assert.equal('DIR/none/x.wav: No such file or directory', (refused(dir .. '/none/x.wav')))
    lfs.mkdir(dir .. '/folder.wav')
    assert.equal('DIR/folder.wav: is a directory', (refused(dir .. '/folder.wav')))
  end)
end)
