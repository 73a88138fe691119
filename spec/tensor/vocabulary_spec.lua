-- What scripts rely on beyond the values (golden_spec): what shares memory, empty tensors, plans,
-- seeds, dtypes, and what is refused with which words, at the caller's line.

local ag = require 'argent'
require 'support.near'

local be = assert(ag.backend('cpu', {threads = 2}))

-- Calls fn and returns the error without its position; asserts that the position is in this file.
local function misuse(fn)
  local ok, err = pcall(fn)
  assert.is_false(ok)
  return assert(tostring(err):match('^[^\n]*vocabulary_spec%.lua:%d+: (.*)$'), tostring(err))
end

describe('a view', function()
  local x

  before_each(function() x = ag.arange(be, 1, 7):view(2, 3) end)

  it('shares memory, whatever made it', function()
    for _, view in ipairs {
      x[2], x[{2}], x[{ {}, {1, 2} }], x:permute(2, 1), x:t(),
      x:unsqueeze(2), x:unsqueeze(1):squeeze(1),
      x:split(1)[2], x:chunk(3, 2)[1],
    } do
      view:fill(9)
      local count = x:eq(9):sum()
      assert.equal(view:numel(), count)
      x:set {1, 2, 3, 4, 5, 6}
    end
  end)

  it('is assigned through, by numbers and by tensors', function()
    x[{ {}, {2, 3} }] = 0
    assert.near({{1, 0, 0}, {4, 0, 0}}, x)
    x[{2, {1, 2}}] = ag.tensor(be, {7, 8})
    assert.near({{1, 0, 0}, {7, 8, 0}}, x)
    x[{1, -1}] = 5
    x[-1] = x[1]
    assert.near({{1, 0, 5}, {1, 0, 5}}, x)
  end)

  it('that is stretched is read, and not written', function()
    local row = ag.tensor(be, {{1, 2, 3}})
    local tall = row:expand(4, 3)
    row:fill(2)
    assert.equal(24, tall:sum())
    assert.equal('fill: out holds an element more than once', misuse(function() tall:fill(1) end))
  end)

  it('refuses indices that are not there', function()
    assert.equal('index: expected an integer from 1 to 3, got 4',
      misuse(function() return x[{1, 4}] end))
    assert.equal('index: expected an integer from 1 to 2, got -3',
      misuse(function() return x[-3] end))
    assert.equal('range: {3, 2} ends before it begins',
      misuse(function() return x[{ {}, {3, 2} }] end))
    assert.equal('brackets: entries: expected an integer from 1 to 2, got 3',
      misuse(function() return x[{1, 1, 1}] end))
    assert.equal('range: numbers: expected an integer from 0 to 2, got 3',
      misuse(function() return x[{ {1, 2, 3} }] end))
    assert.equal('x[mask]: brackets take indices; use ag.where(mask, a, b) or '
      .. 'x:masked_fill(mask, v)', misuse(function() return x[x:gt(2)] end))
    assert.equal("x[{...}]: expected a tensor or a number, got string 'a'",
      misuse(function() x[{1, 1}] = 'a' end))
    assert.equal('copy: out [3] and x [2]: the shapes differ',
      misuse(function() x[1] = ag.zeros(be, {2}) end))
    assert.near({{1, 4}, {2, 5}, {3, 6}}, x:t())
    assert.equal('t: [3] is no matrix: x:transpose(a, b) exchanges two of its dimensions',
      misuse(function() local y = x[1]:t() return y end))
    assert.equal('permute: dimension 1 is there twice',
      misuse(function() local y = x:permute(1, 1) return y end))
    assert.equal('expand: dimension 1 of [2, 3] is 2, which cannot become 4',
      misuse(function() local y = x:expand(4, 3) return y end))
  end)
end)

