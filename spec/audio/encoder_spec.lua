-- Sound as bytes while it is made: each format is what a reader of it understands, from the first
-- bytes on, and ends where it ends.

local ag = require 'argent'
local encoder = require 'argent.audio.encoder'
local ffi = require 'ffi'

local be = assert(ag.backend 'cpu')

local function tone(n)
  local x = ffi.new('float[?]', math.max(n, 1))
  for i = 0, n - 1 do x[i] = 0.4 * math.sin(i / 9) + 0.2 * math.sin(i / 3.3) end
  return x
end

-- All bytes of n samples given in pieces, and how many were there before the end.
local function encode(format, n, piece)
  local e = assert(encoder.new(format, 24000))
  local x, parts = tone(n), {}
  for at = 0, n - 1, piece do
    parts[#parts + 1] = assert(e:write(x + at, math.min(piece, n - at)))
  end
  local early = #table.concat(parts)
  parts[#parts + 1] = e:finish()
  return table.concat(parts), early
end

local function read(bytes, extension)
  local path = os.tmpname() .. '.' .. extension
  local f = assert(io.open(path, 'wb'))
  f:write(bytes)
  f:close()
  local samples, info = ag.audio.read(path, {backend = be, rate = 0})
  os.remove(path)
  return assert(samples, info), info
end

describe('an encoder', function()
  for _, format in ipairs(encoder.FORMATS) do
    it('makes ' .. format .. ' that is read as the sound that went in', function()
      local n = 24000 * 2 + 17
      local bytes, early = encode(format, n, 1920)
      assert.is_true(early > #bytes * (format == 'ogg' and 0.3 or 0.5))
      if format == 'pcm' then
        assert.equal(2 * n, #bytes)
        bytes = encoder.wav_header(24000, 2 * n) .. bytes
      end
      local samples, info = read(bytes, format == 'pcm' and 'wav' or format)
      assert.equal(24000, info.rate)
      local lossy = format == 'mp3' or format == 'ogg' or format == 'opus'
      local want, got = tone(n), samples:host()
      if not lossy then
        assert.equal(n, #samples)
        for i = 0, n - 1 do assert.is_true(math.abs(want[i] - got[i]) <= 1.2 / 32767) end
      else
        -- mp3 begins with the encoder's delay and ends in a full frame; the power is what it was.
        assert.is_true(#samples >= n and #samples < n + 4000, #samples .. ' samples')
        local a, b = 0, 0
        for i = 0, n - 1 do a, b = a + want[i] ^ 2, b + got[i] ^ 2 end
        assert.is_true(math.abs(a / b - 1) < 0.15, a / b) -- lame plays at 0.95 of it
      end
    end)

    it('makes the same ' .. format .. ' of any pieces, and of no sound at all', function()
      if format ~= 'opus' and format ~= 'ogg' then -- whose streams have a number of their own
        assert.is_true(encode(format, 5000, 5000) == encode(format, 5000, 7))
      end
      local bytes = encode(format, 0, 1)
      assert.is_true(#bytes < 5000)
    end)
  end

  it('can be given up, keeps nothing open, and refuses NaN', function()
    local function open()
      local n = 0
      for name in require('lfs').dir '/proc/self/fd' do n = n + (tonumber(name) and 1 or 0) end
      return n
    end
    collectgarbage()
    collectgarbage()
    local before = open()
    for _, format in ipairs(encoder.FORMATS) do
      local e = assert(encoder.new(format, 24000))
      local bytes, err, code = e:write(ffi.new('float[1]', 0 / 0), 1)
      assert.same({nil, 'sample 0 is not a number', 'internal'}, {bytes, err, code})
      e:close()
      assert(encoder.new(format, 24000):finish())
      assert(encoder.new(format, 24000)) -- forgotten
    end
    collectgarbage()
    collectgarbage()
    assert.equal(before, open())
    assert.error_matches(function() encoder.new('aac', 24000) end, 'encoder: format')
  end)
end)

describe('speed', function()
  local speed = require 'argent.audio.speed'

  local function change(factor, n, piece)
    local s = assert(speed.new(24000, factor))
    local x, out = tone(n), {}
    for at = 0, n - 1, piece do
      local p, k = s:write(x + at, math.min(piece, n - at))
      for i = 0, k - 1 do out[#out + 1] = p[i] end
    end
    local p, k = s:finish()
    for i = 0, k - 1 do out[#out + 1] = p[i] end
    return out
  end

  it('passes every bit at 1', function()
    local out, want = change(1, 5000, 700), tone(5000)
    assert.equal(5000, #out)
    for i = 1, 5000 do assert.equal(want[i - 1], out[i]) end
  end)

  it('makes sound as much longer or shorter as was asked, at the same pitch', function()
    if not speed.new(24000, 2) then pending 'libsonic is not installed' return end
    local function crossings(list)
      local n = 0
      for i = 2, #list do n = n + (list[i - 1] < 0 and list[i] >= 0 and 1 or 0) end
      return n / #list
    end
    local plain = crossings(change(1, 48000, 1920))
    for _, factor in ipairs {0.25, 0.5, 1.3, 2, 4} do
      local out = change(factor, 48000, 1920)
      assert.is_true(math.abs(#out * factor / 48000 - 1) < 0.05, #out)
      assert.is_true(math.abs(crossings(out) / plain - 1) < 0.05)
    end
  end)

  it('refuses what it cannot do', function()
    assert.error_matches(function() speed.new(24000, 5) end, 'expected a number from 0.25 to 4')
    assert.error_matches(function() speed.new(24000, 0 / 0) end, 'speed')
  end)
end)
