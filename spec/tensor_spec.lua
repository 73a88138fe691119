-- Tensors, backends and plans as a script meets them.

local ag = require 'argent'
local lib = require 'argent.ffi'
local ffi = require 'ffi'
local dtypes = require 'argent.dtype'
local tensor = require 'argent.tensor'

local be = assert(ag.backend('cpu', {threads = 2}))

-- Calls fn and returns the error without its position; asserts that the position is in this file.
local function misuse(fn)
  local ok, err = pcall(fn)
  assert.is_false(ok)
  local message = tostring(err):match('^[^\n]*tensor_spec%.lua:%d+: (.*)$')
  return assert(message, tostring(err))
end

describe('a tensor', function()
  local x

  before_each(function() x = ag.tensor(be, {{1, 2, 3}, {4, 5, 6}}) end)

  it('tells its shape, dtype, backend and length', function()
    assert.same({2, 3}, x.shape)
    assert.equal('f32', x.dtype)
    assert.is_true(x.backend == be)
    assert.equal(2, #x)
    assert.equal('tensor [2, 3] f32 on cpu', tostring(x))
    assert.equal(0, #ag.zeros(be, {}))
  end)

  it('is cut, turned and reshaped without copying', function()
    assert.same({{2, 3}, {5, 6}}, x:narrow(2, 2, 2):totable())
    assert.same({4, 5, 6}, x:select(1, 2):totable())
    assert.same({2, 5}, x:select(2, 2):totable())
    assert.same({{1, 4}, {2, 5}, {3, 6}}, x:transpose(1, 2):totable())
    assert.same({{1, 2}, {3, 4}, {5, 6}}, x:view(3, -1):totable())
    assert.same({1, 2, 3, 4, 5, 6}, x:view(6):totable())
    x:select(1, 1):fill(9)
    assert.same({{9, 9, 9}, {4, 5, 6}}, x:totable())
    assert.equal(5, x:select(1, 2):select(1, 2):item())
  end)

  it('becomes contiguous and changes dtype by copying', function()
    local t = x:transpose(1, 2)
    assert.is_false(t.contiguous_p)
    assert.is_true(t:contiguous().contiguous_p)
    assert.is_true(x:contiguous() == x)
    assert.same({{1, 2, 3}, {4, 5, 6}}, x:to('bf16'):to('f16'):to('f32'):totable())
    assert.same({{1, -2}}, ag.tensor(be, {{1, -2}}, 'i32'):totable())
  end)

  it('computes with tensors and numbers', function()
    assert.same({{3, 5, 7}, {9, 11, 13}}, (x * 2 + 1):totable())
    assert.same({{0, 0, 0}, {0, 0, 0}}, (x - x):totable())
    assert.same({{-1, -2, -3}, {-4, -5, -6}}, (-x):totable())
    assert.same({{1, 4, 9}, {16, 25, 36}}, (x * x):totable())
    assert.same({{0.5, 1, 1.5}, {2, 2.5, 3}}, (x / 2):totable())
    assert.same({{9, 8, 7}, {6, 5, 4}}, (10 - x):totable())
  end)

  it('gives its parts and numbers in brackets, and takes them', function()
    assert.same({4, 5, 6}, x[2]:totable())
    assert.equal(6, x[2][3])
    assert.equal(2, ag.tensor(be, {7, 2}, 'i32')[2])
    assert.equal(0.5, ag.tensor(be, {0.25, 0.5}, 'bf16')[2])
    x[1][2] = 9
    assert.same({{1, 9, 3}, {4, 5, 6}}, x:totable())
    x[2] = x[1]
    assert.same({{1, 9, 3}, {1, 9, 3}}, x:totable())
    x[1] = 0
    assert.same({{0, 0, 0}, {1, 9, 3}}, x:totable())
  end)

  it('is raised to whole numbers', function()
    assert.same((x * x):totable(), (x ^ 2):totable())
    assert.same({{1, 32, 243}, {1024, 3125, 7776}}, (x ^ 5):totable())
    assert.same({{1, 1, 1}, {1, 1, 1}}, (x ^ 0):totable())
    assert.same({{1, 2, 3}, {4, 5, 6}}, x:totable())
  end)

  it('is the same tensor only as itself', function()
    local y = x
    assert.is_true(x == y)
    assert.is_false(x == x:clone())
    assert.is_false(x == nil or x == 1 or x == 'x')
  end)

  it('takes part in sums with numbers as a view, too', function()
    local v = ag.tensor(be, {{1, 2, 3}, {4, 5, 6}}):transpose(1, 2)
    assert.same({{3, 9}, {5, 11}, {7, 13}}, (v * 2 + 1):totable())
    assert.same({{0, -3}, {-1, -4}, {-2, -5}}, (1 - v):totable())
    assert.same({{-1, -4}, {-2, -5}, {-3, -6}}, (-v):totable())
    assert.same({{1, 16}, {4, 25}, {9, 36}}, (v ^ 2):totable())
  end)

  it('says what to use for operators that it does not have, at the line of the caller', function()
    local y = ag.zeros(be, {2, 3})
    local order = 'tensors have no order: x:lt(y), le, gt, ge, eq and ne make masks; '
      .. 'x:item() < 1 compares numbers'
    for _, fn in ipairs {
      function() return x < y end, function() return x <= y end, function() return x > 1 end,
    } do
      assert.equal(order, misuse(fn))
    end
    local text = 'a tensor is not text: use tostring(x), or ag.show(x) for its numbers'
    assert.equal(text, misuse(function() return x .. '' end))
    assert.equal(text, misuse(function() return 'x: ' .. x end))
    assert.equal("'+' takes tensors and numbers, got nil", misuse(function() return x + nil end))
    assert.equal("'-' takes tensors and numbers, got table", misuse(function() return {} - x end))
    assert.equal("'*' takes tensors and numbers, got string 'a'",
      misuse(function() return 'a' * x end))
    assert.equal("'/' takes tensors and numbers, got nil", misuse(function() return x / nil end))
    assert.equal("tensors have no '%': compute with the numbers of x:totable()",
      misuse(function() return x % 2 end))
    assert.equal("'^' takes tensors and numbers, got string 'a'",
      misuse(function() return x ^ 'a' end))
    assert.equal('index: expected an integer from 1 to 2, got 3',
      misuse(function() return x[3] end))
    assert.equal('index: expected an integer from 1 to 2, got 0',
      misuse(function() x[0] = 1 end))
    assert.equal('x[1]: expected a tensor or a number, got nil',
      misuse(function() x[1] = nil end))
    assert.equal("x.shape: a tensor's fields cannot be set",
      misuse(function() x.shape = {6} end))
    assert.equal('a tensor without dimensions has no index: x:item() is its number',
      misuse(function() return ag.zeros(be, {})[1] end))
    assert.matches("^a tensor has no 'dropout' %(it has abs, addmm, .*view%)$",
      misuse(function() return x:dropout() end))
    assert.equal("a tensor has no 'cmul': use x * y", misuse(function() return x:cmul(x) end))
    assert.equal("a tensor has no 'repeat': use x:tile(...)",
      misuse(function() return x['repeat'](x, 2) end))
    y:release()
    assert.equal("'+': the tensor has been released", misuse(function() return y + 1 end))
    assert.equal('the tensor has been released', misuse(function() return y[1] end))
  end)

  it('of size zero is legal', function()
    local z = ag.zeros(be, {3, 0, 2})
    assert.equal(0, z:count())
    assert.same({{}, {}, {}}, z:totable())
    assert.same({0, 2}, z:select(1, 2).shape)
    assert.same({}, (z + z):view(0):totable())
  end)

  it('refuses misuse at the line of the caller', function()
    assert.equal('narrow: first: expected an integer from 1 to 2, got 3',
      misuse(function() local y = x:narrow(2, 3, 2) return y end))
    assert.equal('select: index: expected an integer from 1 to 2, got 0',
      misuse(function() local y = x:select(1, 0) return y end))
    assert.equal('view: 6 elements, the shape holds 8', misuse(function() local y = x:view(2,
      4) return y end))
    assert.equal('view: the tensor is not contiguous; use contiguous()',
      misuse(function() local y = x:transpose(1, 2):view(6) return y end))
    assert.equal('item: the tensor has 6 elements',
      misuse(function() local y = x:item() return y end))
    assert.equal("a tensor has no 'shpae', did you mean shape?",
      misuse(function() local y = x.shpae return y end))
    assert.equal(("dtype: expected one of %s, got string 'f64'"):format(
      table.concat(dtypes.names, ', ')),
      misuse(function() local y = ag.zeros(be, {1}, 'f64') return y end))
    assert.equal('shape: expected an integer from 0 to 9007199254740992, got 1.5',
      misuse(function() local y = ag.zeros(be, {1.5}) return y end))
    assert.equal('values: rows of 2 and 1 elements', misuse(function() local y = ag.tensor(be, {{1,
      2}, {3}}) return y end))
    assert.truthy(misuse(function() local y = ag.zeros(be, {2 ^ 40,
      2 ^ 40}) return y end):find('overflows', 1, true))
  end)

  it('refuses strides that cannot be counted in bytes, even of a single index', function()
    local out = ffi.new 'ag_tensor *[1]'
    local shape, stride = ffi.new('int64_t[2]', 1, 3), ffi.new('int64_t[2]', 2LL ^ 61, 1)
    assert.equal(-1, lib.ag_tensor_view(out, x, 2, shape, stride, 0))
    assert.equal('view: strides overflow', ffi.string(lib.ag_last_error()))
    stride[0] = 2LL ^ 40
    assert.equal(0, lib.ag_tensor_view(out, x, 2, shape, stride, 0))
    lib.ag_tensor_free(out[0])
  end)

  it('says no to more memory than there is, and lives on', function()
    local ok, err = pcall(ag.zeros, be, {2 ^ 45})
    assert.is_false(ok)
    assert.truthy(tostring(err):find('out of memory', 1, true))
    assert.equal(1, x:select(1, 1):select(1, 1):item())
  end)

  it('gives its memory back when released, and is an empty shell from then on', function()
    collectgarbage()
    collectgarbage()
    local live = be.live_bytes
    local y = ag.zeros(be, {1000})
    assert.equal(live + 4000, be.live_bytes)
    y:release()
    assert.equal(live, be.live_bytes)
    assert.equal('tensor (released)', tostring(y))
    assert.equal('add: a has been released', misuse(function() ag.ops.add(x, y, x, 1) end))
    y:release()
  end)

  it('that is reserved grows row by row without moving, and is full at its shape', function()
    collectgarbage()
    collectgarbage()
    local live = be.live_bytes
    local r = tensor.reserve(be, {3, 1000, 16})
    assert.equal(live, be.live_bytes)
    assert(r:commit(2, 10))
    assert.equal(live + 640, be.live_bytes)
    local first = r:select(1, 2):narrow(1, 1, 10):fill(3)
    assert(r:commit(2, 500))
    assert.equal(live + 32000, be.live_bytes)
    assert.equal(3, first:select(1, 10):select(1, 16):item())
    assert.equal(0, r:select(1, 2):narrow(1, 500, 1):select(2, 1):item())
    local ok, err, code = r:commit(2, 1001)
    assert.is_nil(ok)
    assert.equal('commit: 1001 of at most 1000', err)
    assert.equal('capacity', code)
    for _, t in ipairs {r, r:select(1, 1), r:narrow(1, 2, 2), r:select(1, 2)} do
      ok, err = pcall(function() t:fill(1) end)
      assert.is_false(ok)
      assert.truthy(tostring(err):find('fill: out is not committed that far', 1, true))
    end
    for row = 1, 3 do assert(r:commit(row, 1000)) end
    r:narrow(1, 1, 2):fill(1)
    assert.equal(0, r:select(1, 3):select(1, 1):select(1, 1):item())
    assert.same({0, 4}, tensor.reserve(be, {0, 4}).shape)
    assert.same({4, 0}, tensor.reserve(be, {4, 0}).shape)
    r:decommit(2)
    assert.equal(live + 2 * 64000, be.live_bytes)
    assert.error_matches(function() first:fill(1) end, 'fill: out is not committed that far')
    assert.equal(1, r:select(1, 1):select(1, 1000):select(1, 16):item())
    assert(r:commit(2, 10))
    assert.equal(0, first:select(1, 10):select(1, 16):item())
    assert.error_matches(function() r:decommit(4) end, 'decommit: row 3 of 3')
    assert.error_matches(function() r:select(1, 1):decommit(1) end,
      'decommit: not a reserved tensor')
    assert.error_matches(function() r:commit(4, 1) end, 'commit: row 3 of 3')
    assert.error_matches(function() r:transpose(1, 2):commit(1, 1) end,
      'commit: not a reserved tensor')
  end)
end)

describe("the library's tables", function()
  it('have no other names than their own, and know which was meant', function()
    assert.matches("^ag.ops has no 'dropout' %(it has add, .*where%)$",
      misuse(function() return ag.ops.dropout(1) end))
    assert.equal("ag.ops has no 'sigmod', did you mean sigmoid?",
      misuse(function() return ag.ops.sigmod end))
    assert.equal("ag has no 'zeroes', did you mean zeros?",
      misuse(function() return ag.zeroes(be) end))
    assert.equal("ag has no 'quen3_tts', did you mean qwen3_tts?", -- though not loaded yet
      misuse(function() return ag.quen3_tts end))
    assert.equal("ag.plot has no 'lines', did you mean line?",
      misuse(function() return ag.plot.lines end))
    assert.equal("ag.audio has no 'wirte', did you mean write?",
      misuse(function() return ag.audio.wirte end))
    assert.equal("ag.nn has no 'Liner', did you mean Linear?",
      misuse(function() return ag.nn.Liner end))
  end)
end)

describe('a backend', function()
  it('tells what it is', function()
    assert.equal('cpu', be.kind)
    assert.equal(2, be.threads)
    assert.is_true(ag.backend('cpu').threads >= 1)
    assert.equal("a backend has no 'thraeds', did you mean threads?",
      misuse(function() return be.thraeds end))
    assert.equal('plain', ag.backend('cpu', {isa = 'plain'}).isa)
  end)

  it('is refused when this machine has none such', function()
    local b, err, code = ag.backend('cpu', {isa = 'mmx'})
    assert.is_nil(b)
    assert.truthy(err:find('isa=mmx: not one of plain, ', 1, true))
    assert.equal('unsupported', code)
    b, err = ag.backend('opencl')
    assert.is_nil(b)
    assert.equal("backend 'opencl': known are cpu and cuda", err)
    assert.truthy(misuse(function() local y = ag.backend('cpu',
      {threds = 1}) return y end):find('unknown option', 1, true))
  end)

  it('keeps its tensors apart from those of others', function()
    local other = assert(ag.backend('cpu', {threads = 1}))
    local a, b = ag.zeros(be, {1}), ag.zeros(other, {1})
    assert.equal('add: b is on another backend than a', misuse(function() ag.ops.add(a, a, b,
      1) end))
  end)
end)

describe('a plan', function()
  it('replays what was recorded, and records without running', function()
    local x, y = ag.tensor(be, {1, 2, 3}), ag.zeros(be, {3})
    local plan = ag.capture(be, function()
      ag.ops.affine(x, x, 2, 0)
      ag.ops.add(y, y, x, 1)
    end)
    assert.equal(2, plan.ops)
    assert.equal(1, plan.barriers)
    assert.same({1, 2, 3}, x:totable())
    plan:run()
    plan:run()
    assert.same({4, 8, 12}, x:totable())
    assert.same({6, 12, 18}, y:totable())
  end)

  it('waits only where ops depend on each other', function()
    local x, a, b, c = ag.zeros(be, {64}), ag.zeros(be, {64}), ag.zeros(be, {64}), ag.zeros(be,
      {64})
    local plan = ag.capture(be, function()
      ag.ops.affine(a, x, 1, 1)
      ag.ops.affine(b, x, 2, 2)
      ag.ops.affine(c, x, 3, 3)
      ag.ops.add(a, b, c, 1) -- reads b, c; writes a
      ag.ops.affine(x, x, 1, 1) -- read by the first three
    end)
    assert.same({5, 1}, {plan.ops, plan.barriers})
  end)

  it('keeps the memory of its tensors', function()
    local out = ag.zeros(be, {4})
    local plan
    do
      local x = ag.tensor(be, {1, 2, 3, 4})
      plan = ag.capture(be, function() ag.ops.copy(out, x) end)
      x:release()
    end
    collectgarbage()
    collectgarbage()
    plan:run()
    assert.same({1, 2, 3, 4}, out:totable())
  end)

  it('that fails while it is recorded leaves nothing behind', function()
    local x = ag.zeros(be, {1})
    assert.has_error(function() ag.capture(be, function() error('mine', 0) end) end, 'mine')
    assert.truthy(misuse(function()
      ag.capture(be, function() local v = x:item() return v end)
    end):find('not while a plan is being captured', 1, true))
    ag.ops.fill(x, 2)
    assert.equal(2, x:item())
  end)

  it('that meets bad data says so and can run again', function()
    local table_, ids, out = ag.zeros(be, {4, 2}), ag.tensor(be, {9}, 'i32'), ag.zeros(be, {1, 2})
    local plan = ag.capture(be, function() ag.ops.embedding(out, table_, ids, 0) end)
    local ok, err, code = plan:try()
    assert.is_nil(ok)
    assert.equal('embedding: id 9 (row 0, group 0) is not in its table of 4', err)
    assert.equal('value', code)
    ids:fill(3)
    assert.is_true(plan:try())
  end)

  it('runs and hands a result to the host in one go, on the CPU and on a device', function()
    for _, backend in ipairs {be, assert(ag.backend 'cuda-emulated')} do
      local x = ag.tensor(backend, {1, 2, 3})
      local plan = ag.capture(backend, function() ag.ops.affine(x, x, 2, 0) end)
      local host = ffi.new 'float[3]'
      for i = 1, 3 do
        assert.is_true(plan:read(x, host, 12))
        assert.same({2 ^ i, 2 ^ i * 2, 2 ^ i * 3}, {host[0], host[1], host[2]})
      end
      assert.equal('read: 8 bytes for a tensor of 12', misuse(function()
        local ok = plan:read(x, host, 8)
        return ok
      end))
      assert.equal('read: the tensor is of another backend than the plan', misuse(function()
        local ok = plan:read(ag.zeros(assert(ag.backend 'cpu'), {1}), host, 4)
        return ok
      end))
      -- What the run has met comes before what it would have left.
      local ids, out = ag.tensor(backend, {9}, 'i32'), ag.zeros(backend, {1, 2})
      plan = ag.capture(backend, function()
        ag.ops.embedding(out, ag.zeros(backend, {4, 2}), ids, 0)
      end)
      local ok, err = plan:read(out, host, 8)
      assert.is_nil(ok)
      assert.equal('embedding: id 9 (row 0, group 0) is not in its table of 4', err)
    end
  end)

  it('that runs once is part of one that is being recorded, where there is one', function()
    local x = ag.tensor(be, {1})
    local function twice()
      ag.ops.affine(x, x, 2, 0)
      ag.ops.affine(x, x, 2, 0)
    end
    assert.is_true(require('argent.plan').once(be, twice))
    assert.equal(4, x:item())
    local plan = ag.capture(be, function() require('argent.plan').once(be, twice) end)
    assert.same({2, 4}, {plan.ops, x:item()})
    local ids, out = ag.tensor(be, {9}, 'i32'), ag.zeros(be, {1, 2})
    local ok, err, code = require('argent.plan').once(be, function()
      ag.ops.embedding(out, ag.zeros(be, {4, 2}), ids, 0)
    end)
    assert.is_nil(ok)
    assert.matches('id 9', err)
    assert.equal('value', code)
  end)

  it('stops when it is interrupted', function()
    local x = ag.zeros(be, {1})
    local plan = ag.capture(be, function() ag.ops.affine(x, x, 1, 1) end)
    lib.ag_interrupt(1)
    local ok, err, code = plan:try()
    assert.is_nil(ok)
    assert.same({'interrupted', 'interrupted'}, {err, code})
    ok, err = pcall(function() ag.ops.fill(x, 1) end)
    assert.is_false(ok)
    assert.equal('interrupted', err)
    lib.ag_interrupt(0)
    plan:run()
    assert.equal(1, x:item())
  end)
end)

describe('a finalizer', function()
  it('that makes and looks at tensors changes nothing of the tensor that is being made', function()
    local other, ran = ag.zeros(be, {7, 5, 3}), false
    getmetatable(newproxy(true)).__gc = function()
      ran = #other:narrow(1, 2, 3).shape == 3 and #ag.zeros(be, {4, 5}).shape == 2
    end
    -- So much memory makes the collector run first, when the shape has been read already.
    local t = ag.zeros(be, {1, 2 ^ 26 + 1})
    assert.is_true(ran)
    assert.same({{1, 2 ^ 26 + 1}, {2 ^ 26 + 1, 1}}, {t.shape, t.stride})
    t:release()
  end)
end)

describe("a tensor's backend", function()
  it('lives on when the tensor and whoever opened it are gone', function()
    local own = ag.zeros(assert(ag.backend('cpu', {threads = 1})), {3}).backend
    for _ = 1, 3 do collectgarbage() end
    assert.same({'cpu', 1}, {own.kind, own.threads})
    local x = ag.tensor(own, {1, 2})
    assert.same({2, 4}, (x + x):totable())
  end)
end)
