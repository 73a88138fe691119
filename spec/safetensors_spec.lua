-- The safetensors reader: what it accepts, what it gives, and that nothing in a file can make it do
-- more than say no.

local ag = require 'argent'
local compare = require 'support.compare'
local golden = require 'support.golden'
local lfs = require 'lfs'
local st = require 'support.st'

local be = assert(ag.backend('cpu', {threads = 1}))
local paths = {}

local function file(header, data, length)
  paths[#paths + 1] = st.write(st.bytes(header, data, length))
  return paths[#paths]
end

-- Loads and returns the error without its path; asserts that there is one, of one line.
local function refused(header, data, length)
  local path = file(header, data, length)
  local t, err = ag.load(path, {backend = be})
  assert.is_nil(t)
  assert.equal(path .. ': ', err:sub(1, #path + 2))
  assert.is_nil(err:find '\n')
  return err:sub(#path + 3)
end

-- The header of one f32 tensor, with this text for its shape and offsets.
local function one(shape, offsets)
  return ('{"a":{"dtype":"F32","shape":%s,"data_offsets":%s}}'):format(shape, offsets)
end

describe('safetensors', function()
  teardown(function()
    for _, p in ipairs(paths) do os.remove(p) end
  end)

  it('loads every dtype that tensors have, and converts floats on demand', function()
    local path = file('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},'
      .. '"b":{"dtype":"BF16","shape":[1,2],"data_offsets":[8,12]},'
      .. '"h":{"dtype":"F16","shape":[2,1],"data_offsets":[12,16]},'
      .. '"i":{"dtype":"I32","shape":[],"data_offsets":[16,20]},'
      .. '"z":{"dtype":"F32","shape":[0,5],"data_offsets":[20,20]}}',
      '\0\0\128\63' .. '\0\0\0\192' .. '\128\63\0\192' .. '\0\60\0\192' .. '\251\255\255\255')
    local t = assert(ag.load(path, {backend = be}))
    assert.same({1, -2}, t.a:totable())
    assert.same({{1, -2}}, t.b:totable())
    assert.same({{1}, {-2}}, t.h:totable())
    assert.equal(-5, t.i:item())
    assert.same({0, 5}, t.z.shape)
    assert.same({'f32', 'bf16', 'f16', 'i32'}, {t.a.dtype, t.b.dtype, t.h.dtype, t.i.dtype})
    t = assert(ag.load(path, {backend = be, dtype = 'f32'}))
    assert.same({{{1, -2}}, 'f32', {{1}, {-2}}, 'f32'}, {t.b:totable(), t.b.dtype, t.h:totable(),
      t.h.dtype})
  end)

  it('reads what it wrote, every dtype, bit for bit, NaN included', function()
    local path = st.path()
    paths[#paths + 1] = path
    local numbers = {0, -0.0, 1.5, 0 / 0, 1 / 0, -1 / 0, 1e-40}
    local tensors = {
      ['a "quoted" \\ name\n'] = ag.tensor(be, numbers), b = ag.tensor(be, numbers, 'bf16'),
      ['h.\195\169'] = ag.tensor(be, numbers, 'f16'), i = ag.tensor(be, {{1}, {-2147483648}},
        'i32'),
      empty = ag.zeros(be, {3, 0}), scalar = ag.zeros(be, {}), deep = ag.zeros(be, {1, 2, 1, 2, 1,
        2, 1, 2}),
    }
    assert(ag.save(path, tensors, {source = 'spec', ['note'] = 'x\ty'}))
    local back = assert(ag.load(path, {backend = be}))
    for name, t in pairs(tensors) do
      assert.same(t.shape, back[name].shape)
      assert.equal(t.dtype, back[name].dtype)
      if t:count() > 0 then assert.is_true(compare.same_bits(t, back[name])) end
    end
  end)

  it('survives NaN patterns that Lua would take for pointers', function()
    local path = file(one('[3]', '[0,12]'),
      '\255\255\255\255' .. '\1\0\160\255' .. '\0\0\128\63')
    local v = assert(ag.load(path, {backend = be})).a:totable()
    assert.is_true(v[1] ~= v[1] and v[2] ~= v[2])
    assert.equal(1, v[3])
  end)

  it('refuses a golden model cut at any of a hundred lengths, and at each of its first 600 bytes',
    function()
    local f = assert(io.open(golden.models()[1].model .. '/model.safetensors', 'rb'))
    local bytes = f:read '*a'
    f:close()
    local path = st.path()
    paths[#paths + 1] = path
    local lengths = {}
    for n = 0, 600 do lengths[#lengths + 1] = n end
    for i = 1, 100 do lengths[#lengths + 1] = math.floor(#bytes * i / 101) end
    lengths[#lengths + 1] = #bytes - 1
    for _, n in ipairs(lengths) do
      st.write(bytes:sub(1, n), path)
      local t, err, code = ag.load(path, {backend = be})
      assert.is_nil(t)
      assert.truthy(err:find(path, 1, true))
      assert.equal('format', code)
    end
    st.write(bytes .. 'x', path)
    assert.equal(path .. ': 1 bytes behind the last tensor', select(2, ag.load(path,
      {backend = be})))
  end)

  describe('refuses', function()
    local T = '"dtype":"F32","shape":[1],"data_offsets":[0,4]'
    local four = '\0\0\0\0'

    for name, case in pairs {
      ['a header that is not JSON'] = {'hello', '', 'header, byte 0: expected \'{\''},
      ['a header longer than the file'] = {'{}', '',
        'a header of 99 bytes in a file of 10 (cut short?)', 99},
      ['a header longer than 100 MB'] = {'{}', '',
        'a header of 100000001 bytes; at most 100 MB: not a safetensors file?', 100000001},
      ['a tensor that is there twice'] = {'{"a":{' .. T
        .. '},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
        ('\0'):rep(8), 'a: the name is there twice'},
      ['a field that is there twice'] = {'{"a":{' .. T .. ',"dtype":"F32"}}', four,
        'a: a field that is unknown or there twice'},
      ['a field that it does not know'] = {'{"a":{' .. T .. ',"strides":[1]}}', four,
        'a: a field that is unknown or there twice'},
      ['a tensor without a shape'] = {'{"a":{"dtype":"F32","data_offsets":[0,4]}}', four,
        'a: dtype, shape or data_offsets is missing'},
      ['an unknown dtype'] = {'{"a":{"dtype":"F31","shape":[1],"data_offsets":[0,4]}}', four,
        "a: unknown dtype 'F31'"},
      ['offsets that do not fit the shape'] = {one('[2]', '[0,4]'), four,
        'a: data_offsets [0,4] hold 4 bytes, its shape of F32 needs 8'},
      ['offsets that run backwards'] = {one('[1]', '[4,0]'), four,
        'a: data_offsets run backwards'},
      ['offsets beyond the file'] = {one('[2]', '[0,8]'), four,
        'a: ends at byte 8 of the data, the file has 4 (cut short?)'},
      ['tensors that overlap'] = {'{"a":{' .. T
        .. '},"b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}}', ('\0'):rep(8),
        'b: overlaps another tensor'},
      ['a hole between tensors'] = {'{"a":{' .. T
        .. '},"b":{"dtype":"F32","shape":[1],"data_offsets":[5,9]}}', ('\0'):rep(9),
        'b: leaves a hole before it'},
      ['dimensions whose product overflows'] = {one('[4294967296,4294967296]', '[0,0]'), '',
        'a: the product of its dimensions overflows'},
      ['an overflow hidden by a zero'] = {one('[0,9223372036854775807,9]', '[0,0]'), '',
        'a: the product of its dimensions overflows'},
      ['a dimension beyond 64 bits'] = {one('[9223372036854775808]', '[0,4]'), four,
        'header, byte 47: an integer that is too large'},
      ['a negative dimension'] = {one('[-1]', '[0,4]'), four,
        'header, byte 29: expected a plain non-negative integer'},
      ['a fractional dimension'] = {one('[1.0]', '[0,4]'), four,
        'header, byte 30: expected a plain non-negative integer'},
      ['an exponent'] = {one('[1e3]', '[0,4]'), four,
        'header, byte 30: expected a plain non-negative integer'},
      ['nine dimensions'] = {one('[1,1,1,1,1,1,1,1,1]', '[0,4]'), four,
        'header, byte 45: a list that is too long (8 dimensions, 2 offsets at most)'},
      ['three offsets'] = {one('[1]', '[0,4,8]'), four,
        'header, byte 52: a list that is too long (8 dimensions, 2 offsets at most)'},
      ['one offset'] = {one('[1]', '[0]'), four,
        'a: data_offsets must be two integers'},
      ['nesting'] = {('{"a":'):rep(100000), '', 'a: a field that is unknown or there twice'},
      ['lists in lists'] = {'{"a":{"dtype":"F32","shape":' .. ('['):rep(100000), '',
        'header, byte 29: expected a plain non-negative integer'},
      ['a name with NUL'] = {'{"a\\u0000b":{' .. T .. '}}', four,
        'header, byte 9: a NUL in a string'},
      ['a name that is not UTF-8'] = {'{"\255":{' .. T .. '}}', four,
        'header, byte 2: not UTF-8'},
      ['a name of an overlong form'] = {'{"\192\128":{' .. T .. '}}', four,
        'header, byte 2: not UTF-8'},
      ['half a surrogate pair'] = {'{"\\ud800x":{' .. T .. '}}', four,
        'header, byte 8: half of a surrogate pair'},
      ['an unknown escape'] = {'{"\\x":{' .. T .. '}}', four,
        'header, byte 4: an unknown escape'},
      ['an empty name'] = {'{"":{' .. T .. '}}', four,
        'header, byte 4: a tensor name must have 1 to 1024 bytes'},
      ['metadata that are not strings'] = {'{"__metadata__":{"a":1}}', '',
        'header, byte 21: expected a string'},
      ['a metadata key twice'] = {'{"__metadata__":{"a":"1","a":"2"}}', '',
        'header, byte 34: a metadata key is there twice'},
      ['metadata twice'] = {'{"__metadata__":{},"__metadata__":{}}', '',
        'header, byte 34: __metadata__ is there twice'},
      ['text behind the document'] = {'{} {}', '',
        'header, byte 3: more after the document\'s end'},
      ['an unfinished string'] = {'{"abc', '', 'header, byte 5: a string without an end'},
    } do
      it(name, function()
        assert.equal(case[3], refused(case[1], case[2], case[4]))
      end)
    end

    it('dtypes that no tensor has, when they are asked for', function()
      assert.equal('a: dtype I64 cannot become a tensor',
        refused('{"a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}', ('\0'):rep(8)))
    end)

    it('what is not a file', function()
      local _, err, code = ag.load('/nonexistent/x.safetensors', {backend = be})
      assert.equal('/nonexistent/x.safetensors: No such file or directory', err)
      assert.equal('io', code)
      local dir = os.tmpname()
      os.remove(dir)
      lfs.mkdir(dir)
      _, err = ag.load(dir, {backend = be})
      assert.equal(dir .. '/model.safetensors: No such file or directory', err)
      lfs.rmdir(dir)
      os.execute(('mkfifo %s'):format(dir))
      _, err = ag.load(dir, {backend = be})
      assert.equal(dir .. ': not a regular file', err)
      os.remove(dir)
    end)
  end)

  it('says no, or gives tensors, for 3000 files with random bytes changed', function()
    local header = '{"__metadata__":{"k":"v"},'
      .. '"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},'
      .. '"b":{"dtype":"BF16","shape":[3],"data_offsets":[16,22]},'
      .. '"c":{"dtype":"I32","shape":[1],"data_offsets":[22,26]}}'
    local bytes = st.bytes(header, ('abcdefghijklm'):rep(2))
    local path = st.path()
    paths[#paths + 1] = path
    math.randomseed(4)
    local accepted = 0
    for _ = 1, 3000 do
      local b = bytes
      for _ = 1, math.random(3) do
        local at, kind = math.random(#b), math.random(3)
        if kind == 1 then b = b:sub(1, at - 1) .. string.char(math.random(0, 255)) .. b:sub(at + 1)
        elseif kind == 2 then b = b:sub(1, at - 1) .. b:sub(at + 1)
        else b = b:sub(1, at) .. ('0123456789{}[]",:\\u'):sub(math.random(18)):sub(1, 1)
          .. b:sub(at + 1) end
      end
      st.write(b, path)
      local t, err = ag.load(path, {backend = be})
      if t then
        accepted = accepted + 1
        for _, x in pairs(t) do x:totable() end
      else
        assert.is_nil(err:find '\n')
      end
    end
    assert.is_true(accepted < 2000)
  end)

  it('is not saved from what cannot be read again', function()
    local t = ag.zeros(be, {1})
    for name, message in pairs {['a\0b'] = 'cannot be a name', [''] = 'cannot be a name',
      ['__metadata__'] = 'cannot be a name'} do
      local ok, err = pcall(function() local r = ag.save('/tmp/never', {[name] = t}) return r end)
      assert.is_false(ok)
      assert.truthy(err:find(message, 1, true))
    end
    local ok, err, code = ag.save('/nonexistent/x.safetensors', {a = t})
    assert.is_nil(ok)
    assert.equal('/nonexistent/x.safetensors: No such file or directory', err)
    assert.equal('io', code)
  end)
end)
