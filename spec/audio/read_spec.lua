-- Sound files in: every usual format becomes the samples it holds; files that lie, burst or break
-- are refused in one line.

local ag = require 'argent'
local compare = require 'support.compare'
local st = require 'support.st'

local be = assert(ag.backend('cpu', {threads = 1}))

local function le(n, bytes)
  local s = ''
  for _ = 1, bytes do
    s = s .. string.char(n % 256)
    n = math.floor(n / 256)
  end
  return s
end

-- A wav file byte by byte; data: string of samples; promise: length that the header tells.
local function wav(o)
  local channels, bits = o.channels or 1, o.bits or 16
  local block = channels * bits / 8
  local fmt = le(o.tag or 1, 2) .. le(channels, 2) .. le(o.rate or 24000, 4)
    .. le((o.rate or 24000) * block, 4) .. le(block, 2) .. le(bits, 2)
  local data = o.data or ''
  return 'RIFF' .. le(36 + #data, 4) .. 'WAVEfmt ' .. le(16, 4) .. fmt .. 'data'
    .. le(o.promise or #data, 4) .. data
end

local function samples16(values)
  local s = {}
  for i, v in ipairs(values) do s[i] = le(v % 65536, 2) end
  return table.concat(s)
end

local dir = os.tmpname()
os.remove(dir)
require('lfs').mkdir(dir)

local function file(name, bytes)
  local path = dir .. '/' .. name
  if bytes then st.write(bytes, path) end
  return path
end

local function tone(n, rate)
  local t = {}
  for i = 1, n do t[i] = 0.4 * math.sin(2 * math.pi * 440 * (i - 1) / rate) end
  return t
end

local function refused(bytes, pattern, code, opts)
  local path = file('bad.wav', bytes)
  opts = opts or {}
  opts.backend = be
  local ok, err, kind = ag.audio.read(path, opts)
  assert.is_nil(ok)
  assert.matches(pattern, err)
  assert.is_nil(err:find '\n')
  assert.equal(code or 'value', kind)
end

describe('reading a sound', function()
  teardown(function() os.execute('rm -rf ' .. dir) end)

  it('gives the samples of 16 and 24 bits and float, exactly', function()
    local x, info = assert(ag.audio.read(file('a.wav', wav {data = samples16 {0, 16384, -32768,
      32767}}),
      {backend = be}))
    assert.same({0, 0.5, -1, 32767 / 32768}, x:totable())
    assert.same({rate = 24000, channels = 1, seconds = 4 / 24000, format = 'wav 16 bit'}, info)
    local path, values = file 'b.wav', {0.25, -0.5, 1.5, 0}
    assert(ag.audio.write(path, values, {bits = 'float'}))
    assert.same(values, assert(ag.audio.read(path, {backend = be})):totable())
    for _, name in ipairs {'c.wav', 'c.flac'} do
      path = file(name)
      assert(ag.audio.write(path, {0.5, -0.25}, {bits = '24'}))
      local y = assert(ag.audio.read(path, {backend = be})):totable()
      assert.is_true(math.abs(y[1] - 0.5) < 2e-7 and math.abs(y[2] + 0.25) < 2e-7)
    end
  end)

  it('averages channels', function()
    local x, info = assert(ag.audio.read(file('s.wav', wav {channels = 2,
      data = samples16 {16384, 0, -16384, -16384, 0, 8192}}), {backend = be}))
    assert.same({0.25, -0.5, 0.125}, x:totable())
    assert.equal(2, info.channels)
  end)

  it('hears a tone in every format and rate', function()
    for _, name in ipairs {'t.wav', 't.flac', 't.ogg', 't.opus', 't.mp3'} do
      for _, rate in ipairs {8000, 44100, 48000} do
        if name ~= 't.opus' or rate ~= 44100 then -- opus has rates of its own
          local path = file(name)
          assert(ag.audio.write(path, tone(rate, rate), {rate = rate}))
          local x, info = assert(ag.audio.read(path, {backend = be}))
          assert.is_true(math.abs(#x - 24000) < 3000, #x)
          assert.is_true(math.abs(info.seconds - 1) < 0.13)
          local h, crossings, energy = x:host(), 0, 0
          for i = 6000, 17999 do
            if h[i] < 0 and h[i + 1] >= 0 then crossings = crossings + 1 end
            energy = energy + h[i] * h[i]
          end
          assert.is_true(math.abs(crossings - 220) <= 1, name .. crossings)
          assert.is_true(math.abs(math.sqrt(energy / 12000) - 0.4 / math.sqrt(2)) < 0.02, name)
        end
      end
    end
  end)

  it('reads a data URL as the file it holds, and refuses others in one line', function()
    local path = file('url.wav', wav {data = samples16 {0, 16384, -32768, 32767}})
    local p = io.popen('base64 <' .. path)
    local digits = p:read '*a'
    p:close()
    for _, head in ipairs {'data:audio/wav;base64,', 'data:;base64,', 'DATA:a/b;c=d;Base64,'} do
      local x, info = assert(ag.audio.read(head .. digits, {backend = be}))
      assert.same({0, 0.5, -1, 32767 / 32768}, x:totable())
      assert.equal('wav 16 bit', info.format)
    end
    for url, message in pairs {
      ['data:audio/wav;base64'] = 'has no comma before its bytes',
      ['data:audio/wav,RIFF'] = 'is not in base64 (data:audio/wav;base64,...)',
      ['data:audio/wav;base64,UklG\1w'] = 'character 5 behind the comma is no base64',
      ['data:audio/wav;base64,UklGR'] = 'is cut off',
    } do
      assert.same({nil, 'the data URL: ' .. message, 'value'}, {ag.audio.read(url, {backend = be})})
    end
    local _, err, code = ag.audio.read('data:audio/wav;base64,UklGRg==', {backend = be})
    assert.matches('^the data URL: is no sound that can be read', err)
    assert.equal('value', code)
  end)

  it('reads the bytes of a file, and gives way between blocks', function()
    local bytes = wav {data = samples16(tone(20000, 24000))}
    local want = assert(ag.audio.read(file('bytes.wav', bytes), {backend = be}))
    local errors, pauses = require('argent.posix').realpath '/proc/self/fd/2', 0
    local got = assert(ag.audio.read({bytes = bytes}, {backend = be, pause = function()
      pauses = pauses + 1
      assert.equal(errors, require('argent.posix').realpath '/proc/self/fd/2')
    end}))
    assert.is_true(compare.same_bits(want, got))
    assert.equal(5, pauses) -- blocks of 4096
    local ok, err, code = ag.audio.read({bytes = 'RIFF'}, {backend = be})
    assert.same({nil, 'value'}, {ok, code})
    assert.matches('^the recording: is no sound that can be read', err)
    assert.has_error(function() ag.audio.read({bytes = 5}, {backend = be}) end)
  end)

  it('gives as many samples as librosa does', function()
    -- len(librosa.resample(x, orig_sr=rate, target_sr=24000)) of librosa 0.11.0 with soxr 1.1.0.
    for rate, lengths in pairs {
      [8000] = {{8000, 24000}, {8001, 24003}},
      [11025] = {{441, 961}, {11024, 23998}, {11025, 24001}, {11026, 24003}, {44100, 96001}},
      [16000] = {{16000, 24000}, {16001, 24002}},
      [22050] = {{441, 481}, {22049, 23999}, {22050, 24001}, {22051, 24002}, {154350, 168001}},
      [24000] = {{44100, 44100}},
      [32000] = {{32000, 24000}, {44100, 33075}},
      [44100] = {{1, 1}, {441, 241}, {4410, 2400}, {44099, 24000}, {44100, 24001},
        {44101, 24001}, {88200, 48001}, {99999, 54422}, {132300, 72000}, {441000, 240001}},
      [48000] = {{48000, 24000}, {48001, 24001}, {12345, 6173}},
      [88200] = {{88200, 24001}, {88199, 24000}, {44100, 12001}},
      [176400] = {{176400, 24001}, {441, 61}},
      [192000] = {{192000, 24000}, {192001, 24001}},
    } do
      for _, case in ipairs(lengths) do
        local n, want = unpack(case)
        local x = {}
        for i = 1, n do x[i] = 0.25 end
        assert(ag.audio.write(file 'exact.wav', x, {rate = rate}))
        local y = assert(ag.audio.read(file 'exact.wav', {backend = be}))
        assert.equal(want, #y, ('%d samples at %d Hz'):format(n, rate))
        -- Where librosa rounds up, silence; before it what soxr makes.
        local exact = math.ceil(n * 24000 / rate)
        if want > exact then assert.equal(0, y:narrow(1, want, 1):item()) end
        local plain = assert(ag.audio.resample(ag.tensor(be, x), rate, 24000))
        assert.is_true(compare.same_bits(plain, y:narrow(1, 1, exact):contiguous()))
      end
    end
  end)

  it('gives the file\'s own rate when asked for 0', function()
    local path = file 'own.wav'
    assert(ag.audio.write(path, tone(500, 8000), {rate = 8000}))
    assert.equal(500, #assert(ag.audio.read(path, {backend = be, rate = 0})))
    assert.equal(1500, #assert(ag.audio.read(path, {backend = be})))
  end)

  it('reads streams whose writers did not know the length', function()
    for _, promise in ipairs {0xffffffff, 0x7fffffff} do
      local bytes = wav {data = samples16 {1, 2, 3, 4}, promise = promise}
      assert.equal(4, #assert(ag.audio.read(file('stream.wav', bytes), {backend = be})))
    end
  end)

  it('refuses what is no sound', function()
    refused('', 'is no sound that can be read')
    refused('hello, this is a text and no sound at all', 'is no sound that can be read')
    refused(wav {}, 'holds no samples')
    refused(wav {rate = 7999, data = samples16 {1}},
      'has 7999 samples a second; 8000 to 192000 are read')
    refused(wav {rate = 1e6, data = samples16 {1}}, 'has 1000000 samples a second')
    refused(wav {channels = 17, data = samples16 {1}:rep(17)}, 'has 17 channels; up to 16 are read')
    refused(wav {tag = 0x31, bits = 8, data = ('\1'):rep(66)}, 'wav:') -- GSM 6.10
    refused(wav {tag = 0x77, data = samples16 {1}}, 'wav:')
    refused(wav {data = samples16 {1, 2, 3}, promise = 4000},
      'is cut off: its header promises 4000 bytes of sound, it holds 6')
  end)

  it('refuses samples that are no numbers', function()
    local nan, inf = '\0\0\192\127', '\0\0\128\127'
    refused(wav {tag = 3, bits = 32, data = ('\0'):rep(40) .. nan}, 'sample 10 is NaN or infinite')
    refused(wav {tag = 3, bits = 32, data = inf}, 'sample 0 is NaN or infinite')
  end)

  it('refuses more seconds than asked for, without reading on', function()
    refused(wav {data = ('\0'):rep(2 * 24001)}, 'is longer than 1 s; cut out the part', nil,
      {max_seconds = 1})
    assert(ag.audio.read(file('one.wav', wav {data = ('\0'):rep(48000)}), {backend = be,
      max_seconds = 1}))
    -- Half an hour of silence is a few kilobytes of flac.
    local path = file 'bomb.flac'
    local writer = assert(require('argent.audio.file').create(path, {rate = 8000}))
    local block = require('ffi').new('float[?]', 80000)
    for _ = 1, 180 do assert(writer:write(block, 80000)) end
    assert(writer:finish())
    local began = os.clock()
    local ok, err, code = ag.audio.read(path, {backend = be})
    assert.is_nil(ok)
    assert.matches('is longer than 600 s', err)
    assert.equal('value', code)
    assert.is_true(os.clock() - began < 5)
  end)

  it('refuses files cut anywhere, or gives what they still hold', function()
    local whole = {}
    for _, name in ipairs {'cut.flac', 'cut.ogg', 'cut.opus', 'cut.mp3', 'cut.wav'} do
      local path = file(name)
      assert(ag.audio.write(path, tone(4800, 24000)))
      local f = assert(io.open(path, 'rb'))
      whole[name] = f:read '*a'
      f:close()
      for _, part in ipairs {0.01, 0.1, 0.3, 0.5, 0.77, 0.95} do
        file(name, whole[name]:sub(1, math.floor(#whole[name] * part)))
        local x, err, code = ag.audio.read(path, {backend = be})
        if x then assert.is_true(#x < 6000) else
          assert.equal('value', code)
          assert.is_nil(err:find '\n')
        end
        if name == 'cut.flac' or name == 'cut.wav' then assert.is_nil(x, name .. part) end
      end
    end
  end)

  it('survives bytes changed at random', function()
    local random = require('support.kernels').random(5)
    for _, name in ipairs {'fuzz.flac', 'fuzz.ogg', 'fuzz.opus', 'fuzz.mp3', 'fuzz.wav'} do
      local path = file(name)
      assert(ag.audio.write(path, tone(2400, 24000)))
      local f = assert(io.open(path, 'rb'))
      local bytes = f:read '*a'
      f:close()
      for _ = 1, 60 do
        local at = 1 + math.floor((random() + 1) / 2 * #bytes) % #bytes
        if random() > 0 then at = 1 + at % 60 end -- headers more often
        local byte = string.char(math.floor((random() + 1) * 128) % 256)
        file(name, bytes:sub(1, at - 1) .. byte .. bytes:sub(at + 1))
        local x, err, code = ag.audio.read(path, {backend = be, max_seconds = 5})
        if not x then
          assert.is_string(err)
          assert.equal('value', code)
        end
      end
    end
  end)

  it('says when there is no such file, a directory, or nothing to read from', function()
    local function says(path, pattern, want)
      local ok, err, code = ag.audio.read(path, {backend = be})
      assert.is_nil(ok)
      assert.matches(pattern, err)
      assert.equal(want, code)
    end
    says(dir .. '/none.wav', 'none.wav: No such file or directory', 'io')
    says(dir, 'is a directory, not a file', 'io')
    says('/dev/null', 'is a char device, not a file', 'io')
    says('a\0b', 'a path cannot hold a zero byte', 'io')
    assert.error_matches(function() ag.audio.read('x') end, 'read: needs a backend')
    assert.error_matches(function() ag.audio.read('x', {backend = be, rate = 1}) end, 'read: rate')
  end)
end)
