-- Layers made of tensors of a script's own: they give what the ops give, see what is written into
-- the tensors, and refuse what does not fit. Whole networks made so are in GUIDE.md.

local ag = require 'argent'
local kernels = require 'support.kernels'
local nn, ops = ag.nn, ag.ops

local be = assert(ag.backend('cpu', {threads = 2}))
local next = kernels.random(5)

local function random(...) return kernels.tensor(be, {...}, next) end

describe('a layer of tensors of ones own', function()
  local x, w, b = random(4, 7), random(3, 7), random(3)

  it('computes: Linear, Norm, Embedding', function()
    local out, want = ag.zeros(be, {4, 3}), ag.zeros(be, {4, 3})
    nn.Linear.new {weight = w, bias = b}:forward(out, x)
    ops.linear(want, x, w, b)
    assert.same_bits(want, out)
    nn.Linear.new {weight = w:to 'bf16'}:forward(out, x)
    ops.linear(want, x, w:to 'bf16')
    assert.same_bits(want, out)
    local g, shift = random(7), random(7)
    local n, m = ag.zeros(be, {4, 7}), ag.zeros(be, {4, 7})
    nn.Norm.new {weight = g, eps = 1e-5}:forward(n, x)
    ops.rms_norm(m, x, g, 1e-5)
    assert.same_bits(m, n)
    nn.Norm.new {weight = g, bias = shift}:forward(n, x)
    ops.layer_norm(m, x, g, shift, 1e-6)
    assert.same_bits(m, n)
    local words = nn.Embedding.new {weight = w}
    local rows = ag.zeros(be, {2, 7})
    words:forward(rows, ag.tensor(be, {2, 0}, 'i32'))
    assert.same_bits(ag.stack {w[3], w[1]}, rows)
    words:head 'f32':forward(out, x)
    ops.linear(want, x, w)
    assert.same_bits(want, out)
  end)

  it('sees what is written into them', function()
    local mine, out = w:clone(), ag.zeros(be, {4, 3})
    local layer = nn.Linear.new {weight = mine}
    assert.is_true(layer.weight == mine)
    assert.same({3, 7}, {layer.outs, layer.ins})
    mine:fill(0)
    layer:forward(out, x)
    assert.equal(0, out:abs():sum())
  end)

  it('loads by name: a table, or a function that makes what is asked for', function()
    local asked = {}
    local cfg = {hidden_size = 7, intermediate_size = 5}
    local made = nn.scope(be, function(name, shape)
      asked[#asked + 1] = name
      return random(unpack(shape))
    end)
    nn.Mlp.load(made:scope 'mlp.', cfg, 'bf16')
    assert.same({'mlp.gate_proj.weight', 'mlp.up_proj.weight', 'mlp.down_proj.weight'}, asked)
    local of = nn.scope(be, {['a.weight'] = w, ['a.bias'] = b})
    local out, want = ag.zeros(be, {4, 3}), ag.zeros(be, {4, 3})
    nn.Linear.load(of:scope 'a.', 3, 7, 'f32'):forward(out, x)
    ops.linear(want, x, w, b)
    assert.same_bits(want, out)
    assert.is_true(of:has 'a.bias' and not of:scope('a.'):has 'scale')
  end)

  it('refuses what does not fit', function()
    kernels.refuses('Linear.new: weight: expected a tensor, got nil', function()
      local l = nn.Linear.new {}
      return l
    end)
    kernels.refuses("Linear.new: unknown option string 'weights' (known: weight, bias)", function()
      local l = nn.Linear.new {weights = w}
      return l
    end)
    kernels.refuses('Linear.new: bias [7] for a weight of [3, 7]', function()
      local l = nn.Linear.new {weight = w, bias = random(7)}
      return l
    end)
    kernels.refuses('Linear.new: dimensions of the weight: expected an integer from 2 to 2, got 1',
      function() local l = nn.Linear.new {weight = b} return l end)
    kernels.refuses('Norm.new: weight: expected a tensor, got nil', function()
      local l = nn.Norm.new {bias = b}
      return l
    end)
    local of = nn.scope(be, {weight = w})
    for message, fn in pairs {
      ['weight: shape [3, 7], expected [4, 7]'] = function() nn.Linear.load(of, 4, 7, 'f32') end,
      ['bias: missing'] = function() nn.Linear.load(of, 3, 7, 'f32', 'required') end,
      ['weight: expected a tensor, got 1'] = function()
        nn.Linear.load(nn.scope(be, function() return 1 end), 3, 7, 'f32')
      end,
    } do
      local ok, err = pcall(fn)
      assert.same({false, message}, {ok, err})
    end
  end)
end)
