-- argent embed: the vectors of the library, as lines of JSON and as a NumPy file; ag.save_npy.

local ag = require 'argent'
local command = require 'support.command'
local ffi = require 'ffi'
local json = require 'argent.json'
local st = require 'support.st'

local BERT = 'spec/fixtures/golden/encoders/bert'
local be = assert(ag.backend('cpu', {threads = 1}))

local function run(args, opts)
  args[#args + 1], args[#args + 2] = '--threads', '1'
  return command.run(args, opts)
end

-- What a .npy file says: dtype, shape, values; read by its published form.
local function read(path)
  local f = assert(io.open(path, 'rb'))
  local bytes = f:read '*a'
  f:close()
  assert.equal('\147NUMPY\1\0', bytes:sub(1, 8))
  local length = bytes:byte(9) + 256 * bytes:byte(10)
  assert.equal(0, (10 + length) % 64)
  local head = bytes:sub(11, 10 + length)
  assert.matches('\n$', head)
  return head:match "'descr': '([^']+)'", head:match "'shape': (%b())", bytes:sub(11 + length)
end

describe('argent embed', function()
  local texts = {'hello world', 'the cat', 'sat "down"'}
  local want = assert(assert(ag.encoder.open(BERT, {backend = be})):embed(texts))

  local function holds(out)
    local i = 0
    for line in out:gmatch '[^\n]+' do
      i = i + 1
      local o = assert(json.decode(line, 'line'))
      assert.equal(texts[i], o.text)
      local row = want:select(1, i):totable()
      for c, x in ipairs(o.embedding) do assert.equal(row[c], tonumber(ffi.new('float', x))) end
      assert.equal(#row, #o.embedding)
    end
    assert.equal(3, i)
  end

  it('gives a line of JSON for each text, from arguments and from lines', function()
    local r = run {'embed', '-m', BERT, unpack(texts)}
    assert.same({0, ''}, {r.code, r.err})
    holds(r.out)
    holds(run({'embed', '-m', BERT}, {stdin = table.concat(texts, '\r\n\n') .. '\n'}).out)
  end)

  it('writes a NumPy file', function()
    local path = os.tmpname() .. '.npy'
    finally(function() os.remove(path) end)
    local r = run {'embed', '-m', BERT, '-o', path, unpack(texts)}
    assert.same({0, '', path .. ': 3 vectors of 16\n'}, {r.code, r.out, r.err})
    local dtype, shape, bytes = read(path)
    assert.same({'<f4', '(3, 16)', 3 * 16 * 4}, {dtype, shape, #bytes})
    local values, host = ffi.cast('const float *', bytes), want:host()
    for i = 0, 47 do assert.equal(host[i], values[i]) end
  end)

  it('refuses in one line what cannot be', function()
    local path = st.write '\n \n'
    finally(function() os.remove(path) end)
    for line, case in pairs {
      ['no line holds any text'] = {4, {'-f', path}},
      ['the texts are given twice: as arguments and by --file'] = {2, {'x', '-f', path}},
      ['text 1: text is not valid UTF-8 at byte 1'] = {4, {'\255'}},
      ['--output x.csv: expected a name that ends in .npy'] = {2, {'x', '-o', 'x.csv'}},
      ['/none/x.npy: cannot write: No such file or directory; make the folder first: mkdir -p '
        .. '/none'] = {6, {'x', '-o', '/none/x.npy'}},
    } do
      local r = run {'embed', '-m', BERT, unpack(case[2])}
      assert.same({case[1], '', ('argent: embed: %s\n'):format(line)}, {r.code, r.out, r.err})
    end
  end)
end)

describe('ag.save_npy', function()
  it('writes integers and vectors, and other floats as f32', function()
    local path = os.tmpname()
    finally(function() os.remove(path) end)
    assert(ag.save_npy(path, ag.tensor(be, {1, -2, 3}, 'i32')))
    local dtype, shape, bytes = read(path)
    assert.same({'<i4', '(3,)', '\1\0\0\0\254\255\255\255\3\0\0\0'}, {dtype, shape, bytes})
    assert(ag.save_npy(path, ag.tensor(be, {{1.5}}, 'bf16')))
    dtype, shape, bytes = read(path)
    assert.same({'<f4', '(1, 1)', '\0\0\192\63'}, {dtype, shape, bytes})
    assert(ag.save_npy(path, ag.zeros(be, {0, 4})))
    assert.same({'<f4', '(0, 4)', ''}, {read(path)})
  end)

  it('refuses what is no tensor, and says where it cannot write', function()
    local ok, err = pcall(function() ag.save_npy('x.npy', {1}) end)
    assert.is_false(ok)
    assert.matches('embed_spec.lua:%d+: npy: tensor: expected a tensor, got', err)
    local done, why, code = ag.save_npy('/none/x.npy', ag.zeros(be, {1}))
    assert.is_nil(done)
    assert.equal('/none/x.npy: cannot write: No such file or directory', why)
    assert.equal('io', code)
  end)
end)
