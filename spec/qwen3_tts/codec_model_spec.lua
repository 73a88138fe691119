-- The codec in a directory of its own, as the hub has it (Qwen3-TTS-Tokenizer-12Hz).

local ag = require 'argent'
local command = require 'support.command'
local compare = require 'support.compare'
local golden = require 'support.golden'
local json = require 'argent.json'
local lfs = require 'lfs'

describe('a codec alone', function()
  local be, dir, alone, base, recording, tts = assert(ag.backend 'cpu')

  setup(function()
    dir = os.tmpname()
    os.remove(dir)
    assert(lfs.mkdir(dir))
    for _, m in ipairs(golden.models()) do
      if m.name == 'base' then base = m end
    end
    alone = golden.copy(base.model .. '/speech_tokenizer', dir .. '/codec')
    recording = base.dir .. '/reference.wav'
    tts = assert(ag.qwen3_tts.open(base.model, {backend = be}))
  end)
  teardown(function() os.execute('rm -rf ' .. command.quote(dir)) end)

  it('encodes and decodes as it does within a model', function()
    local samples = assert(ag.audio.read(recording, {backend = be}))
    local codes = assert(tts.codec:encode(samples))
    local sound = assert(tts.codec:decode(codes))
    for _, path in ipairs {alone, base.model .. '/speech_tokenizer', base.model} do
      local codec = assert(ag.qwen3_tts.codec(path, {backend = be}))
      assert.same({tts.codec.rate, tts.codec.groups, tts.codec.samples_per_frame, be},
        {codec.rate, codec.groups, codec.samples_per_frame, codec.backend})
      assert.same(codes:totable(), assert(codec:encode(samples)):totable())
      assert.is_true(compare.same_bits(sound, assert(codec:decode(codes))))
    end
  end)

  it('is what encode, decode and inspect of the command need', function()
    local function run(...)
      local r = command.run {...}
      assert.equal(0, r.code, r.err)
      return r
    end
    local with_model = run('encode', recording, '-m', base.model).out
    local codes = dir .. '/codes.json'
    assert.equal(with_model, run('encode', recording, '-m', alone).out)
    run('encode', recording, '-m', alone, '-o', codes)
    run('decode', codes, '-m', alone, '-o', dir .. '/a.wav')
    run('decode', codes, '-m', base.model, '-o', dir .. '/b.wav')
    local a = assert(ag.audio.read(dir .. '/a.wav', {backend = be}))
    assert.is_true(compare.same_bits(a, assert(ag.audio.read(dir .. '/b.wav', {backend = be}))))

    local r = run('inspect', alone)
    assert.matches('^' .. alone:gsub('%p', '%%%0') .. ': the codec of Qwen3%-TTS\ncodec: 24000 Hz, '
      .. '1920 samples a frame, %d+ groups of %d+ codes\nmodel: %d+ tensors, .*\ncomplete: yes\n$',
      r.out)
    local facts = json.decode(run('inspect', alone, '--json').out, 'inspect')
    assert.same({'codec', 24000, #tts.codec_weights:names()},
      {facts.kind, facts.codec.rate, facts.model.tensors})
    assert.matches('^' .. alone:gsub('%p', '%%%0') .. ' %(the codec of Qwen3%-TTS%)',
      run('encode', recording, '-m', alone, '-v').err:match 'model: (.*)')
  end)

  it('does not speak, and says what does', function()
    for _, verb in ipairs {'say', 'voices', 'bench', 'clone'} do
      local words = {verb, '-m', alone}
      if verb == 'say' then words[4] = 'Hello.' end
      if verb == 'clone' then words[4] = recording end
      local r = command.run(words)
      assert.same({3, ('argent: %s: %s: is the codec of Qwen3-TTS, which cannot speak; use '
        .. 'Qwen3-TTS\n'):format(verb, alone)}, {r.code, r.err})
    end
  end)

  it('is found by its name on the hub, and by doctor', function()
    local snapshot = '/hub/models--Qwen--Qwen3-TTS-Tokenizer-12Hz/snapshots/1'
    os.execute(('mkdir -p %s'):format(command.quote(dir .. '/hub/models--Qwen--Qwen3-TTS-'
      .. 'Tokenizer-12Hz/snapshots')))
    golden.copy(alone, dir .. snapshot)
    local env = {HF_HUB_CACHE = dir .. '/hub'}
    for _, words in ipairs {{'encode', recording}, {'encode', recording, '-m',
      'Qwen3-TTS-Tokenizer-12Hz'}} do
      local r = command.run(words, {env = env})
      assert.equal(0, r.code, r.err)
    end
    local r = json.decode(command.run({'doctor', '--json'}, {env = env}).out, 'doctor')
    assert.equal(1, #r.models)
    assert.same({'Qwen/Qwen3-TTS-Tokenizer-12Hz', 'codec'}, {r.models[1].name, r.models[1].kind})
    assert.is_nil(r.models[1].fault)
    assert.matches('Qwen/Qwen3%-TTS%-Tokenizer%-12Hz: codec, complete\n',
      command.run({'doctor'}, {env = env}).out)
    os.remove(dir .. snapshot .. '/model.safetensors')
    r = command.run({'encode', recording}, {env = env})
    assert.equal(3, r.code)
    assert.matches('is incomplete: model.safetensors missing', r.err)
  end)

  it('whose parts do not fit each other, or are missing, is refused', function()
    local broken = golden.copy(alone, dir .. '/broken')
    local path = broken .. '/config.json'
    local cfg = golden.json(path)
    cfg.encoder_valid_num_quantizers = 3
    local f = assert(io.open(path, 'w'))
    f:write(json.encode(cfg))
    f:close()
    local codec, err, code = ag.qwen3_tts.codec(broken, {backend = be})
    assert.same({nil, ('%s: encoder_valid_num_quantizers: expected %d '
      .. '(decoder_config.num_quantizers), got 3'):format(path, tts.codec.groups), 'format'},
      {codec, err, code})

    local deaf = golden.copy(alone, dir .. '/deaf')
    local t = assert(ag.load(deaf .. '/model.safetensors', {backend = be}))
    for name in pairs(t) do
      if name:find '^encoder%.' then t[name] = nil end
    end
    assert(ag.save(deaf .. '/model.safetensors', t))
    codec = assert(ag.qwen3_tts.codec(deaf, {backend = be}))
    assert(codec:decode(ag.zeros(be, {1, codec.groups}, 'i32')))
    assert.matches('has no encoder', select(2, codec:encode {0, 0}))
    local r = command.run {'inspect', deaf}
    assert.equal(3, r.code)
    assert.matches('complete: no: .* has no encoder', r.out)
  end)
end)
