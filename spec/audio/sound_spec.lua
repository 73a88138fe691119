-- Sounds as scripts hold them: written whole, at their rate, or refused.

local ag = require 'argent'
local sound = require 'argent.audio.sound'
local support = require 'support.sound'

describe('a sound', function()
  local be = assert(ag.backend('cpu', {threads = 1}))
  local path = os.tmpname()
  local wav = path .. '.wav'

  teardown(function()
    os.remove(path)
    os.remove(wav)
  end)

  it('is saved at its rate, from a tensor or a list', function()
    local values = {0, 0.5, -0.5, 1, -1, 2}
    for _, samples in ipairs {values, ag.tensor(be, values)} do
      assert(ag.audio.write(wav, samples, {rate = 8000, bits = 'float'}))
      local read = support.read(wav)
      assert.equal(8000, read.rate)
      assert.equal(#values, read.frames)
      for i, v in ipairs(values) do assert.equal(v, read.samples[i - 1]) end
    end
    local s = sound.new {samples = ag.tensor(be, values), rate = 12000}
    assert.equal(0.0005, s:seconds())
    assert(s:save(wav, {bits = '24'}))
    assert.equal(12000, support.read(wav).rate)
    assert.equal('sound: 0.00 s at 12000 Hz', tostring(s))
  end)

  it('is joined of others, with pauses', function()
    local a, b = ag.tensor(be, {1, 2}), sound.new {samples = ag.tensor(be, {3}), rate = 4}
    local joined = ag.audio.join({a, b, a}, {pause = 0.5})
    assert.same({1, 2, 0, 0, 3, 0, 0, 1, 2}, joined.samples:totable())
    assert.equal(4, joined.rate)
    assert.same({1, 2, 1, 2}, ag.audio.join({a, a}).samples:totable())
    assert.error_matches(function() ag.audio.join({b, {samples = a, rate = 5}}) end,
      'sounds%[2%] has 5 samples a second, not 4')
    assert.error_matches(function() ag.audio.join {} end, 'join: no sounds')
    assert.error_matches(function() ag.audio.join {3} end, 'sounds%[1%]: expected a sound')
  end)

  it('is refused when it cannot be one, and leaves no file', function()
    os.remove(wav)
    local ok, err, code = ag.audio.write(path .. '.xyz', {0})
    assert.is_nil(ok)
    assert.matches("unknown sound format '.xyz'", err)
    assert.equal('usage', code)
    local nan = ag.tensor(be, {0, 1})
    nan = nan * (1 / 0) -- 0 * inf is NaN
    ok, err, code = ag.audio.write(wav, nan)
    assert.is_nil(ok)
    assert.matches('sample 0 is not a number', err)
    assert.equal('internal', code)
    assert.is_nil(io.open(wav))
    assert.error_matches(function() ag.audio.write(wav, ag.zeros(be, {2, 2})) end,
      'write: samples: expected %[n%], got tensor %[2, 2%]')
    assert.error_matches(function() ag.audio.write(wav, {'a'}) end, 'samples: expected a number')
    assert.error_matches(function() ag.audio.write(wav, {0}, {bit = 16}) end, 'unknown option')
  end)
end)