describe('computing', function()
  local x = ag.arange(be, 1, 7):view(2, 3)

  it('leaves its operands as they were', function()
    local before = x:clone()
    local _ = {x:exp(), x:softmax(), x:sort(), x:cumsum(), x + 1, x:clamp(2, 3), x:pow(2),
      x:masked_fill(x:gt(2), 0), x:topk(2), x:tile(1, 1), ag.cat {x}, x:contiguous():float()}
    assert.same_bits(before, x)
  end)

  it('goes on with nothing', function()
    local none = ag.zeros(be, {0, 3})
    assert.equal(0, none:sum())
    assert.near({{0, 0, 0}}, none:sum(1))
    assert.is_true(none:mean() ~= none:mean())
    assert.same({0, 3}, (none + ag.zeros(be, {3})):size())
    assert.same({0, 3}, none:softmax():size())
    assert.same({0, 2}, (none:topk(2)):size())
    assert.same({0, 3}, none:sort(1):size())
    assert.same({0, 4}, none:matmul(ag.zeros(be, {3, 4})):size())
    assert.near({{0, 0}, {0, 0}}, ag.zeros(be, {2, 0}):matmul(ag.zeros(be, {0, 2})))
    assert.same({2, 3}, ag.cat({none, x}, 1):size())
    assert.same({}, none:split(1))
    assert.same({0, 6}, none:tile(2, 2):size())
    assert.equal('max: dimension 1 of [0] has no elements',
      misuse(function() local y = none:max() return y end))
    assert.equal('argmax: dimension 1 of [0, 3] has no elements',
      misuse(function() local y = none:argmax(1) return y end))
  end)

  it('is recorded in a plan, which computes anew', function()
    local y, out = x:clone(), ag.zeros(be, {2, 1})
    local plan = ag.capture(be, function()
      local z = ((y - y:mean(2)) ^ 2):sum(2):sqrt()
      out:copy(ag.where(y:max(2):gt(10), z, -1))
    end)
    plan:run()
    assert.near({{-1}, {-1}}, out)
    y:fill(20)
    y[{1, 1}] = 23
    plan:run()
    assert.near({{math.sqrt(6)}, {0}}, out, 1e-6)
    assert.equal('sum: there is no number while a plan is captured: sum(dim) gives a tensor',
      misuse(function() ag.capture(be, function() local s = y:sum() return s end) end))
  end)

  it('takes other dtypes as f32 when they are made that', function()
    local ids = ag.tensor(be, {3, 1, 2}, 'i32')
    assert.near({1.5, 0.5, 1}, ids:float() / 2)
    assert.equal("sum: the tensor is i32; use x:float()",
      misuse(function() local s = ids:sum() return s end))
    assert.equal("exp: the tensor is bf16; use x:to 'f32'",
      misuse(function() local y = x:to('bf16'):exp() return y end))
    assert.near(x, x:to('bf16'):float())
    assert.near({{3, 1, 2}, {3, 1, 2}}, ag.stack {ids, ids})
    assert.near({1, 3}, ids[{ {2, 3} }] == nil or ids:index_select(1, {2, 1}))
  end)

  it('is refused at once where it would be far too large, or of too many parts', function()
    local _, err = pcall(x.tile, x, 2 ^ 40, 1)
    assert.equal('out of memory: 26388279066624 bytes', err.message)
    assert.same({2, 0}, ag.zeros(be, {2, 0}):tile(1, 2 ^ 53):size())
    assert.matches('^tile: size: expected an integer from 0 to 9007199254740992, got 1.8',
      misuse(function() local y = x:tile(2 ^ 53, 1) return y end))
    assert.equal('split: parts: expected an integer from 0 to 1048576, got 1099511627776',
      misuse(function() local y = x[{1, {1, 1}}]:expand(2 ^ 40):split(1) return y end))
  end)

  it('says what does not fit, at the line of the caller', function()
    local y = ag.zeros(be, {4})
    assert.equal("'+': [2, 3] and [4] do not fit: 3 and 4",
      misuse(function() local z = x + y return z end))
    assert.equal('gt: [2, 3] and [4] do not fit: 3 and 4',
      misuse(function() local z = x:gt(y) return z end))
    assert.equal('eq: expected a tensor or a number, got nil',
      misuse(function() local z = x:eq(nil) return z end))
    assert.equal('where: expected a mask, got nil',
      misuse(function() local z = ag.where(nil, x, y) return z end))
    assert.equal('sum: dim: expected an integer from 1 to 2, got 3',
      misuse(function() local z = x:sum(3) return z end))
    assert.equal('softmax: dim: expected an integer from 1 to 2, got 0',
      misuse(function() local z = x:softmax(0) return z end))
    assert.equal('topk: k: expected an integer from 0 to 3, got 4',
      misuse(function() local z = x:topk(4) return z end))
    assert.equal('norm: p: expected a number from 1 to inf, got 0',
      misuse(function() local z = x:norm(0) return z end))
    assert.equal("gather: the indices are f32, expected i32: ag.tensor(be, list, 'i32')",
      misuse(function() local z = x:gather(1, x) return z end))
    assert.equal('gather: id 3 (line 0) is not one of 1 to 2',
      misuse(function() local z = x:index_select(1, {3}) return z end))
    assert.equal('cat: item 2 is [4], which does not fit [2, 3] along dimension 2',
      misuse(function() local z = ag.cat {x, y} return z end))
    assert.equal('stack: the list is empty',
      misuse(function() local z = ag.stack {} return z end))
    assert.equal('matmul: [2, 3] and [2, 3]: 3 columns and 2 rows',
      misuse(function() local z = x:matmul(x) return z end))
    assert.equal('bmm: [2, 3] and [2, 3]: expected two batches of as many matrices; matmul takes '
      .. 'others', misuse(function() local z = x:bmm(x) return z end))
    assert.equal('dot: [2, 3] and [4]: expected two vectors of one length; matmul takes others',
      misuse(function() local z = x:dot(y) return z end))
    assert.equal('addmm: [4] and [2, 2] do not fit: 4 and 2',
      misuse(function() local z = y:addmm(x, x:transpose(1, 2)) return z end))
  end)
end)

