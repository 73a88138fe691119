-- GGUF files: their numbers are those of the format's own Python package, bit for bit, and nothing
-- in a file can make the reader do more than say no.

local ag = require 'argent'
local command = require 'support.command'
local compare = require 'support.compare'
local gguf = require 'support.gguf'
local st = require 'support.st'
local weights = require 'argent.weights'

local be = assert(ag.backend('cpu', {threads = 1}))
local FIXTURES = 'spec/fixtures/golden/gguf/'
local F32, Q8_0, Q4_K = 0, 8, 12

local paths = {}

local function write(bytes)
  paths[#paths + 1] = st.write(bytes)
  return paths[#paths]
end

-- Opens the bytes and returns the error without its path; asserts that there is one, of one line.
local function refused(bytes)
  local path = write(bytes)
  local w, err, code = weights.open(path, {backend = be})
  assert.is_nil(w)
  assert.equal('format', code)
  assert.equal(path .. ': ', err:sub(1, #path + 2))
  assert.is_nil(err:find '\n')
  return err:sub(#path + 3)
end

local function read(path)
  local f = assert(io.open(path, 'rb'))
  local bytes = f:read '*a'
  f:close()
  return bytes
end

describe('GGUF', function()
  teardown(function()
    for _, p in ipairs(paths) do os.remove(p) end
  end)

  it('gives the numbers that its Python package gives, bit for bit, of every type', function()
    local ours = assert(ag.load(FIXTURES .. 'types.gguf', {backend = be, dtype = 'f32'}))
    local theirs = assert(ag.load(FIXTURES .. 'types.safetensors', {backend = be}))
    local n = 0
    for name, t in pairs(theirs) do
      assert.same(t.shape, ours[name].shape)
      assert.is_true(compare.same_bits(t, ours[name]), name)
      n = n + 1
    end
    assert.equal(11, n)
  end)

  -- Blocks of 32 as the format's own quantisers make them: the largest number by size becomes 127
  -- (Q8_0) or -8 (Q4_0).
  local function quantised(kind, x)
    local largest = 0
    for _, v in ipairs(x) do
      if math.abs(v) > math.abs(largest) then largest = v end
    end
    local scale = ag.tensor(be, {largest / (kind == 'q8' and (largest < 0 and -127 or 127) or -8)})
    local half = scale:to 'f16'
    local bytes, d = {gguf.f16(half)}, scale:item()
    for j, v in ipairs(x) do
      local q = d == 0 and 0 or v / d
      x[j] = kind == 'q8' and math.floor(math.abs(q) + 0.5) * (q < 0 and -1 or 1)
        or math.min(15, math.floor(q + 8.5))
    end
    for j = 1, kind == 'q8' and 32 or 16 do
      bytes[#bytes + 1] = string.char(kind == 'q8' and x[j] % 256 or x[j] + 16 * x[j + 16])
    end
    return table.concat(bytes)
  end

  for kind, type in pairs {q8 = Q8_0, q4 = 2} do
    it('becomes ' .. kind .. ' of the same numbers, where its blocks are of that kind', function()
      local bytes, at = {}, 0
      for b = 1, 40 do
        local x = {}
        for j = 1, 32 do
          at = at + 1
          x[j] = b == 3 and 0 or math.sin(at * at) * 10 ^ (b % 5 - 3)
        end
        bytes[b] = quantised(kind, x)
      end
      local path = write(gguf.file {tensors = {gguf.tensor('w', {160, 8}, type, 0)},
        data = table.concat(bytes)})
      local w = assert(ag.load(path, {backend = be, dtype = 'f32'})).w
      local codes, scale = require('argent.nn.weight').quantize(w, kind)
      local got, scales, want = codes:totable(), scale:to 'f32':totable(), w:totable()
      for o = 1, 8 do
        for c = 1, 160 do
          local code = kind == 'q8' and got[o][c]
          if not code then
            local pair = got[o][math.ceil(c / 2)]
            code = (c % 2 == 1 and pair % 16 or math.floor(pair / 16)) - 8
          end
          assert.equal(want[o][c], code * scales[o][math.ceil(c / 32)])
        end
      end
    end)
  end

  it('becomes bf16 on demand, rounded once', function()
    local ours = assert(ag.load(FIXTURES .. 'types.gguf', {backend = be, dtype = 'bf16'}))
    local theirs = assert(ag.load(FIXTURES .. 'types.safetensors', {backend = be, dtype = 'bf16'}))
    for name, t in pairs(theirs) do
      assert.equal('bf16', ours[name].dtype)
      assert.is_true(compare.same_bits(t, ours[name]), name)
    end
  end)

  it('keeps plain types as they are stored and shares them with the file', function()
    local t = assert(ag.load(FIXTURES .. 'types.gguf', {backend = be}))
    assert.same({'f32', 'f16', 'bf16', 'f32'}, {t.F32.dtype, t.F16.dtype, t.BF16.dtype,
      t.Q4_K.dtype})
  end)

  it('has metadata of every type', function()
    local w = assert(weights.open(FIXTURES .. 'types.gguf', {backend = be}))
    local m = w:metadata()
    assert.same({
      ['general.architecture'] = 'golden',
      ['golden.uint8'] = 200, ['golden.int8'] = -100, ['golden.uint16'] = 60000,
      ['golden.int16'] = -30000, ['golden.uint32'] = 4000000000, ['golden.int32'] = -2000000000,
      ['golden.float32'] = 0.5, ['golden.uint64'] = 2 ^ 40, ['golden.int64'] = -2 ^ 40,
      ['golden.float64'] = 0.1, ['golden.yes'] = true, ['golden.text'] = 'caf\195\169',
      ['golden.numbers'] = {3, -1, 4}, ['golden.texts'] = {'a', '', '\195\169'},
    }, m)
  end)

  it('is inspected as a file: what it says, its tensors, and that none of them is damaged',
    function()
      local r = command.run {'inspect', FIXTURES .. 'types.gguf', '--tensors', '--scan'}
      assert.equal(0, r.code)
      assert.matches('golden%.texts: 3: a, , \195\169\n', r.out)
      assert.matches('file: 11 tensors, 0%.0 M parameters', r.out)
      assert.matches('Q4_K  Q4_K  %[2, 512%]', r.out)
      assert.matches('scan: no NaN and no infinity in 11 tensors', r.out)
      assert.is_nil(r.out:find 'complete')
    end)

  it('finds the NaN that a scale brings into its whole block', function()
    local block = '\0\126' .. ('\1'):rep(32) -- f16 NaN
    local path = write(gguf.file {tensors = {gguf.tensor('x', {64}, Q8_0, 0)},
      data = ('\0'):rep(34) .. block})
    local w = assert(weights.open(path, {backend = be}))
    assert.equal(32, w:count_nonfinite 'x')
  end)

  it('takes a file with and without padding behind the last tensor, and empty tensors', function()
    local tensors = {gguf.tensor('x', {3}, F32, 0)}
    for _, rest in ipairs {'', ('\0'):rep(20)} do
      local path = write(gguf.file {tensors = tensors, data = ('\0'):rep(12) .. rest})
      assert.same({0, 0, 0}, assert(ag.load(path, {backend = be})).x:totable())
    end
    local none = write(gguf.file {tensors = {gguf.tensor('x', {0, 2}, F32, 0)}})
    assert.same({2, 0}, assert(ag.load(none, {backend = be})).x.shape)
  end)

  it('honours another alignment', function()
    local path = write(gguf.file {align = 64, values = {gguf.value('general.alignment', 'u32',
      gguf.u32(64))}, tensors = {gguf.tensor('x', {1}, F32, 0), gguf.tensor('y', {1}, F32, 64)},
      data = '\0\0\128\63' .. ('\0'):rep(60) .. '\0\0\0\64'})
    local t = assert(ag.load(path, {backend = be}))
    assert.same({{1}, {2}}, {t.x:totable(), t.y:totable()})
  end)

  local x = gguf.tensor('x', {1}, F32, 0)
  local function value(key, type, raw) return gguf.file {values = {gguf.value(key, type, raw)}} end
  for what, case in pairs {
    ['version 1'] = {gguf.file {version = 1}, 'header, byte 8: a version that is neither 2 nor 3'},
    ['a big-endian file'] = {gguf.file {version = 3 * 2 ^ 24},
      'header, byte 8: a big-endian file'},
    ['more tensors than the file has room for'] = {gguf.file {n_tensors = 2ULL ^ 62},
      'header, byte 16: a count that is larger than the file'},
    ['more values than the file has room for'] = {gguf.file {n_values = 1000},
      'header, byte 24: a count that is larger than the file'},
    ['fewer values than it says'] = {gguf.file {n_values = 1, data = ('\0'):rep(32)},
      'header, byte 32: a name that is empty or too long'},
    ['a text longer than the file'] = {value('k', 'text', gguf.text('abc', 2ULL ^ 63)),
      'header, byte 45: a count that is larger than the file'},
    ['a list longer than the file'] = {value('k', 'list', gguf.u32(4) .. gguf.u64(2 ^ 40)),
      'header, byte 49: a count that is larger than the file'},
    ['a list of lists'] = {value('k', 'list', gguf.u32(9) .. gguf.u64(0)),
      'header, byte 41: a list of lists'},
    ['a value of an unknown type'] = {value('k', 13, '\0'),
      'header, byte 37: a value of an unknown type'},
    ['a boolean of 2'] = {value('k', 'bool', '\2'),
      'header, byte 38: a boolean that is neither 0 nor 1'},
    ['an empty key'] = {value('', 'bool', '\1\0'),
      'header, byte 32: a name that is empty or too long'},
    ['a key with a zero byte'] = {value('a\0b', 'bool', '\1'),
      'header, byte 35: a name that is not plain UTF-8'},
    ['a key that is not UTF-8'] = {value('\255', 'bool', '\1'),
      'header, byte 33: a name that is not plain UTF-8'},
    ['a key twice'] = {gguf.file {values = {gguf.value('k', 'bool', '\1'),
      gguf.value('k', 'bool', '\0')}}, 'k: a metadata key is there twice'},
    ['an alignment of nothing'] = {value('general.alignment', 'u32', gguf.u32(0)),
      'header, byte 57: an alignment beyond 1 to 2^20'},
    ['a tensor of five dimensions'] = {
      gguf.file {tensors = {gguf.tensor('x', {1, 1, 1, 1, 1}, F32, 0)}, data = '1234'},
      'header, byte 37: a tensor of more than 4 dimensions'},
    ['a tensor of an unknown type'] = {
      gguf.file {tensors = {gguf.tensor('x', {1}, 99, 0)}, data = '1234'},
      'header, byte 57: a tensor of an unknown type'},
    ['a shape whose product overflows'] = {
      gguf.file {tensors = {gguf.tensor('x', {2ULL ^ 40, 2ULL ^ 40}, F32, 0)}},
      'header, byte 65: a shape whose product overflows'},
    ['a shape so large that only a zero keeps it empty'] = {
      gguf.file {tensors = {gguf.tensor('x', {0, 2ULL ^ 62, 4}, F32, 0)}},
      'header, byte 73: a shape whose product overflows'},
    ['rows that are no whole blocks'] = {
      gguf.file {tensors = {gguf.tensor('x', {128, 2}, Q4_K, 0)}, data = ('\0'):rep(144)},
      'x: Q4_K needs rows of a multiple of 256'},
    ['a name twice'] = {gguf.file {tensors = {x, gguf.tensor('x', {1}, F32, 32)},
      data = ('\0'):rep(36)}, 'x: the name is there twice'},
    ['tensors that overlap'] = {gguf.file {tensors = {x, gguf.tensor('y', {1}, F32, 0)},
      data = '1234'}, 'y: overlaps another tensor'},
    ['a hole between tensors'] = {gguf.file {tensors = {x, gguf.tensor('y', {1}, F32, 64)},
      data = ('\0'):rep(68)}, 'y: leaves a hole before it'},
    ['a file that is cut short'] = {gguf.file {tensors = {x}, data = '123'},
      'x: ends at byte 4 of the data, the file has 3 (cut short?)'},
    ['a rest behind the last tensor'] = {gguf.file {tensors = {x}, data = ('\0'):rep(33)},
      '29 bytes behind the last tensor'},
    ['nothing behind its first word'] = {'GGUF\3\0\0\0',
      'header, byte 8: the file ends in its header (cut short?)'},
  } do
    it('refuses ' .. what, function()
      assert.equal(case[2], refused(case[1]))
    end)
  end

  it('refuses types that it knows but does not read, when their tensor is asked for', function()
    local path = write(gguf.file {tensors = {gguf.tensor('x', {256}, 10, 0)},
      data = ('\0'):rep(84)})
    local w = assert(weights.open(path, {backend = be}))
    local t, err = w:tensor 'x'
    assert.is_nil(t)
    assert.equal(path .. ': x: dtype Q2_K cannot become a tensor', err)
    assert.is_nil(w:count_nonfinite 'x')
  end)

  it('refuses a whole file that is cut at any byte', function()
    local whole = read(FIXTURES .. 'types.gguf')
    local path = write ''
    for n = 0, #whole - 1, 11 do
      st.write(whole:sub(1, n), path)
      local w, err = weights.open(path, {backend = be})
      -- What is missing may be padding alone.
      if w then assert.is_true(#whole - n < 32) else assert.is_nil(err:find '\n') end
    end
  end)

  it('reads or refuses a file with any one byte changed, and never ends the process', function()
    local whole, path = read(FIXTURES .. 'types.gguf'), write ''
    for at = 1, 1200, 7 do
      for _, byte in ipairs {0, 1, 127, 255} do
        st.write(whole:sub(1, at - 1) .. string.char(byte) .. whole:sub(at + 1), path)
        local w, err = weights.open(path, {backend = be})
        if w then
          w:metadata()
          for _, name in ipairs(w:names()) do w:tensor(name, 'f32') end
        else
          assert.is_nil(err:find '\n')
        end
      end
    end
  end)
end)
