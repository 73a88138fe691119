-- The mel spectrogram against the official one and against a transform done the slow way.

local ag = require 'argent'
local compare = require 'support.compare'
local golden = require 'support.golden'
local mel = require 'argent.audio.mel'
local lfs = require 'lfs'

describe('the mel spectrogram', function()
  local be = assert(ag.backend('cpu', {threads = 1}))

  it('is the official one, at lengths around a frame and at any other', function()
    local count = 0
    for _, model in ipairs(golden.models()) do
      for name in lfs.dir(model.dir) do
        local n = tonumber(name:match '^analysis_(%d+)%.safetensors$')
        if n then
          local all = assert(ag.audio.read(model.dir .. '/reference.wav', {backend = be}))
          local expected = assert(ag.load(model.dir .. '/' .. name, {backend = be})).mel
          local got = assert(ag.audio.mel(all:narrow(1, 1, n):contiguous()))
          assert.same(expected.shape, got.shape)
          assert.is_true(compare.distance(expected, got) <= 1e-4)
          count = count + 1
        end
      end
    end
    assert.is_true(count >= 4)
  end)

  it('shows a sine in the band of its frequency, as loud as it is', function()
    for _, hz in ipairs {300, 1000, 4321, 9000} do
      local t = {}
      for i = 1, 6000 do t[i] = 0.5 * math.sin(2 * math.pi * hz * (i - 1) / 24000) end
      local row = assert(ag.audio.mel(ag.tensor(be, t))):totable()[12]
      local best = 1
      for b = 2, 128 do if row[b] > row[best] then best = b end end
      local band = mel.from_hz(hz) / mel.from_hz(12000) * 129
      assert.is_true(math.abs(best - band) <= 1, hz)
      -- A Hann window's line is 0.5 * 512 * amplitude / 2 high; a band takes a share of it by area.
      assert.is_true(row[best] > math.log(0.5 * 1024 / 4 * 2 / 2000) - 3)
    end
  end)

  it('goes from Hz to mel and back', function()
    for _, hz in ipairs {0, 60, 999, 1000, 1001, 6400, 12000} do
      assert.is_true(math.abs(mel.to_hz(mel.from_hz(hz)) - hz) < 1e-9 * (hz + 1))
    end
    assert.equal(15, mel.from_hz(1000))
    assert.is_true(math.abs(mel.from_hz(6400) - 42) < 1e-12)
  end)

  it('refuses what is too short or no sound', function()
    local ok, err, code = ag.audio.mel(ag.zeros(be, {384}))
    assert.is_nil(ok)
    assert.equal('the sound is too short: 384 samples, 385 are needed', err)
    assert.equal('value', code)
    assert.same({1, 128}, assert(ag.audio.mel(ag.zeros(be, {385}))).shape)
    assert.error_matches(function() ag.audio.mel(ag.zeros(be, {2, 500})) end,
      'expected samples f32')
    assert.error_matches(function() ag.audio.mel {0} end, 'spectrogram: samples: expected a tensor')
  end)
end)
