-- A table of vectors and the head that is tied to it.

local Embedding = require 'argent.nn.embedding'
local ag = require 'argent'
local weights = require 'argent.weights'

describe('an embedding', function()
  local be, path, table_of
  local VALUES = {{1, 2}, {3, 4}, {5, 6}}

  setup(function()
    be = assert(ag.backend 'cpu')
    path = os.tmpname()
    assert(ag.save(path, {['embed.weight'] = ag.tensor(be, VALUES, 'bf16')}))
    local w = assert(weights.open(path, {backend = be}))
    table_of = assert(weights.build(function() return Embedding.load(w:scope 'embed.', 3, 2) end))
  end)
  teardown(function() os.remove(path) end)

  it('gives the vectors of ids, or adds them', function()
    local out = ag.zeros(be, {2, 2})
    table_of:forward(out, ag.tensor(be, {2, 0}, 'i32'))
    assert.same({{5, 6}, {1, 2}}, out:totable())
    table_of:add(out, ag.tensor(be, {1, 0}, 'i32'))
    assert.same({{8, 10}, {2, 4}}, out:totable())
  end)

  it('is stored as the file has it, and its head in the dtype that is asked for', function()
    assert.equal('bf16', table_of.weight.dtype)
    for _, dtype in ipairs {'bf16', 'f32'} do
      local head = assert(weights.build(function() return table_of:head(dtype) end))
      assert.equal(dtype, head.weight.dtype)
      local out = ag.zeros(be, {1, 3})
      head:forward(out, ag.tensor(be, {{10, 1}}))
      assert.same({{12, 34, 56}}, out:totable())
    end
  end)

  it('of another shape than the file\'s is refused by name', function()
    local w = assert(weights.open(path, {backend = be}))
    local t, err, code = weights.build(function() return Embedding.load(w:scope 'embed.', 4, 2) end)
    assert.same({nil, path .. ': embed.weight: shape [3, 2], expected [4, 2]', 'format'},
      {t, err, code})
  end)
end)
