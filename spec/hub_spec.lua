-- Where models are found: directories, the hub's cache, ARGENT_MODEL; and what is said when not.

local command = require 'support.command'
local golden = require 'support.golden'
local json = require 'argent.json'
local lfs = require 'lfs'
local posix = require 'argent.posix'

describe('a model', function()
  local dir, model
  local quote = command.quote

  setup(function()
    dir = os.tmpname()
    os.remove(dir)
    assert(lfs.mkdir(dir))
    for _, m in ipairs(golden.models()) do
      if m.name == 'custom' then model = m.model end
    end
    -- As hf download leaves it: refs/main names a snapshot.
    os.execute(('mkdir -p %s/hub'):format(quote(dir)))
  end)

  teardown(function() os.execute('rm -rf ' .. quote(dir)) end)

  local function absolute(path)
    return path:sub(1, 1) == '/' and path or lfs.currentdir() .. '/' .. path
  end

  -- A repository in a cache; the model's files are links to blobs, as the hub makes them.
  local function fetch(cache, name, opts)
    opts = opts or {}
    local repo = ('%s/models--%s'):format(cache, name:gsub('/', '--'))
    local snap = repo .. '/snapshots/' .. (opts.revision or 'abc123')
    os.execute(('mkdir -p %s/speech_tokenizer %s/refs %s/blobs'):format(quote(snap), quote(repo),
      quote(repo)))
    for _, file in ipairs {'config.json', 'generation_config.json', 'vocab.json', 'merges.txt',
      'tokenizer_config.json', 'model.safetensors', 'speech_tokenizer/config.json',
      'speech_tokenizer/model.safetensors'} do
      if file ~= opts.without then
        local blob = 'blobs/' .. file:gsub('/', '-')
        os.execute(('cp -L %s %s'):format(quote(absolute(model) .. '/' .. file),
          quote(repo .. '/' .. blob)))
        os.remove(snap .. '/' .. file)
        local back = file:find '/' and '../../../' or '../../'
        assert(lfs.link(back .. blob, snap .. '/' .. file, true))
      end
    end
    if not opts.no_ref then
      local f = assert(io.open(repo .. '/refs/main', 'w'))
      f:write(opts.revision or 'abc123')
      f:close()
    end
    return snap
  end

  local function inspect(args, env)
    local words = {'inspect', '--json'}
    for _, a in ipairs(args) do words[#words + 1] = a end
    local r = command.run(words, {env = env})
    return r.code == 0 and json.decode(r.out, 'inspect').directory or nil, r
  end

  local function fails(pattern, args, env)
    local found, r = inspect(args, env)
    assert.is_nil(found)
    assert.equal(3, r.code)
    assert.equal(1, select(2, r.err:gsub('\n', '\n')), r.err)
    assert.truthy(r.err:find(pattern, 1, true), r.err)
  end

  it('is found in the cache by its name on the hub, with or without its owner', function()
    local cache = dir .. '/hub'
    local snap = fetch(cache, 'Qwen/Qwen3-TTS-12Hz-0.6B-CustomVoice')
    for _, name in ipairs {'Qwen/Qwen3-TTS-12Hz-0.6B-CustomVoice',
      'Qwen3-TTS-12Hz-0.6B-CustomVoice',
      'qwen/qwen3-tts-12hz-0.6b-customvoice'} do
      assert.equal(snap, (inspect({'-m', name}, {HF_HUB_CACHE = cache})))
      assert.equal(snap, (inspect({}, {HF_HUB_CACHE = cache, ARGENT_MODEL = name})))
      assert.equal(snap, (inspect({'-m', name}, {HF_HOME = dir})))
    end
    local home = dir .. '/home'
    local at_home = fetch(home .. '/.cache/huggingface/hub', 'Qwen/Qwen3-TTS-12Hz-0.6B-Base')
    assert.equal(at_home, (inspect({'-m', 'Qwen3-TTS-12Hz-0.6B-Base'}, {HOME = home})))
    assert.equal(at_home, (inspect({'-m', 'Qwen3-TTS-12Hz-0.6B-Base'}, {HOME = home,
      HF_HOME = dir})))
  end)

  it('is found without a name when the cache holds only one', function()
    local cache = dir .. '/one'
    local snap = fetch(cache, 'Qwen/Qwen3-TTS-12Hz-1.7B-Base', {no_ref = true})
    fetch(cache, 'Qwen/Qwen3-TTS-Tokenizer-12Hz')
    assert.equal(snap, (inspect({}, {HF_HUB_CACHE = cache})))
    fetch(cache, 'someone/Qwen3-TTS-mine')
    fails('several models are here, choose one with -m: Qwen/Qwen3-TTS-12Hz-1.7B-Base, '
      .. 'someone/Qwen3-TTS-mine', {}, {HF_HUB_CACHE = cache})
  end)

  it('is found by its config.json under any name, and models that Argent does not run are passed '
    .. 'by', function()
    local cache = dir .. '/other'
    local snap = fetch(cache, 'someone/my-voices')
    local llama = cache .. '/models--meta--Llama/snapshots/1'
    os.execute('mkdir -p ' .. quote(llama))
    local f = assert(io.open(llama .. '/config.json', 'w'))
    f:write '{"model_type": "gemma"}'
    f:close()
    for _, args in ipairs {{}, {'-m', 'someone/My-Voices'}, {'-m', 'my-voices'}} do
      assert.equal(snap, (inspect(args, {HF_HUB_CACHE = cache})))
    end
    fails('/config.json: model_type: \'gemma\' is no model that Argent runs', {'-m', llama},
      {HF_HUB_CACHE = cache})
  end)

  it('of a damaged cache is not looked for where its refs lead, and the file is named', function()
    local cache, name = dir .. '/damaged', 'Qwen/Qwen3-TTS-12Hz-0.6B-Base'
    fetch(cache, name)
    local ref = cache .. '/models--Qwen--Qwen3-TTS-12Hz-0.6B-Base/refs/main'
    local env = {HF_HUB_CACHE = cache}
    local want = ref .. ': expected a file with the name of a snapshot'
    for _, text in ipairs {'../../..', '..', '/etc', 'a/b', '', '\n', ('a'):rep(300) .. '/b'} do
      local f = assert(io.open(ref, 'w'))
      f:write(text)
      f:close()
      fails(want, {'-m', name}, env)
      fails(want, {}, env)
    end
    os.remove(ref)
    os.execute('mkfifo ' .. quote(ref))
    fails(want .. ', found a named pipe', {'-m', name}, env)
    os.remove(ref)
    assert(lfs.mkdir(ref))
    fails(want .. ', found a directory', {'-m', name}, env)
    assert.equal(0, command.run({'doctor'}, {env = env}).code)
  end)

  it('of a cache is not opened where a file of it is a link out of its folder', function()
    local cache, name = dir .. '/links', 'Qwen/Qwen3-TTS-12Hz-0.6B-Base'
    local snap = fetch(cache, name)
    local env = {HF_HUB_CACHE = cache}
    assert.equal(snap, (inspect({'-m', name}, env)))
    fetch(cache, 'Qwen/Qwen3-TTS-12Hz-1.7B-Base')
    for _, case in ipairs {
      {'config.json', absolute(model) .. '/config.json'},
      {'speech_tokenizer/config.json', absolute(model) .. '/speech_tokenizer/config.json'},
      {'notes.txt', '/etc/passwd'},
      {'vocab.json', '../../../models--Qwen--Qwen3-TTS-12Hz-1.7B-Base/blobs/vocab.json'},
      {'more', '../..'},
    } do
      local path, target = snap .. '/' .. case[1], case[2]
      os.rename(path, path .. '.kept')
      assert(lfs.link(target, path, true))
      fails(path .. ': is a link to /', {'-m', name}, env)
      assert.equal(0, command.run({'doctor'}, {env = env}).code)
      os.remove(path)
      os.rename(path .. '.kept', path)
    end
    assert.equal(snap, (inspect({'-m', name}, env)))
    -- Blobs may be shared by the repositories of a cache.
    os.execute(('mkdir -p %s/blobs/ab && mv %s/blobs/config.json %s/blobs/ab/cdef && ln -s '
      .. '../../blobs/ab/cdef %s/blobs/config.json'):format(quote(cache), quote(snap .. '/../..'),
      quote(cache), quote(snap .. '/../..')))
    assert.equal(snap, (inspect({'-m', name}, env)))
    -- The cache itself may be a link, or lie behind one.
    assert(lfs.link(cache, dir .. '/by-link', true))
    assert.equal(dir .. '/by-link' .. snap:sub(#cache + 1), (inspect({'-m', name},
      {HF_HUB_CACHE = dir .. '/by-link'})))
  end)

  it('is not found in a cache that cannot be read, and the reason is told', function()
    -- Whoever may do everything can read everything, so the system's answer is made up.
    local script, cache = dir .. '/unreadable.lua', dir .. '/unreadable'
    assert(lfs.mkdir(cache))
    local f = assert(io.open(script, 'w'))
    f:write [[
      require('lfs').dir = function(path) error('cannot open ' .. path .. ': Permission denied') end
      return require('argent.hub').find('Qwen/Qwen3-TTS-12Hz-0.6B-Base')]]
    f:close()
    local r = command.run({'run', script}, {env = {HF_HUB_CACHE = cache}})
    assert.equal(3, r.code, r.err)
    local want = ('%s (HF_HUB_CACHE, Permission denied)'):format(cache)
    assert.truthy(r.err:find(want, 1, true), r.err)
  end)

  it('is found for its codec: that of a model that speaks, else a codec alone', function()
    local script = dir .. '/codec.lua'
    local f = assert(io.open(script, 'w'))
    f:write 'print(assert(require("argent").qwen3_tts.codec()).dir)'
    f:close()
    local cache = dir .. '/codecs'
    local repo = cache .. '/models--Qwen--Qwen3-TTS-Tokenizer-12Hz/snapshots'
    os.execute('mkdir -p ' .. quote(repo))
    golden.copy(model .. '/speech_tokenizer', repo .. '/1')
    local function found()
      local r = command.run({'run', script}, {env = {HF_HUB_CACHE = cache}})
      return r.out, r.err
    end
    assert.equal(repo .. '/1\n', found())
    local snap = fetch(cache, 'Qwen/Qwen3-TTS-12Hz-1.7B-Base')
    assert.equal(snap .. '/speech_tokenizer\n', found())
  end)

  it('is whole with its weights in several files behind an index', function()
    local kind = require('argent.models').get 'qwen3_tts'
    local snap = fetch(dir .. '/shards', 'Qwen/Qwen3-TTS-12Hz-1.7B-Base',
      {without = 'model.safetensors'})
    local hub = require 'argent.hub'
    assert.same({'model.safetensors'}, hub.missing_files(snap, kind))
    io.open(snap .. '/model.safetensors.index.json', 'w'):close()
    assert.same({}, hub.missing_files(snap, kind))
  end)

  it('that is a directory comes before one of that name in the cache', function()
    assert.equal(model, (inspect({'-m', model}, {HF_HUB_CACHE = dir .. '/hub'})))
  end)

  it('that is incomplete is told so, with what is missing and how to fetch it', function()
    local cache = dir .. '/cut'
    fetch(cache, 'Qwen/Qwen3-TTS-12Hz-0.6B-Base', {without = 'speech_tokenizer/model.safetensors'})
    for _, args in ipairs {{}, {'-m', 'Qwen3-TTS-12Hz-0.6B-Base'}} do
      fails('is incomplete: speech_tokenizer/model.safetensors missing; fetch the rest with: '
        .. 'argent pull Qwen/Qwen3-TTS-12Hz-0.6B-Base', args, {HF_HUB_CACHE = cache})
    end
  end)

  it('is the demo voice where none is given or found, and one line says so', function()
    local env = {HF_HUB_CACHE = dir .. '/nowhere'}
    local found, r = inspect({}, env)
    assert.equal(absolute(posix.realpath(command.root .. '/models/demo')), found)
    assert.equal('no model is given or found: the demo voice is used (argent say --help: how to '
      .. 'get a released model)\n', r.err)
    -- A name, the variable and the cache's only model go before it, without that line.
    local cache = dir .. '/before'
    local snap = fetch(cache, 'Qwen/Qwen3-TTS-12Hz-1.7B-Base')
    for _, case in ipairs {
      {model, {'-m', model}, env},
      {model, {}, {HF_HUB_CACHE = dir .. '/nowhere', ARGENT_MODEL = model}},
      {snap, {}, {HF_HUB_CACHE = cache}},
    } do
      found, r = inspect(case[2], case[3])
      assert.equal(case[1], found)
      assert.equal('', r.err)
    end
    -- Asked for by its directory it is a model as any.
    assert.equal('', select(2, inspect({'-m', command.root .. '/models/demo'}, env)).err)
  end)

  -- A home of Argent without the demo voice.
  local function bare_home()
    local home = dir .. '/bare'
    if not lfs.attributes(home) then
      assert(lfs.mkdir(home))
      assert(lfs.link(command.root .. '/lua', home .. '/lua', true))
    end
    return home
  end

  it('that is nowhere is told with every place searched and the command that fetches it', function()
    local env = {HF_HUB_CACHE = dir .. '/nowhere', HF_HOME = dir, HOME = dir}
    fails(('no model: ARGENT_MODEL is not set, and there is none in %s/nowhere (HF_HUB_CACHE, not '
      .. 'there), '
      .. '%s/none/hub (HF_HOME, not there), %s/.cache/huggingface/hub (HOME, not there); fetch '
        .. 'one with: '
      .. 'argent pull Qwen/Qwen3-TTS-12Hz-0.6B-CustomVoice, or give -m DIR'):format(dir, dir, dir),
        {},
      {HF_HUB_CACHE = dir .. '/nowhere', HF_HOME = dir .. '/none', HOME = dir,
        ARGENT_HOME = bare_home()})
    fails('Qwen/Qwen3-TTS-12Hz-1.7B-VoiceDesign is not here: searched ', {'-m',
      'Qwen3-TTS-12Hz-1.7B-VoiceDesign'}, env)
    fails('fetch it with: argent pull Qwen/Qwen3-TTS-12Hz-1.7B-VoiceDesign', {'-m',
      'qwen3-tts-12hz-1.7b-voicedesign'}, env)
    fails('did you mean Qwen/Qwen3-TTS-12Hz-0.6B-Base?', {'-m', 'Qwen3-TTS-12Hz-0.6-Base'}, env)
    fails('/no/such: no such model directory (from -m)', {'-m', '/no/such'}, env)
    fails('./such: no such model directory (from ARGENT_MODEL)', {}, {ARGENT_MODEL = './such'})
  end)

  it('is found the same way by scripts', function()
    local script = dir .. '/find.lua'
    local f = assert(io.open(script, 'w'))
    f:write [[
      local ag = require 'argent'
      print((ag.qwen3_tts.find 'Qwen3-TTS-12Hz-0.6B-CustomVoice'))
      print(assert(ag.qwen3_tts.open()).cfg.kind)
    ]]
    f:close()
    local r = command.run({'run', script}, {env = {HF_HUB_CACHE = dir .. '/hub'}})
    assert.equal(dir .. '/hub/models--Qwen--Qwen3-TTS-12Hz-0.6B-CustomVoice/snapshots/abc123\n'
      .. 'custom_voice\n', r.out, r.err)
  end)

  it('that scripts open without a name is the demo voice, and its first voice speaks', function()
    local script = dir .. '/demo.lua'
    local f = assert(io.open(script, 'w'))
    f:write [[
      local tts = assert(require('argent').qwen3_tts.open())
      local options = {text = 'Good morning.', seed = 1, max_frames = 4}
      local unnamed = assert(tts:say(options)).codes:totable()
      options.voice = tts:voices()[1]
      local named = assert(tts:say(options)).codes:totable()
      local same = 0
      for i, frame in ipairs(named) do
        for g, code in ipairs(frame) do same = same + (unnamed[i][g] == code and 1 or 0) end
      end
      print(tts.cfg.size, same, #named * #named[1])
    ]]
    f:close()
    local r = command.run({'run', script}, {env = {HF_HUB_CACHE = dir .. '/nowhere'}})
    assert.equal('demo\t16\t16\n', r.out, r.err)
    assert.equal('', r.err)
  end)
end)
