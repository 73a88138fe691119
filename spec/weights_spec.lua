-- Weights over one file or shards: where names come from, what is missing, what nobody read.

local ag = require 'argent'
local json = require 'argent.json'
local lfs = require 'lfs'
local st = require 'support.st'
local weights = require 'argent.weights'

local be = assert(ag.backend('cpu', {threads = 1}))

local function directory()
  local dir = os.tmpname()
  os.remove(dir)
  assert(lfs.mkdir(dir))
  return dir
end

local function save(dir, name, tensors)
  local t = {}
  for k, shape in pairs(tensors) do t[k] = ag.zeros(be, shape, 'bf16') end
  assert(ag.save(dir .. '/' .. name, t))
end

local function index(dir, map)
  st.write(json.encode {metadata = {total_size = 1}, weight_map = map}, dir
    .. '/model.safetensors.index.json')
end

describe('weights', function()
  local dirs = {}

  local function new()
    dirs[#dirs + 1] = directory()
    return dirs[#dirs]
  end

  local function refused(dir)
    local w, err = weights.open(dir, {backend = be})
    assert.is_nil(w)
    return (err:gsub(dir:gsub('%p', '%%%0'), 'DIR'))
  end

  teardown(function()
    for _, d in ipairs(dirs) do os.execute('rm -rf ' .. d) end
  end)

  it('of one file give tensors by prefix, in the dtype asked for, and say what nobody read',
    function()
    local dir = new()
    save(dir, 'model.safetensors', {['a.b.w'] = {2, 3}, ['a.b.x'] = {1}, ['c'] = {4}})
    local w = assert(weights.open(dir, {backend = be}))
    local scope = w:scope('a.'):scope('b.')
    local got = assert(weights.build(function()
      return {scope:get('w', {2, 3}, 'f32'), scope:get('x', {1}), scope:try('bias', {1}, 'f32')
        == nil}
    end))
    assert.same({'f32', 'bf16', true}, {got[1].dtype, got[2].dtype, got[3]})
    assert.same({'c'}, w:unused())
    assert.same({'a.b.w', 'a.b.x', 'c'}, w:names())
    assert.same({2, 3}, w:info('a.b.w').shape)
    assert.is_true(scope:has 'w')
  end)

  it('are known by their headers alone where that is asked for: shapes hold, values are not read',
    function()
    local dir, w = new(), nil
    local damaged = ag.zeros(be, {2, 3}):fill(1)
    damaged = damaged * math.huge
    assert(ag.save(dir .. '/model.safetensors', {w = damaged, i = ag.tensor(be, {7}, 'i32')}))
    weights.by_headers(function()
      w = assert(weights.open(dir, {backend = be}))
      local got = assert(weights.build(function()
        return {w:scope '':get('w', {2, 3}), w:scope '':get('w', {2, 3}, 'bf16'),
          w:scope '':get('i', {1})}
      end))
      assert.same({'f32', 'bf16', 'i32'}, {got[1].dtype, got[2].dtype, got[3].dtype})
      assert.same({{0, 0, 0}, {0, 0, 0}}, got[1]:totable())
      local r, err = weights.build(function() return w:scope '':get('w', {3, 2}) end)
      assert.is_nil(r)
      assert.matches('w: shape %[2, 3%], expected %[3, 2%]$', err)
    end)
    assert.same({}, w:unused())
    assert.has_error(function() weights.by_headers(function() error('through', 0) end) end,
      'through')
    w = assert(weights.open(dir, {backend = be}))
    local r, err = weights.build(function() return w:scope '':get('w', {2, 3}) end)
    assert.is_nil(r)
    assert.matches('w: ', err)
  end)

  it('that are missing or of another shape end a build with their name', function()
    local dir = new()
    save(dir, 'model.safetensors', {['n.w'] = {2, 3}})
    local w = assert(weights.open(dir, {backend = be}))
    local r, err, code = weights.build(function() return w:scope('n.'):get('v', {2}) end)
    assert.is_nil(r)
    assert.equal(dir .. '/model.safetensors: n.v: missing', err)
    assert.equal('format', code)
    r, err = weights.build(function() return w:scope('n.'):try('w', {3, 2}) end)
    assert.is_nil(r)
    assert.equal(dir .. '/model.safetensors: n.w: shape [2, 3], expected [3, 2]', err)
    assert.has_error(function() weights.build(function() error('a fault of ours', 0) end) end,
      'a fault of ours')
  end)

  it('say which names were asked for in vain', function()
    local dir = new()
    save(dir, 'model.safetensors', {['n.w'] = {2}})
    local w = assert(weights.open(dir, {backend = be}))
    weights.build(function()
      local n = w:scope 'n.'
      return n:get('w', {2}), n:try('bias', {2}), n:get('v', {2})
    end)
    assert.same({'n.bias', 'n.v'}, w:missing())
  end)

  it('stored as f16 become f32, and integers no floats', function()
    local dir = new()
    local path = dir .. '/model.safetensors'
    st.write(st.bytes('{"h":{"dtype":"F16","shape":[2],"data_offsets":[0,4]},'
      .. '"i":{"dtype":"I64","shape":[1],"data_offsets":[4,12]},'
      .. '"n":{"dtype":"I32","shape":[1],"data_offsets":[12,16]}}',
      '\0\60\0\192' .. ('\0'):rep(12)), path)
    local w = assert(weights.open(dir, {backend = be}))
    local h = assert(weights.build(function() return w:scope '':get('h', {2}) end))
    assert.same({'f32', {1, -2}}, {h.dtype, h:totable()})
    local r, err, code = weights.build(function() return w:scope '':get('i', {1}, 'bf16') end)
    assert.is_nil(r)
    assert.equal(path .. ': i: dtype I64 cannot become bf16', err)
    assert.equal('format', code)
    assert.equal(path .. ': n: dtype I32 cannot become f32', select(2, w:tensor('n', 'f32')))
    assert.equal(path .. ': h: dtype F16 cannot become i32', select(2, w:tensor('h', 'i32')))
    assert.equal(path .. ': v: missing', select(2, w:tensor 'v'))
  end)

  it('with names of two lines are named on one', function()
    local dir = new()
    save(dir, 'model.safetensors', {['a\nb'] = {2}})
    local w = assert(weights.open(dir, {backend = be}))
    local _, err = weights.build(function() return w:scope '':get('a\nb', {3}) end)
    assert.equal(dir .. '/model.safetensors: a?b: shape [2], expected [3]', err)
  end)

  describe('with NaN or infinities', function()
    local N = 40000 -- as f32 too many bytes to be looked through by a scope that looks later
    local dir, w, want

    before_each(function()
      dir = new()
      local large = ag.zeros(be, {N})
      large:narrow(1, 7, 1):fill(1 / 0)
      assert(ag.save(dir .. '/model.safetensors', {a = ag.tensor(be, {1, 2}), large = large,
        b = ag.tensor(be, {1, 0 / 0, -1 / 0}), h = ag.tensor(be, {1, 1 / 0}, 'f16'),
        i = ag.tensor(be, {2139095040}, 'i32')}))
      w = assert(weights.open(dir, {backend = be}))
      want = dir .. '/model.safetensors: %s: %d values are NaN or infinite; the file is damaged, '
        .. 'fetch it again'
    end)

    it('are refused where they are asked for, in whatever dtype', function()
      local scope = w:scope ''
      for _, case in ipairs {{'b', 2, {3}}, {'b', 2, {3}, 'bf16'}, {'h', 1, {2}},
        {'h', 1, {2}, 'f32'}, {'large', 1, {N}}} do
        local r, err, code = weights.build(function()
          return scope:get(case[1], case[3], case[4])
        end)
        assert.same({nil, want:format(case[1], case[2]), 'format'}, {r, err, code})
      end
      assert(weights.build(function() return scope:get('a', {2}) end))
      assert(weights.build(function() return scope:get('i', {1}) end)) -- bits of an f32 infinity
    end)

    it('are found later in a scope that looks later, but for small tensors', function()
      local later = w:scope(''):look_later()
      local _, err = weights.build(function() return later:scope '':get('b', {3}) end)
      assert.equal(want:format('b', 2), err)
      assert(weights.build(function() return later:get('a', {2}) end))
      assert.is_nil(w:damaged())
      assert(weights.build(function() return later:scope '':get('large', {N}) end))
      assert.equal(want:format('large', 1), w:damaged())
    end)

    it('are counted by the bytes of the file', function()
      local counts = {}
      for _, name in ipairs(w:names()) do counts[name] = w:count_nonfinite(name) end
      assert.same({a = 0, b = 2, h = 1, i = 0, large = 1}, counts)
    end)
  end)

  it('of shards are one set', function()
    local dir = new()
    save(dir, 'model-00001-of-00002.safetensors', {a = {1}})
    save(dir, 'model-00002-of-00002.safetensors', {b = {2}})
    index(dir, {a = 'model-00001-of-00002.safetensors', b = 'model-00002-of-00002.safetensors'})
    assert.same({'a', 'b'}, assert(weights.open(dir, {backend = be})):names())
  end)

  it('of shards that the hub links into its blobs are accepted, and links elsewhere are not',
    function()
    local hub = new()
    for _, d in ipairs {'/blobs', '/snapshots', '/snapshots/abc', '/other'} do lfs.mkdir(hub
      .. d) end
    local dir = hub .. '/snapshots/abc'
    save(hub .. '/blobs', '0a1b', {a = {1}})
    save(hub .. '/other', '0a1b', {a = {1}})
    lfs.link('../../blobs/0a1b', dir .. '/one.safetensors', true)
    index(dir, {a = 'one.safetensors'})
    assert.same({'a'}, assert(weights.open(dir, {backend = be})):names())
    os.remove(dir .. '/one.safetensors')
    lfs.link('../../other/0a1b', dir .. '/one.safetensors', true)
    assert.equal('DIR/one.safetensors: leads outside the model directory', refused(dir))
  end)

  describe('of shards refuse', function()
    for name, shard in pairs {['a path'] = 'sub/x.safetensors',
      ['a path upwards'] = '../x.safetensors',
      ['an absolute path'] = '/etc/passwd', ['the folder itself'] = '.', ['an empty name'] = '',
        ['a number'] = 7} do
      it(name, function()
        local dir = new()
        index(dir, {a = shard})
        assert.equal('DIR/model.safetensors.index.json: a shard must be a plain file name',
          refused(dir))
      end)
    end

    it('a shard that is not there', function()
      local dir = new()
      index(dir, {a = 'x.safetensors'})
      assert.equal('DIR/x.safetensors: missing (listed in model.safetensors.index.json)',
        refused(dir))
    end)

    it('a name that the shard lacks, one that the index lacks, and one in two shards', function()
      local dir = new()
      save(dir, 'x.safetensors', {a = {1}})
      index(dir, {a = 'x.safetensors', b = 'x.safetensors'})
      assert.equal('DIR/x.safetensors: b: missing, though model.safetensors.index.json lists it',
        refused(dir))
      save(dir, 'x.safetensors', {a = {1}, b = {1}, c = {1}})
      assert.equal('DIR/x.safetensors: c: model.safetensors.index.json does not list it here',
        refused(dir))
      save(dir, 'x.safetensors', {a = {1}})
      save(dir, 'y.safetensors', {a = {1}, b = {1}})
      index(dir, {a = 'x.safetensors', b = 'y.safetensors'})
      assert.equal('DIR/y.safetensors: a: is in DIR/x.safetensors too', refused(dir))
    end)

    it('an index without a map', function()
      local dir = new()
      for _, text in ipairs {'{}', '[]', '{"weight_map":{}}', '{"weight_map":"a"}'} do
        st.write(text, dir .. '/model.safetensors.index.json')
        assert.equal('DIR/model.safetensors.index.json: weight_map is missing', refused(dir))
      end
    end)

    it('a name that the index gives to two shards', function()
      local dir = new()
      save(dir, 'x.safetensors', {a = {1}})
      save(dir, 'y.safetensors', {b = {1}})
      st.write('{"weight_map":{"a":"y.safetensors","a":"x.safetensors","b":"x.safetensors"}}',
        dir .. '/model.safetensors.index.json')
      assert.equal('DIR/x.safetensors: b: missing, though model.safetensors.index.json lists it',
        refused(dir))
    end)

    it('a shard that is a folder, and one that is cut short', function()
      local dir = new()
      index(dir, {a = 'x.safetensors'})
      assert(lfs.mkdir(dir .. '/x.safetensors'))
      assert.equal('DIR/x.safetensors: not a regular file', refused(dir))
      lfs.rmdir(dir .. '/x.safetensors')
      st.write('cut', dir .. '/x.safetensors')
      assert.equal('DIR/x.safetensors: 3 bytes are too few for a file of tensors (cut short?)',
        refused(dir))
    end)
  end)
end)
