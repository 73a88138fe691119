-- Models in q8 and q4: written once, or made while they are opened, they are the same.

local ag = require 'argent'
local command = require 'support.command'
local golden = require 'support.golden'
local lfs = require 'lfs'
local quantize = require 'argent.quantize'
local weights = require 'argent.weights'

local function listing(dir)
  local names = {}
  for name in lfs.dir(dir) do names[#names + 1] = name end
  table.sort(names)
  return names
end

describe('a quantised model', function()
  local be = assert(ag.backend('cpu', {threads = 2}))
  local folder, model = os.tmpname()
  local made = {}

  setup(function()
    os.remove(folder)
    assert(lfs.mkdir(folder))
    for _, m in ipairs(golden.models()) do
      if m.name == 'custom' then model = m.model end
    end
    for _, dtype in ipairs {'q8', 'q4'} do
      made[dtype] = folder .. '/' .. dtype
      local r = command.run {'quantize', model, '-o', made[dtype], '--dtype', dtype}
      assert.equal(0, r.code, r.err)
    end
  end)
  teardown(function() os.execute('rm -rf ' .. folder) end)

  local function say(dir, ...)
    local path = folder .. '/said.wav'
    local r = command.run {'say', 'Hello there.', '-m', dir, '--voice', 'ryan', '--seed', '3',
      '--max-frames', '12', '-o', path, ...}
    assert.equal(0, r.code, r.err)
    local sound = assert(io.open(path, 'rb')):read '*a'
    os.remove(path)
    return sound
  end

  it('says the same bytes from its directory and made at opening', function()
    for dtype, dir in pairs(made) do assert.equal(say(model, '--dtype', dtype), say(dir)) end
  end)

  it('has the planes that are documented, and everything else as it was', function()
    local old = assert(weights.open(model, {backend = be}))
    for dtype, dir in pairs(made) do
      local new, count = assert(weights.open(dir, {backend = be})), 0
      for _, name in ipairs(old:names()) do
        local a, b = old:info(name), new:info(name)
        local scale = new:info(name .. '_scale')
        if scale then
          count = count + 1
          local ins = a.shape[2]
          assert.same({a.shape[1], dtype == 'q8' and ins or math.ceil(ins / 2)}, b.shape)
          assert.equal(dtype == 'q8' and 'I8' or 'U8', b.dtype)
          assert.same({a.shape[1], math.ceil(ins / 32)}, scale.shape)
          assert.equal('F16', scale.dtype)
        else
          assert.same({a.dtype, a.shape}, {b.dtype, b.shape})
          assert.same(old:tensor(name):totable(), new:tensor(name):totable())
        end
      end
      assert.equal(#old:names() + count, #new:names())
      assert.is_true(count > 20)
      assert.equal(dtype .. ' in blocks of 32', new:metadata().quantization)
    end
  end)

  it('is opened in its kind, and in no other', function()
    for dtype, dir in pairs(made) do
      assert.equal(dtype, assert(ag.qwen3_tts.open(dir, {backend = be})).dtype)
      local tts, err, code = ag.qwen3_tts.open(dir, {backend = be, dtype = 'bf16'})
      assert.same({nil, ('%s/model.safetensors: its weights are %s and cannot be opened as bf16')
        :format(dir, dtype), 'format'}, {tts, err, code})
    end
  end)

  it('is for the CPU', function()
    local card = assert(ag.backend 'cuda-emulated')
    local tts, err, code = ag.qwen3_tts.open(model, {backend = card, dtype = 'q8'})
    assert.same({nil, model .. '/model.safetensors: q8 weights are for the CPU', 'unsupported'},
      {tts, err, code})
  end)

  it('is described by inspect as complete', function()
    local r = command.run {'inspect', made.q8}
    assert.equal(0, r.code, r.err)
    assert.truthy(r.out:find('complete: yes', 1, true))
    assert.truthy(r.out:find('weights: q8', 1, true))
  end)

  it('is not quantised again, and replaces nothing', function()
    local r = command.run {'quantize', made.q8, '-o', folder .. '/again'}
    assert.equal(3, r.code)
    assert.equal(('argent: quantize: %s: its weights are q8 already\n'):format(made.q8), r.err)
    r = command.run {'quantize', model, '-o', made.q8}
    assert.equal(2, r.code)
    assert.equal(('argent: quantize: %s is here already; give another name with -o, or remove it\n')
      :format(made.q8), r.err)
    assert.same({'.', '..', 'q4', 'q8'}, listing(folder))
  end)

  it('is not made inside the model, of which it would be a part', function()
    local inside = folder .. '/whole'
    finally(function() os.execute('rm -rf ' .. inside) end)
    os.execute(('cp -r %s %s'):format(model, inside))
    for _, to in ipairs {inside .. '/q8', inside .. '/speech_tokenizer/q8/'} do
      local err = ('%s: is inside the model %s; name another place'):format(to, inside)
      assert.same({nil, err, 'io'},
        {quantize.directory(inside, to, 'q8', {backend = be})})
    end
    assert.is_nil(lfs.attributes(inside .. '/q8.partial'))
  end)

  it('of damaged weights is not made, and leaves nothing behind', function()
    local damaged = folder .. '/damaged'
    finally(function() os.execute('rm -rf ' .. damaged) end)
    os.execute(('cp -r %s %s'):format(model, damaged))
    local t = assert(ag.load(damaged .. '/model.safetensors', {backend = be}))
    local name = 'talker.model.layers.1.mlp.down_proj.weight'
    t[name] = t[name]:to 'f32'
    t[name]:select(1, 2):fill(3e38)
    ag.ops.add(t[name], t[name], t[name], 1)
    assert(ag.save(damaged .. '/model.safetensors', t))
    local r, err, code = quantize.directory(damaged, folder .. '/out', 'q8', {backend = be})
    assert.is_nil(r)
    assert.truthy(err:find(name .. ': %d+ values are NaN or infinite'))
    assert.equal('format', code)
    assert.same({'.', '..', 'damaged', 'q4', 'q8'}, listing(folder))
    local tts
    tts, err = ag.qwen3_tts.open(damaged, {backend = be, dtype = 'q8'})
    assert.is_nil(tts)
    assert.truthy(err:find(name .. ': %d+ values are NaN or infinite'))
  end)
end)
