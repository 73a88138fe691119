-- Things that are used again: each has one user at a time.

local Pool = require 'argent.pool'

describe('a pool', function()
  local made, pool

  before_each(function()
    made = 0
    pool = Pool.new(function()
      made = made + 1
      return {made}
    end)
  end)

  it('hands out again what was given back, and makes more while all are in use', function()
    local a, give_a = pool:take()
    local b, give_b = pool:take()
    assert.not_equal(a, b)
    give_a()
    local c, give_c = pool:take()
    assert.equal(a, c)
    assert.equal(2, made)
    give_b(); give_c()
  end)

  it('has a thing once, however often it was given back', function()
    local a, give = pool:take()
    give(); give()
    local b, give_b = pool:take()
    local c, give_c = pool:take()
    assert.equal(a, b)
    assert.not_equal(b, c)
    -- The first user's lease says nothing any more, though the thing is in use again.
    give()
    local d, give_d = pool:take()
    assert.not_equal(b, d)
    assert.not_equal(c, d)
    give_b(); give_c(); give_d()
  end)

  it('finds what was forgotten, which is then there once, given back before or not', function()
    local function forget(before)
      local thing, give = pool:take()
      if before then give() end
      return thing
    end
    for _, before in ipairs {false, true} do
      local forgotten = forget(before)
      collectgarbage()
      collectgarbage()
      local a, give_a = pool:take()
      local b, give_b = pool:take()
      assert.equal(forgotten, a)
      assert.not_equal(a, b)
      give_b(); give_a()
    end
  end)
end)
