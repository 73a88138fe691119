-- What Lua and C know of dtypes: that it is one list, runtime/dtype.def, and holds wherever tensors
-- are made, converted, looked through and kept in files.

local ag = require 'argent'
local command = require 'support.command'
local dtypes = require 'argent.dtype'
local ffi = require 'ffi'
local lib = require 'argent.ffi'

local be = assert(ag.backend('cpu', {threads = 1}))

-- The lines of a list of dtype.def, each its arguments as text.
local function lines(list)
  local out = {}
  for line in io.lines(command.root .. '/runtime/dtype.def') do
    local args = line:match('^' .. list .. '%((.*)%)$')
    if args then
      out[#out + 1] = {}
      for arg in args:gmatch '[^, ]+' do table.insert(out[#out], arg) end
    end
  end
  return out
end

-- Numbers that every dtype holds.
local function some(name)
  return ag.tensor(be, {{0, 1, 2}, {3, 4, 5}}, name)
end

describe('a dtype', function()
  it('is known to Lua by the line of dtype.def: name, constant, size', function()
    local list = lines 'AG_DTYPE'
    assert.is_true(#list > 3)
    assert.equal(#list, #dtypes.names)
    for i, line in ipairs(list) do
      local constant, name, type, exponent = unpack(line)
      assert.equal(name, dtypes.names[i])
      assert.equal(lib['AG_' .. constant], dtypes.code[name])
      assert.equal(ffi.sizeof(type), dtypes.size[name])
      assert.equal(exponent ~= '0', dtypes.float[name] or false)
    end
  end)

  it('makes tensors, which hold numbers and say its name', function()
    for _, name in ipairs(dtypes.names) do
      local t = some(name)
      assert.equal(name, t.dtype)
      assert.same({{0, 1, 2}, {3, 4, 5}}, t:totable())
      assert.same({{7, 7}}, ag.zeros(be, {1, 2}, name):fill(7):totable())
    end
  end)

  it('is kept by a file under its name in capitals', function()
    local path, saved = os.tmpname(), {}
    finally(function() os.remove(path) end)
    for _, name in ipairs(dtypes.names) do saved[name] = some(name) end
    assert(ag.save(path, saved))
    local loaded = assert(ag.load(path, {backend = be}))
    local text = assert(io.open(path, 'rb')):read '*a'
    for _, name in ipairs(dtypes.names) do
      assert.equal(name, loaded[name].dtype)
      assert.same(saved[name]:totable(), loaded[name]:totable())
      assert.truthy(text:find(('"%s":{"dtype":"%s"'):format(name, name:upper()), 1, true))
    end
  end)

  it('becomes every other when both are floats, and nothing else when it is not', function()
    for _, from in ipairs(dtypes.names) do
      for _, to in ipairs(dtypes.names) do
        if from == to or dtypes.float[from] and dtypes.float[to] then
          assert.same(some(to):totable(), some(from):to(to):totable())
        else
          assert.has_error(function() some(from):to(to) end,
            ('copy: %s cannot become %s'):format(from, to))
        end
      end
    end
  end)

  it('has NaN and infinities found in it when it is a float', function()
    for _, name in ipairs(dtypes.names) do
      assert.equal(0, lib.ag_tensor_count_nonfinite(some(name)))
      if dtypes.float[name] then
        local t = ag.tensor(be, {0, 1 / 0, 3, -1 / 0, 0 / 0, -4}, name)
        assert.equal(3, lib.ag_tensor_count_nonfinite(t))
      end
    end
  end)
end)

describe('a kind of weights', function()
  it('is a line of dtype.def', function()
    for i, line in ipairs(lines 'AG_WEIGHT') do assert.equal(line[2], dtypes.weights[i]) end
    assert.equal(#lines 'AG_WEIGHT', #dtypes.weights)
  end)

  it('is what linear and embedding read, and they read no other', function()
    local x, out = ag.zeros(be, {1, 3}), ag.zeros(be, {1, 2})
    local row, ids = ag.zeros(be, {1, 3}), ag.tensor(be, {1}, 'i32')
    x:fill(1)
    for _, name in ipairs(dtypes.names) do
      if dtypes.weight[name] then
        ag.ops.linear(out, x, some(name))
        ag.ops.embedding(row, some(name), ids, 0)
        assert.same({{3, 12}}, out:totable())
        assert.same({{3, 4, 5}}, row:totable())
      else
        assert.has_error(function() ag.ops.embedding(row, some(name), ids, 0) end,
          ('embedding: table is %s, expected f32 or bf16'):format(name))
      end
      if name == 'f16' or name == 'i32' then
        local expected = table.concat(dtypes.weights, ', '):gsub(', (%w+)$', ' or %1')
        assert.has_error(function() ag.ops.linear(out, x, some(name)) end,
          ('linear: w is %s, expected %s'):format(name, expected))
      end
    end
  end)

  it('can be asked for wherever a model is opened', function()
    for _, name in ipairs(dtypes.weights) do
      assert.truthy(command.run {'say', '--help'}.out:find(name, 1, true))
    end
    assert.has_error(function() ag.qwen3_tts.open('m', {backend = be, dtype = 'f8'}) end,
      ("open: dtype: expected one of %s, got string 'f8'"):format(
        table.concat(dtypes.weights, ', ')))
  end)
end)
