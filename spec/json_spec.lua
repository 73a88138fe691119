-- json: what is read and refused, and that what is written reads back.

local json = require 'argent.json'

local path = os.tmpname()

local function write(text)
  local file = assert(io.open(path, 'wb'))
  file:write(text)
  file:close()
end

local function fails(text, limit)
  write(text)
  local value, err = json.read(path, limit)
  assert.is_nil(value)
  assert.equal(path .. ': ', err:sub(1, #path + 2))
  assert.is_nil(err:find('%c'))
  return err:sub(#path + 3)
end

describe('json.read', function()
  teardown(function() os.remove(path) end)

  it('reads objects and arrays, with null as json.null', function()
    write('{"a": [1, 2.5, -3e2], "b": {"c": "\\u00e9\\n"}, "d": null, "e": true}')
    assert.same({a = {1, 2.5, -300}, b = {c = 'é\n'}, d = json.null, e = true}, json.read(path))
    write(' [ ] ')
    assert.same({}, json.read(path))
  end)

  it('says where the text stops being JSON', function()
    assert.equal('not valid JSON: Expected value but found T_END at character 6', fails('{"a":'))
    assert.equal('not valid JSON: Expected value but found T_END at character 1', fails(''))
    assert.matches('^not valid JSON: Expected the end', fails('{} x'))
    assert.matches('^not valid JSON:', fails('[NaN]'))
    assert.matches('^not valid JSON:', fails('[0x10]'))
    assert.matches('^not valid JSON:', fails('{"a": "\0\0"}'))
  end)

  it('refuses a top level that is neither object nor array', function()
    assert.equal('expected an object or an array, found 3', fails('3'))
    assert.equal('expected an object or an array, found null', fails('null'))
  end)

  it('refuses 65 levels and reads 64', function()
    assert.matches('too many nested', fails(('['):rep(65) .. (']'):rep(65)))
    assert.matches('too many nested', fails(('['):rep(1e6)))
    write(('['):rep(64) .. (']'):rep(64))
    assert.is_table(json.read(path))
  end)

  it('refuses a file that is larger than the limit', function()
    assert.equal('10 bytes, more than the limit of 9', fails('[1,2,3,45]', 9))
    write('[1,2,3,45]')
    assert.same({1, 2, 3, 45}, json.read(path, 10))
    local err = fails((' '):rep(2 ^ 20 - 1) .. '[]')
    assert.equal('1048577 bytes, more than the limit of 1048576', err)
  end)

  it('refuses what is not a plain file, without waiting for it', function()
    local _, err = json.read('/tmp')
    assert.equal('/tmp: expected a file, found a directory', err)
    _, err = json.read('/dev/zero')
    assert.equal('/dev/zero: expected a file, found a char device', err)
    os.remove(path)
    assert.equal(0, os.execute('mkfifo ' .. path))
    _, err = json.read(path)
    assert.equal(path .. ': expected a file, found a named pipe', err)
    os.remove(path)
    _, err = json.read(path)
    assert.equal(path .. ': No such file or directory', err)
  end)

  it('keeps the message on one line whatever the path is', function()
    local _, err = json.read('no\nsuch')
    assert.equal('no?such: No such file or directory', err)
  end)

  it('raises on misuse, at the line of the caller', function()
    assert.has_error(function() json.read() end, 'path: expected a string, got nil')
    local _, err = pcall(json.read, path, 0)
    assert.matches('limit: expected an integer from 1 to 2147483647, got 0', err, 1, true)
    _, err = pcall(function() json.read(5) end)
    assert.matches('json_spec.lua', err, 1, true)
  end)
end)

describe('json.encode', function()
  it('writes arrays as arrays, an empty one if it is marked', function()
    assert.equal('[1,2,3]', json.encode{1, 2, 3})
    assert.equal('{"codes":[]}', json.encode{codes = json.array()})
    assert.equal('[7]', json.encode(json.array{7}))
    assert.equal('{}', json.encode{})
  end)

  it('writes objects in alphabetical order', function()
    assert.equal('{"a":null,"b":{"c":[true,false]},"d":"x"}',
      json.encode{d = 'x', b = {c = {true, false}}, a = json.null})
  end)

  it('writes numbers with the digits needed to read them back', function()
    assert.equal('[0.1,1e+100,9007199254740992,16777217,-0.5,0.30000000000000004]',
      json.encode{0.1, 1e100, 2 ^ 53, 16777217, -0.5, 0.1 + 0.2})
  end)

  it('escapes quotes, backslashes and control characters, and leaves slashes alone', function()
    local s = 'a/b\\/c"\n\1é'
    assert.equal([["a/b\\/c\"\n\u0001é"]], json.encode(s))
    assert.same({s}, json.decode(json.encode{s}, 'text'))
  end)

  it('refuses what JSON cannot say', function()
    local loop = {}
    loop.loop = loop
    for value, message in pairs{
      [{1, nil, 3}] = 'without gaps', [{1, x = 2}] = 'neither an array',
      [json.array{1, nil, 3}] = 'without gaps', [{0 / 0}] = 'cannot encode nan',
      [{math.huge}] = 'cannot encode inf', [{print}] = 'cannot encode a function',
      [loop] = 'more than 64 levels',
    } do
      local ok, err = pcall(json.encode, value)
      assert.is_false(ok)
      assert.matches(message, err, 1, true)
    end
  end)
end)

describe('json.checked', function()
  it('lets mistakes in the program through', function()
    assert.has_error(function() json.checked(function() error('a bug', 0) end) end, 'a bug')
  end)

  it('returns the first fault with file and field, on one line', function()
    local object = json.object({a = {b = {1, 'x\ny'}}}, 'f.json')
    local value, err = json.checked(function() return object:object('a'):integers('b', 4, 0, 9) end)
    assert.is_nil(value)
    assert.equal("f.json: a.b[1]: expected an integer from 0 to 9, got string 'x?y'", err)
  end)
end)
