-- Resampling: lengths, levels, frequencies, and what must not come through.

local ag = require 'argent'
local compare = require 'support.compare'
local ffi = require 'ffi'
local resample = require 'argent.audio.resample'

describe('resampling', function()
  local be = assert(ag.backend('cpu', {threads = 1}))

  local function sine(hz, rate, seconds)
    local t = {}
    for i = 1, math.floor(rate * seconds) do t[i] = 0.5 * math.sin(2 * math.pi * hz
      * (i - 1) / rate) end
    return ag.tensor(be, t)
  end

  it('keeps a tone: its pitch, level and phase', function()
    for _, rate in ipairs {8000, 11025, 44100, 48000, 192000} do
      local got = assert(ag.audio.resample(sine(1234, rate, 0.25), rate, 24000))
      local want = sine(1234, 24000, 0.25)
      assert.equal(#want, #got)
      -- The ends see silence beyond them.
      local middle = compare.distance(want:narrow(1, 1501, 3000):contiguous(),
        got:narrow(1, 1501, 3000):contiguous())
      assert.is_true(middle < 1e-4, ('%d: %g'):format(rate, middle))
    end
  end)

  it('lets no tone through that the new rate cannot hold', function()
    for _, hz in ipairs {12500, 15000, 20000} do
      local got = assert(ag.audio.resample(sine(hz, 48000, 0.25), 48000, 24000))
      local x = got:narrow(1, 1501, 3000):host()
      for i = 0, 2999 do assert.is_true(math.abs(x[i]) < 1e-4) end
    end
  end)

  it('gives ceil(n * to / from) samples, from none to odd counts', function()
    for _, n in ipairs {0, 1, 2, 7, 999, 8193} do
      for _, rates in ipairs {{8000, 24000}, {44100, 24000}, {24000, 44100}, {192000, 24000}} do
        local got = assert(ag.audio.resample(ag.zeros(be, {n}), rates[1], rates[2]))
        assert.equal(math.ceil(n * rates[2] / rates[1]), #got)
      end
    end
  end)

  it('gives the same whatever the pieces that samples come in, and passes equal rates by',
    function()
    local x = sine(500, 44100, 0.5)
    local ptr, n = x:host()
    local whole = assert(ag.audio.resample(x, 44100, 24000))
    for _, size in ipairs {1000, 4097, 20000} do
      local r = assert(resample.new(44100, 24000))
      for first = 0, n - 1, size do r:push(ptr + first, math.min(size, n - first)) end
      local out, m = r:finish()
      assert.equal(#whole, m)
      assert.equal(ffi.string((whole:host()), 4 * m), ffi.string(out, 4 * m))
    end
    assert.is_true(compare.same_bits(x, assert(ag.audio.resample(x, 24000, 24000))))
  end)

  it('refuses rates and samples that are none', function()
    assert.error_matches(function() ag.audio.resample(ag.zeros(be, {2, 2}), 1, 2) end,
      'expected a tensor')
    assert.error_matches(function() resample.new(0, 24000) end, 'resample: from')
  end)
end)
