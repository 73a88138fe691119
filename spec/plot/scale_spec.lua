local scale = require 'argent.plot.scale'

local function texts(ticks)
  local list = {}
  for i, t in ipairs(ticks) do list[i] = t.text end
  return table.concat(list, ' ')
end

local function places(ticks)
  local list = {}
  for i, t in ipairs(ticks) do list[i] = ('%.3f'):format(t.at) end
  return table.concat(list, ' ')
end

describe('an axis', function()
  it('has labels at 1, 2 or 5 times a power of ten', function()
    assert.equal('0.0 0.2 0.4 0.6 0.8 1.0', texts(scale.linear(0, 1).ticks(5)))
    assert.equal('0 5 10 15', texts(scale.linear(0, 17).ticks(4)))
    assert.equal('-0.10 -0.05 0.00 0.05 0.10', texts(scale.linear(-0.1, 0.1).ticks(4)))
    assert.equal('1000 1100 1200', texts(scale.linear(960, 1240).ticks(3)))
    assert.equal('0 2e-07 4e-07', texts(scale.linear(0, 4e-7).ticks(2)))
    assert.equal('0.000 0.294 0.588 0.882', places(scale.linear(0, 17).ticks(4)))
  end)

  it('tells its labels apart however far from 0 they are', function()
    assert.equal('1000000.10 1000000.15 1000000.20',
      texts(scale.linear(1000000.1, 1000000.2).ticks(2)))
    assert.equal('12345670 12345680', texts(scale.linear(12345670, 12345680).ticks(1)))
    assert.equal('1.0000000 1.0000005 1.0000010', texts(scale.linear(1, 1.000001).ticks(2)))
    assert.equal('-2000000.5 -2000000.0 -1999999.5',
      texts(scale.linear(-2000000.5, -1999999.5).ticks(2)))
    assert.equal('0 1e+06 2e+06', texts(scale.linear(0, 2e6).ticks(2)))
    for _, offset in ipairs {0, 1, 1e3, 1e6, 1e9, -1e6} do
      for e = -6, 6 do
        local seen = {}
        for _, t in ipairs(scale.linear(offset, offset + 10 ^ e).ticks(5)) do
          assert.is_nil(seen[t.text], t.text)
          seen[t.text] = true
        end
      end
    end
  end)

  it('of whole numbers has no labels between them', function()
    assert.equal('0 1 2', texts(scale.linear(0, 2, {integer = true}).ticks(10)))
  end)

  it('ends at round numbers around its data, and has a length when all are the same', function()
    assert.same({-0.5, 1}, {scale.widen(-0.41, 0.97)})
    assert.same({0, 0.4}, {scale.widen(0, 0.36)})
    assert.same({-1, 1}, {scale.widen(0, 0)})
    local lo, hi = scale.widen(5, 5)
    assert.is_true(lo < 5 and hi > 5)
  end)

  it('counts decades when it is logarithmic, and skips some rather than crowding them', function()
    local s = scale.log(0.003, 1)
    assert.equal('0.001 0.01 0.1 1', texts(s.ticks(10)))
    assert.equal('0.000 0.333 0.667 1.000', places(s.ticks(10)))
    assert.equal(1 / 3, s.at(0.01))
    assert.equal('1e-6 1e-4 0.01 1', texts(scale.log(1e-6, 1).ticks(3)))
    assert.equal('0.1 1', texts(scale.log(1, 1).ticks(3)))
  end)

  it('of cells has its labels at their middles', function()
    local s = scale.cells(4, 10)
    assert.equal('10 11 12 13', texts(s.ticks(9)))
    assert.equal('0.125 0.375 0.625 0.875', places(s.ticks(9)))
    assert.equal('0 50 100', texts(scale.cells(120).ticks(3)))
  end)
end)
