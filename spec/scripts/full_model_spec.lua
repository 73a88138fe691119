-- scripts/make_full_model.lua, on the configs of a small model: what it writes there in megabytes
-- it writes for the released configs in gigabytes.

local ag = require 'argent'
local command = require 'support.command'
local golden = require 'support.golden'
local lfs = require 'lfs'
local weights = require 'argent.weights'

describe('make_full_model', function()
  local dir, small
  local be = assert(ag.backend('cpu', {threads = 1}))

  setup(function()
    dir = os.tmpname()
    os.remove(dir)
    assert(lfs.mkdir(dir))
    for _, m in ipairs(golden.models()) do
      if m.name == 'custom' then small = m.model end
    end
    if small:sub(1, 1) ~= '/' then small = lfs.currentdir() .. '/' .. small end
  end)

  teardown(function() os.execute('rm -rf ' .. command.quote(dir)) end)

  local function make(...)
    return command.run {'run', command.root .. '/scripts/make_full_model.lua', ...}
  end

  local function made(name, ...)
    local r = make(dir .. '/' .. name, ...)
    assert.equal(0, r.code, r.err)
    return dir .. '/' .. name
  end

  local function read(path)
    local f = assert(io.open(path, 'rb'))
    local s = f:read '*a'
    f:close()
    return s
  end

  it('writes the tensors of the official checkpoint that speech needs, in its shapes and dtypes',
    function()
    local model = made('a', small)
    local tts = assert(ag.qwen3_tts.open(small, {backend = be}))
    for part, dtype in pairs {['/'] = 'BF16', ['/speech_tokenizer'] = 'F32'} do
      local want = part == '/' and tts.weights or tts.codec_weights
      local have = assert(weights.open(model .. part, {backend = be}))
      local count, unused = 0, {}
      for _, name in ipairs(want:unused()) do unused[name] = true end
      for _, name in ipairs(want:names()) do
        if not unused[name] then
          local info = have:info(name)
          assert.is_not_nil(info, name)
          assert.same(want:info(name).shape, info.shape)
          assert.equal(dtype, info.dtype)
          count = count + 1
        end
      end
      assert.equal(count, #have:names())
    end
  end)

  it('which speak until they are told to stop, and the same for a seed', function()
    local model = made('b', small, '7')
    local tts = assert(ag.qwen3_tts.open(model, {backend = be}))
    for seed = 1, 3 do
      local s = assert(tts:say {text = 'Hello.', voice = 'ryan', seed = seed, max_frames = 40})
      assert.equal('limit', s.stats.ended)
      local energy = 0
      for _, v in ipairs(s.samples:totable()) do energy = energy + v * v end
      assert.is_true(energy > 0 and energy < math.huge)
    end
    local function weights_of(path) return read(path .. '/model.safetensors') end
    assert.is_true(weights_of(model) == weights_of(made('c', small, '7')))
    assert.is_false(weights_of(model) == weights_of(made('d', small, '8')))
  end)

  it('refuses sizes that it does not know, and places where nothing can be written', function()
    for _, args in ipairs {{}, {dir .. '/x', '3b'}, {dir .. '/x', '0.6b', 'one'}} do
      local r = make(unpack(args))
      assert.equal(2, r.code)
      assert.matches('^usage: ', r.err)
    end
    assert.is_nil(lfs.attributes(dir .. '/x'))
    local r = make('/no/such/place', small)
    assert.equal(6, r.code)
    assert.equal('/no/such/place: No such file or directory\n', r.err)
  end)
end)
