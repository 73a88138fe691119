-- Values as a person sees them.

local ag = require 'argent'
local show = ag.show

describe('show', function()
  local be = assert(ag.backend('cpu', {threads = 1}))

  it('quotes text, bounds it, and keeps it on one line', function()
    assert.equal('"a\\nb"', show 'a\nb')
    assert.equal('"\\0"', show '\0')
    assert.is_true(#show(('x'):rep(1000)) < 220)
  end)

  it('shows tables sorted, to a small depth, with cycles named', function()
    assert.equal('{}', show {})
    assert.equal('{1, 2, a = 3, b = {}}', show {1, 2, b = {}, a = 3})
    assert.equal('{a = {b = {...}}}', show {a = {b = {c = {d = 1}}}})
    local t = {}
    t.self = t
    assert.equal('{self = (shown above)}', show(t))
    assert.equal('{["odd key"] = 1}', show {['odd key'] = 1})
    local many = {}
    for i = 1, 100 do many[i] = i end
    assert.matches('%.%.%. 76 more', show(many))
    assert.matches('^{\n  a = "x+",\n  b = "y+"\n}$', show {a = ('x'):rep(60), b = ('y'):rep(60)})
  end)

  it('shows numbers short, functions by their place, and objects by their own words', function()
    assert.equal('1, 0.3333, 1e+20, nan, inf, -inf', table.concat({show(1), show(1 / 3), show(1e20),
      show(0 / 0), show(math.huge), show(-math.huge)}, ', '))
    assert.matches('^function %(.*show_spec.lua:%d+%)$', show(function() end))
    assert.equal('function (C)', show(print))
    assert.equal('me', show(setmetatable({}, {__tostring = function() return 'me' end})))
    assert.matches('^backend cpu', show(be))
  end)

  it('shows the statistics and the edges of a tensor', function()
    assert.equal('tensor [2, 2] f32 on cpu, min 1, max 4, mean 2.5\n[[1 2]\n [3 4]]',
      show(ag.tensor(be, {{1, 2}, {3, 4}})))
    assert.equal('tensor [8] i32 on cpu, min 1, max 8, mean 4.5\n[1 2 3 ... 6 7 8]',
      show(ag.tensor(be, {1, 2, 3, 4, 5, 6, 7, 8}, 'i32')))
    assert.equal('tensor [0] f32 on cpu\n[]', show(ag.zeros(be, {0})))
    assert.equal('tensor [2, 2] f32 on cpu, min 1, max 4, mean 2.5\n[[1 3]\n [2 4]]',
      show(ag.tensor(be, {{1, 2}, {3, 4}}):transpose(1, 2)))
    local gone = ag.zeros(be, {2})
    gone:release()
    assert.equal('tensor (released)', show(gone))
    assert.matches('%[1, 1, 2%] bf16', show(ag.tensor(be, {{{1, 2}}}, 'bf16')))
  end)
end)