describe('random numbers', function()
  it('follow from seed and stream, on every device', function()
    local card = assert(ag.backend 'cuda-emulated')
    for _, make in ipairs {ag.rand, ag.randn} do
      local a = make(be, {3, 50}, 7)
      assert.same_bits(a, make(be, {3, 50}, 7))
      assert.near(a, make(card, {3, 50}, 7), 1e-6)
      assert.is_true(a:ne(make(be, {3, 50}, 8)):sum() > 140)
      assert.is_true(a:ne(make(be, {3, 50}, 7, 1)):sum() > 140)
    end
  end)

  it('are distributed as they should be', function()
    local u, n = ag.rand(be, {40000}, 3), ag.randn(be, {40000}, 3)
    assert.is_true(u:min() >= 0 and u:max() < 1)
    assert.near({0.5, 1 / 12, 0, 1}, {u:mean(), u:var(), n:mean(), n:var()}, 0.02)
    -- The share within one and within two deviations.
    assert.near({0.6827, 0.9545}, {n:abs():lt(1):mean(), n:abs():lt(2):mean()}, 0.01)
    -- Neighbours, of which two come from one draw, do not follow from each other.
    assert.near(0, (n[{ {1, -2} }] * n[{ {2, -1} }]):mean(), 0.02)
  end)

  it('come from the clock without a seed', function()
    assert.is_true(ag.rand(be, {8}):ne(ag.rand(be, {8})):sum() > 0)
    assert.equal('seed: expected an integer from 0 to 9007199254740992, got -1',
      misuse(function() local t = ag.rand(be, {8}, -1) return t end))
  end)
end)

it('arange and linspace refuse what never ends', function()
  assert.equal('arange: a step of 0 never ends',
    misuse(function() local t = ag.arange(be, 1, 2, 0) return t end))
  assert.near({0, 1, 2}, ag.arange(be, 3))
  assert.same({0}, ag.arange(be, 3, 1):size())
  assert.near({4}, ag.linspace(be, 4, 9, 1))
  assert.equal('i32', ag.arange(be, 0, 4, 2, 'i32').dtype)
end)
