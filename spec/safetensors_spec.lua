-- The safetensors reader: what it accepts, what it gives, and that nothing in a file can make it do
-- more than say no.

local ag = require 'argent'
local compare = require 'support.compare'
local ffi = require 'ffi'
local golden = require 'support.golden'
local lfs = require 'lfs'
local lib = require 'argent.ffi'
local posix = require 'argent.posix'
local st = require 'support.st'
local tensor = require 'argent.tensor'

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

-- The header of one tensor, with this text for its shape and offsets.
local function one(shape, offsets, dtype)
  return ('{"a":{"dtype":"%s","shape":%s,"data_offsets":%s}}'):format(dtype or 'F32', shape,
    offsets)
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

  it('keeps the bits of every NaN through load and save', function()
    local header = '{"b":{"dtype":"BF16","shape":[4],"data_offsets":[0,8]},'
      .. '"f":{"dtype":"F32","shape":[2],"data_offsets":[8,16]},'
      .. '"h":{"dtype":"F16","shape":[2],"data_offsets":[16,20]}}'
    local data = '\1\127\255\255\129\255\192\127' .. '\1\0\128\127\239\190\173\255'
      .. '\1\124\255\255'
    header = header .. (' '):rep(-#header % 8)
    local path, copy = file(header, data), st.path()
    paths[#paths + 1] = copy
    assert(ag.save(copy, assert(ag.load(path, {backend = be}))))
    local f = assert(io.open(copy, 'rb'))
    assert.equal(st.bytes(header, data), f:read '*a')
    f:close()
  end)

  it('rounds to nearest, ties to even, where a dtype is narrower', function()
    -- 1 + 2^-8 and 1 + 3 * 2^-8 lie between two bf16; 1 + 2^-11, 1 + 3 * 2^-11 between two f16;
    -- 65520 between the largest f16 and infinity; 3 * 2^-25 between two of its subnormals.
    local x = {1 + 2 ^ -8, 1 + 3 * 2 ^ -8, 1 + 2 ^ -11, 1 + 3 * 2 ^ -11, 65519, 65520, 3 * 2 ^ -25}
    local path = st.path()
    paths[#paths + 1] = path
    assert(ag.save(path, {x = ag.tensor(be, x)}))
    assert.same({1, 1 + 2 ^ -6, 1, 1, 65536, 65536, 3 * 2 ^ -25},
      assert(ag.load(path, {backend = be, dtype = 'bf16'})).x:totable())
    assert.same({1 + 2 ^ -8, 1 + 3 * 2 ^ -8, 1, 1 + 2 ^ -9, 65504, math.huge, 2 ^ -23},
      assert(ag.load(path, {backend = be, dtype = 'f16'})).x:totable())
  end)

  it('reads data at any alignment, beyond a chunk of the conversion', function()
    local n = 70001
    local words = {}
    for i = 1, n do words[i] = string.char(i % 128, 64) end -- bf16 2 .. 2.98, repeating
    local header = ('{"a":{"dtype":"BF16","shape":[%d],"data_offsets":[0,%d]}}'):format(n, 2 * n)
    for pad = 0, 1 do
      local path = file(header .. (' '):rep(pad), table.concat(words))
      for _, dtype in ipairs {'f32', 'bf16'} do
        local t = assert(ag.load(path, {backend = be, dtype = dtype})).a
        assert.equal(0, tonumber(ffi.cast('uintptr_t', lib.ag_tensor_host(t))) % 2)
        local host, count = t:host()
        assert.equal(n, count)
        for i = 1, n do
          if host[i - 1] ~= 2 + i % 128 / 64 then error(('element %d of pad %d'):format(i, pad)) end
        end
      end
    end
  end)

  it('shares the mapping with tensors of the stored dtype, which keep it', function()
    local path = st.path()
    assert(ag.save(path, {a = ag.tensor(be, {1, 2, 3}), b = ag.tensor(be, {4}, 'bf16')}))
    collectgarbage()
    collectgarbage()
    local before = be.live_bytes
    local t = assert(ag.load(path, {backend = be}))
    os.remove(path)
    collectgarbage()
    collectgarbage()
    assert.equal(before, be.live_bytes)
    assert.same({{1, 2, 3}, {4}}, {t.a:totable(), t.b:totable()})
    t = assert(ag.load(golden.models()[1].model .. '/model.safetensors', {backend = be}))
    assert.is_true(next(t) ~= nil)
  end)

  it('understands escapes in names and metadata', function()
    local path = file('{"__metadata__":{"\\u006b":"\\"\\\\\\/\\b\\f\\n\\r\\t"},'
      .. '"\\u00e9\\u20ac\\ud83d\\ude00":{"dtype":"I32","shape":[],"data_offsets":[0,4]}}  ',
      '\7\0\0\0')
    local t = assert(ag.load(path, {backend = be}))
    assert.equal(7, t['\195\169\226\130\172\240\159\152\128']:item())
  end)

  it('refuses a small file cut at every length', function()
    local bytes = st.bytes('{"__metadata__":{"k":"v"},"a":{"dtype":"F32","shape":[2],'
      .. '"data_offsets":[0,8]},"z":{"dtype":"I32","shape":[0],"data_offsets":[8,8]}} ', 'abcdefgh')
    local path = st.path()
    paths[#paths + 1] = path
    assert(ag.load(st.write(bytes, path), {backend = be}))
    for n = 0, #bytes - 1 do
      local t, err, code = ag.load(st.write(bytes:sub(1, n), path), {backend = be})
      assert.same({nil, 'format'}, {t, code})
      assert.equal(path .. ': ', err:sub(1, #path + 2))
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
      ['an unknown dtype'] = {
        one('[1]', '[0,4]', 'F31'), four,
        "a: unknown dtype 'F31'"},
      ['offsets that do not fit the shape'] = {
        one('[2]', '[0,4]'), four,
        'a: data_offsets [0,4] hold 4 bytes, shape [2] of F32 needs 8'},
      ['offsets that run backwards'] = {
        one('[1]', '[4,0]'), four,
        'a: data_offsets run backwards'},
      ['offsets beyond the file'] = {
        one('[2]', '[0,8]'), four,
        'a: ends at byte 8 of the data, the file has 4 (cut short?)'},
      ['tensors that overlap'] = {'{"a":{' .. T
        .. '},"b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}}', ('\0'):rep(8),
        'b: overlaps another tensor'},
      ['a hole between tensors'] = {'{"a":{' .. T
        .. '},"b":{"dtype":"F32","shape":[1],"data_offsets":[5,9]}}', ('\0'):rep(9),
        'b: leaves a hole before it'},
      ['dimensions whose product overflows'] = {
        one('[4294967296,4294967296]', '[0,0]'), '',
        'a: the product of its dimensions overflows'},
      ['an overflow hidden by a zero'] = {
        one('[0,9223372036854775807,9]', '[0,0]'), '',
        'a: the product of its dimensions overflows'},
      ['a dimension beyond 64 bits'] = {
        one('[9223372036854775808]', '[0,4]'), four,
        'header, byte 47: an integer that is too large'},
      ['a negative dimension'] = {
        one('[-1]', '[0,4]'), four,
        'header, byte 29: expected a plain non-negative integer'},
      ['a fractional dimension'] = {
        one('[1.0]', '[0,4]'), four,
        'header, byte 30: expected a plain non-negative integer'},
      ['an exponent'] = {
        one('[1e3]', '[0,4]'), four,
        'header, byte 30: expected a plain non-negative integer'},
      ['nine dimensions'] = {
        one('[1,1,1,1,1,1,1,1,1]', '[0,4]'), four,
        'header, byte 45: a list that is too long (8 dimensions, 2 offsets at most)'},
      ['three offsets'] = {
        one('[1]', '[0,4,8]'), four,
        'header, byte 52: a list that is too long (8 dimensions, 2 offsets at most)'},
      ['one offset'] = {
        one('[1]', '[0]'), four,
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
        'a: a metadata key is there twice'},
      ['metadata twice'] = {'{"__metadata__":{},"__metadata__":{}}', '',
        'header, byte 34: __metadata__ is there twice'},
      ['text behind the document'] = {'{} {}', '',
        'header, byte 3: more after the document\'s end'},
      ['an unfinished string'] = {'{"abc', '', 'header, byte 5: a string without an end'},
      ['a shape so large that only a zero keeps it empty'] = {
        one('[2305843009213693952,0]', '[0,0]', 'BF16'), '',
        'a: the product of its dimensions overflows'},
      ['a header that begins with a space'] = {' {}', '', 'header, byte 0: expected \'{\''},
      ['a header padded with anything but spaces'] = {'{}\n', '',
        'header, byte 2: more after the document\'s end'},
      ['an empty header'] = {'', '', 'header, byte 0: expected \'{\''},
      ['a NUL byte between fields'] = {'{\0}', '', 'header, byte 1: expected a string'},
      ['a NUL byte in a name'] = {'{"a\0b":{' .. T .. '}}', '\0\0\0\0',
        'header, byte 3: a control character in a string'},
      ['a cut \\u escape'] = {'{"\\u12', '', 'header, byte 4: a cut \\u escape'},
      ['a \\u escape of other digits'] = {'{"\\u12g4":{' .. T .. '}}', '\0\0\0\0',
        'header, byte 7: a bad \\u escape'},
      ['a low surrogate first'] = {'{"\\udc00":{' .. T .. '}}', '\0\0\0\0',
        'header, byte 8: half of a surrogate pair'},
      ['a high surrogate before another letter'] = {'{"\\ud800\\u0041":{' .. T .. '}}',
        '\0\0\0\0', 'header, byte 14: half of a surrogate pair'},
      ['a dimension that 64 bits would wrap to ten'] = {
        one('[18446744073709551626]', '[0,40]'), ('\0'):rep(40),
        'header, byte 48: an integer that is too large'},
      ['a surrogate as UTF-8'] = {'{"\237\160\128":{' .. T .. '}}', '\0\0\0\0',
        'header, byte 2: not UTF-8'},
      ['a name of 1025 bytes'] = {'{"' .. ('n'):rep(1025) .. '":{' .. T .. '}}', '\0\0\0\0',
        'header, byte 1029: a tensor name must have 1 to 1024 bytes'},
      ['a leading zero'] = {one('[01]', '[0,4]'), '\0\0\0\0',
        'header, byte 31: expected a plain non-negative integer'},
      ['a comma too many'] = {'{"a":{' .. T .. '},}', '\0\0\0\0',
        'header, byte 54: expected a string'},
      ['metadata that are a list'] = {'{"__metadata__":["a"]}', '',
        'header, byte 16: expected \'{\''},
      ['a name of two lines, on one'] = {'{"a\\nb":{"dtype":"F31"}}', '',
        "a?b: unknown dtype 'F31'"},
      ['a long name, cut between two characters'] = {
        '{"' .. ('n'):rep(119) .. '\195\169":{"dtype":"F31"}}', '',
        ('n'):rep(119) .. ": unknown dtype 'F31'"},
    } do
      it(name, function()
        assert.equal(case[3], refused(case[1], case[2], case[4]))
      end)
    end

    it('dtypes that no tensor has, when they are asked for', function()
      assert.equal('a: dtype I64 cannot become a tensor',
        refused(one('[1]', '[0,8]', 'I64'), ('\0'):rep(8)))
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

  describe('is not saved', function()
    local t = ag.zeros(be, {1})

    for name, case in pairs {
      ['with a zero byte in a name'] = {{['a\0b'] = t}, nil,
        "save: name: string 'a\0b' holds a zero byte"},
      ['with an empty name'] = {{[''] = t}, nil, 'PATH: : a name must have 1 to 1024 bytes'},
      ['with a name of 1025 bytes'] = {{[('n'):rep(1025)] = t}, nil,
        'PATH: ' .. ('n'):rep(120) .. ': a name must have 1 to 1024 bytes'},
      ['with a name that is not UTF-8'] = {{['a\192\128'] = t}, nil,
        'PATH: a\192\128: the name is not UTF-8'},
      ['with the name of the metadata'] = {{['__metadata__'] = t}, nil,
        'PATH: __metadata__: not a name for a tensor'},
      ['with metadata that are not UTF-8'] = {{a = t}, {k = '\255'},
        'PATH: metadata that are not UTF-8'},
      ['with a zero byte in the metadata'] = {{a = t}, {k = '\0'},
        "save: metadata k: string '\0' holds a zero byte"},
      ['with metadata that are not strings'] = {{a = t}, {k = 1},
        'save: metadata k: expected a string, got 1'},
      ['from what is no tensor'] = {{a = {1}}, nil, 'save: a: expected a tensor, got table'},
    } do
      it(name .. ', and the line at fault is named', function()
        local path = os.tmpname()
        os.remove(path)
        local line = debug.getinfo(1, 'l').currentline + 1
        local ok, err = pcall(function() local r = ag.save(path, case[1], case[2]) return r end)
        assert.is_false(ok)
        local here = ('spec/safetensors_spec.lua:%d: '):format(line)
        local at = err:find(here, 1, true)
        assert.truthy(at, err)
        assert.equal(case[3]:gsub('PATH', (path:gsub('%%', '%%%%'))), (err:sub(at + #here)))
        assert.is_nil(lfs.attributes(path))
      end)
    end

    it('where there is no folder, or no regular file, and nothing is left behind', function()
      local ok, err, code = ag.save('/nonexistent/x.safetensors', {a = t})
      assert.is_nil(ok)
      assert.equal('/nonexistent/x.safetensors: No such file or directory', err)
      assert.equal('io', code)
      local dir = os.tmpname()
      os.remove(dir)
      lfs.mkdir(dir)
      os.execute(('mkfifo %s/pipe'):format(dir))
      ok, err = ag.save(dir .. '/pipe', {a = t}) -- a rename would replace it
      assert.is_nil(ok)
      assert.equal(dir .. '/pipe: not a regular file', err)
      assert.equal('named pipe', lfs.attributes(dir .. '/pipe', 'mode'))
      os.remove(dir .. '/pipe')
      local reserved = tensor.reserve(be, {1, 4, 2})
      assert(reserved:commit(1, 1))
      ok, err, code = ag.save(dir .. '/x.safetensors', {a = t, b = reserved})
      assert.is_nil(ok)
      assert.equal('read: the tensor is not committed that far', err)
      assert.equal('capacity', code)
      assert.is_true(os.remove(dir), 'the folder is not empty')
    end)

    it('to no path with a zero byte, at which C would end it, nor from one', function()
      local path = st.path()
      paths[#paths + 1] = path
      os.remove(path)
      local wrong = path .. '\0b'
      local want = path .. '?b: a path cannot hold a zero byte'
      assert.same({nil, want, 'io'}, {ag.save(wrong, {a = t})})
      assert.is_nil(lfs.attributes(path, 'mode'))
      assert(ag.save(path, {a = t}))
      assert.same({nil, want, 'io'}, {ag.load(wrong, {backend = be})})
      local _, err = require('argent.json').read(wrong)
      assert.equal(want, err)
    end)

    it('over a file that is in its way under the temporary name', function()
      local path = st.path()
      paths[#paths + 1] = path
      local folder, name = path:match '^(.*/)([^/]*)$'
      local stale = ('%s.%s.%d.partial'):format(folder, name, posix.getpid())
      paths[#paths + 1] = st.write('mine', stale)
      assert(ag.save(path, {a = t}))
      local f = assert(io.open(stale, 'rb'))
      assert.equal('mine', f:read '*a')
      f:close()
      assert.same({0}, assert(ag.load(path, {backend = be})).a:totable())
    end)
  end)
end)
