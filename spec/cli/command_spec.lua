-- The command as a person or a script meets it: files, streams, one line of error, exit codes.

local ag = require 'argent'
local command = require 'support.command'
local golden = require 'support.golden'
local json = require 'argent.json'
local lfs = require 'lfs'
local lib = require 'argent.ffi'
local st = require 'support.st'

local be = assert(ag.backend('cpu', {threads = 1}))

local function read(path)
  local f = assert(io.open(path, 'rb'))
  local s = f:read '*a'
  f:close()
  return s
end

-- 16-bit samples of a wav file as libsndfile writes it (44 bytes of header).
local function samples(wav)
  assert.equal('RIFF', wav:sub(1, 4))
  return wav:sub(45)
end

describe('argent', function()
  local dir, model, case

  setup(function()
    dir = os.tmpname()
    os.remove(dir)
    assert(lfs.mkdir(dir))
    for _, m in ipairs(golden.models()) do
      for _, c in ipairs(m.cases) do
        if c.mode == 'custom_voice' and c.seed and not c.options then model, case = m, c end
      end
    end
  end)

  teardown(function() os.execute('rm -rf ' .. command.quote(dir)) end)

  local function say(more, opts)
    local args = {'say', case.text, '-m', model.model, '--voice', case.voice, '--language',
      case.language, '--layout',
      case.layout, '--seed', tostring(case.seed), '--max-frames',
        tostring(case.max_new_tokens - 1), '--threads', '2'}
    for _, a in ipairs(more or {}) do args[#args + 1] = a end
    return command.run(args, opts)
  end

  -- A failing run: this code, exactly one line on standard error, nothing on standard output,
  -- nothing left in the folder.
  local function fails(code, pattern, r)
    assert.equal(code, r.code, r.err)
    assert.equal('', r.out)
    assert.equal(1, select(2, r.err:gsub('\n', '\n')), r.err)
    assert.matches('^argent: ', r.err)
    assert.truthy(r.err:find(pattern, 1, true), r.err)
  end

  local function copy_model(to)
    return golden.copy(model.model, to)
  end

  it('says a golden case: the official codes, the official sound, a summary on standard error '
    .. 'only', function()
    local wav, codes = dir .. '/a b.wav', dir .. '/codes.json'
    local r = say {'-o', wav, '--codes', codes, '--bits', 'float', '--dtype', 'f32'}
    assert.equal(0, r.code, r.err)
    assert.equal('', r.out)
    assert.matches('a b%.wav: [%d.]+ s of speech in [%d.]+ s %(RTF [%d.]+%), first audio after '
      .. '[%d.]+ s, seed %d+\n$', r.err)
    local e = assert(ag.load(('%s/%s.safetensors'):format(model.dir, case.name), {backend = be}))
    assert.same(e.codes:totable(), json.decode(read(codes), 'codes').codes)
    local decoded = dir .. '/decoded.wav'
    r = command.run {'decode', codes, '-m', model.model, '-o', decoded, '--bits', 'float',
      '--codec', 'f32'}
    assert.equal(0, r.code, r.err)
    assert.equal(samples(read(wav)), samples(read(decoded)))
  end)

  it('gives the same bytes twice, with one thread and two, to a file and as a stream', function()
    local a, b = dir .. '/a.wav', dir .. '/b.wav'
    assert.equal(0, say({'-o', a}).code)
    assert.equal(0, say({'-o', b, '--threads', '1'}).code)
    assert.equal(read(a), read(b))
    local r = say {'-o', '-'}
    assert.equal(0, r.code)
    assert.equal(samples(read(a)), r.out)
  end)

  it('reads the text from a file, from standard input by - and by -f -', function()
    local text = dir .. '/text.txt'
    st.write(case.text, text)
    local want = say({'-o', '-'}).out
    local rest = {'-m', model.model, '--voice', case.voice, '--language', case.language,
      '--layout', case.layout, '--seed',
      tostring(case.seed), '--max-frames', tostring(case.max_new_tokens - 1), '-o', '-'}
    for _, how in ipairs {{'-f', text}, {'-'}, {'-f', '-'}} do
      local args = {'say', unpack(how)}
      for _, a in ipairs(rest) do args[#args + 1] = a end
      assert.equal(want, command.run(args, {stdin = case.text}).out)
    end
  end)

  it('writes every format', function()
    for _, ext in ipairs {'wav', 'flac', 'ogg', 'opus', 'mp3'} do
      local path = ('%s/out.%s'):format(dir, ext)
      local r = say {'-o', path}
      assert.equal(0, r.code, r.err)
      assert.is_true(lfs.attributes(path, 'size') > 100)
    end
  end)

  it('tokenizes without the template, and recognises added tokens on demand', function()
    local ids = {}
    for i = 4, #case.ids - 5 do ids[#ids + 1] = case.ids[i] end
    local r = command.run {'tokenize', case.text, '-m', model.model}
    assert.equal(json.encode(ids) .. '\n', r.out)
    r = command.run {'tokenize', '<|im_start|>', '--special', '-m', model.model}
    assert.equal(('[%d]\n'):format(case.ids[1]), r.out)
    assert.equal('[]\n', command.run({'tokenize', '', '-m', model.model}).out)
  end)

  it('lists voices and describes a model, as text and as JSON', function()
    local r = command.run {'voices', '-m', model.model}
    assert.matches('ryan\n', r.out)
    local v = json.decode(command.run({'voices', '--json', '-m', model.model}).out, 'voices')
    assert.equal('dylan', v.voices[1].name)
    assert.equal('beijing_dialect', v.voices[1].dialect)
    assert.matches('languages: auto, chinese %(zh%), english %(en%)', r.out)
    assert.equal('zh', v.language_codes[v.languages[2]])
    r = command.run {'inspect', '-m', model.model}
    assert.equal(0, r.code)
    assert.matches('kind custom_voice', r.out)
    assert.matches('complete: yes', r.out)
    local i = json.decode(command.run({'inspect', '--json', '-m', model.model}).out, 'inspect')
    assert.equal(64, i.talker.hidden)
    assert.matches('talker.model.norm.weight  BF16  %[64%]', command.run({'inspect', '--tensors',
      '-m', model.model}).out)
  end)

  it('finds the model by ARGENT_MODEL', function()
    assert.equal(0, command.run({'voices'}, {env = {ARGENT_MODEL = model.model}}).code)
  end)

  it('runs scripts with their arguments, and reports where they fail', function()
    local script = dir .. '/s.lua'
    st.write("local ag = require 'argent' print(ag.version, arg[1], arg[2], ...)", script)
    assert.matches('^%d+%.%d+%.%d+\t%-x\ty\t%-x\ty\n$', command.run({'run', script, '-x', 'y'}).out)
    st.write("\nerror 'no'", script)
    fails(1, 's.lua:2: no', command.run {'run', script})
    st.write('return 9', script)
    assert.equal(9, command.run({'run', script}).code)
    fails(6, 'No such file', command.run {'run', dir .. '/none.lua'})
  end)

  it('helps', function()
    assert.matches('^Usage: argent VERB', command.run({'--help'}).out)
    assert.matches('^argent %d', command.run({'--version'}).out)
    for _, verb in ipairs {'say', 'decode', 'voices', 'inspect', 'tokenize', 'run'} do
      local r = command.run {verb, '--help'}
      assert.equal(0, r.code)
      assert.matches('^Usage: argent ' .. verb, r.out)
      assert.matches('Examples:', r.out)
    end
  end)

  describe('refuses', function()
    it('misuse, with exit code 2 and a hint', function()
      fails(2, "unknown verb 'sya', did you mean say?", command.run {'sya'})
      fails(2, "unknown option '--temprature', did you mean --temperature?", command.run {'say',
        'x', '--temprature', '1'})
      fails(2, 'expected an integer from 1', command.run {'say', 'x', '--max-frames', '0'})
      fails(2, 'expected a number', command.run {'say', 'x', '--top-p', 'nan'})
      fails(2, 'no text', command.run {'say', '-m', model.model})
      fails(2, 'given twice', command.run {'say', 'x', '-f', 'y', '-m', model.model})
      fails(2, "unknown sound format '.xyz'", say {'-o', dir .. '/a.xyz'})
      fails(2, 'flac cannot hold float samples', say {'-o', dir .. '/a.flac', '--bits', 'float'})
      assert.equal(2, command.run({}).code)
    end)

    it('models that are missing or broken, with exit code 3', function()
      fails(3, '/none: no such model directory', command.run {'say', 'x', '-m', dir .. '/none'})
      if not ag.backend 'cuda' then fails(3, "backend 'cuda': ", say {'--device', 'cuda'}) end
      local broken = copy_model(dir .. '/broken')
      local path = broken .. '/model.safetensors'
      local bytes = read(path)
      st.write(bytes:sub(1, #bytes - 100), path)
      fails(3, '(cut short?)', command.run {'say', 'x', '-m', broken, '--voice', 'ryan'})
      st.write('{"model_type": "qwen3_tts"', broken .. '/config.json')
      fails(3, 'config.json', command.run {'say', 'x', '-m', broken, '--voice', 'ryan'})
      os.remove(broken .. '/config.json')
      fails(3, 'config.json', command.run {'say', 'x', '-m', broken, '--voice', 'ryan'})
      for _, file in ipairs {'vocab.json', 'merges.txt', 'tokenizer_config.json',
        'generation_config.json',
        'speech_tokenizer/config.json', 'speech_tokenizer/model.safetensors'} do
        local other = copy_model(dir .. '/other')
        os.remove(other .. '/' .. file)
        fails(3, file:match '[^/]*$', command.run {'say', 'x', '-m', other, '--voice', 'ryan'})
        st.write('{"a": [1', other .. '/' .. file)
        fails(3, file:match '[^/]*$', command.run {'say', 'x', '-m', other, '--voice', 'ryan'})
        os.execute('rm -rf ' .. other)
      end
    end)

    it('a model with a missing or wrongly shaped tensor, and says so in inspect too', function()
      local other = copy_model(dir .. '/missing')
      local t = assert(ag.load(other .. '/model.safetensors', {backend = be}))
      t['talker.model.norm.weight'] = nil
      assert(ag.save(other .. '/model.safetensors', t))
      fails(3, 'talker.model.norm.weight: missing', command.run {'say', 'x', '-m', other,
        '--voice', 'ryan'})
      local r = command.run {'inspect', '-m', other}
      assert.equal(3, r.code)
      assert.matches('complete: no: .*talker.model.norm.weight: missing', r.out)
      t['talker.model.norm.weight'] = ag.zeros(be, {7}, 'bf16')
      assert(ag.save(other .. '/model.safetensors', t))
      fails(3, 'talker.model.norm.weight: shape [7], expected [64]', command.run {'say', 'x', '-m',
        other, '--voice', 'ryan'})
    end)

    it('a model with NaN in its weights, and names the tensor', function()
      for _, at in ipairs {{'model.safetensors', 'talker.model.layers.1.mlp.up_proj.weight'},
        {'speech_tokenizer/model.safetensors', 'decoder.decoder.1.block.2.conv1.conv.weight'}} do
        local other = copy_model(dir .. '/nan')
        local t = assert(ag.load(other .. '/' .. at[1], {backend = be}))
        local values = t[at[2]]:clone():view(-1):to('f32'):totable()
        values[5] = 0 / 0
        t[at[2]] = ag.tensor(be, values):view(t[at[2]].shape):to(t[at[2]].dtype)
        assert(ag.save(other .. '/' .. at[1], t))
        fails(3, at[2] .. ': 1 values are NaN or infinite', command.run {'say', 'one', '-m', other,
          '--voice', 'ryan', '-o',
          dir .. '/nan.wav'})
        assert.is_nil(lfs.attributes(dir .. '/nan.wav'))
        os.execute('rm -rf ' .. other)
      end
    end)

    it('texts and inputs that cannot be spoken, with exit code 4', function()
      local function text(t, more)
        local args = {'say', t, '-m', model.model, '--voice', 'ryan'}
        for _, a in ipairs(more or {}) do args[#args + 1] = a end
        return command.run(args)
      end
      fails(4, 'text is empty', text '')
      fails(4, 'text is empty', text ' \n ')
      fails(4, 'not valid UTF-8 at byte 2', text 'a\255b')
      fails(4, "unknown language 'klingon'", text('x', {'--language', 'klingon'}))
      fails(4, "unknown voice 'rian', did you mean ryan?", command.run {'say', 'x', '-m',
        model.model, '--voice', 'rian'})
      fails(4, 'needs a voice', command.run {'say', 'x', '-m', model.model})
      local codes = dir .. '/bad.json'
      for bytes, message in pairs {
        ['{"codes": [[1]]}'] = 'frame 0 does not have',
        ['{"codes": []}'] = 'no frames',
        ['{"codes": [[1,2,3,4,1e9]]}'] = 'frame 0, group 4 is 1000000000',
        ['{"codes": [[1,2,3,4,-1]]}'] = 'not a code',
        ['{"codes": [[1,2,3,4,1.5]]}'] = 'not a code',
        ['[1'] = 'bad.json',
        ['{}'] = 'expected {"codes"',
      } do
        st.write(bytes, codes)
        fails(4, message, command.run {'decode', codes, '-m', model.model, '-o', dir .. '/bad.wav'})
      end
      assert.is_nil(lfs.attributes(dir .. '/bad.wav'))
    end)

    it('places where nothing can be written, with exit code 6 and no file left', function()
      fails(6, 'No such file or directory', say {'-o', dir .. '/none/a.wav'})
      fails(6, 'is a directory', (function()
        lfs.mkdir(dir .. '/d.wav')
        return say {'-o', dir .. '/d.wav'}
      end)())
      local full = dir .. '/full'
      lfs.mkdir(full)
      st.write('old', full .. '/a.wav')
      -- A file of at most 4 kB: what a full disk looks like, without one.
      local r = say({'-o', full .. '/a.wav'}, {before = "trap '' XFSZ; ulimit -f 4;"})
      fails(6, 'is the disk full?', r)
      assert.equal('old', read(full .. '/a.wav'))
      local names = {}
      for name in lfs.dir(full) do names[#names + 1] = name end
      assert.equal(3, #names)
    end)

    it('a pipe that was closed, with exit code 6', function()
      local r = say({'-o', '-'}, {after = '| head -c 100'})
      assert.equal(6, r.code)
      assert.equal(100, #r.out)
      assert.matches('standard output was closed', r.err)
    end)
  end)

  it('stops speech that never ends with exit code 7, and keeps it under another name', function()
    local other = copy_model(dir .. '/endless')
    local t = assert(ag.load(other .. '/model.safetensors', {backend = be}))
    -- A logit of zero for the end token, and a temperature at which only the best have a chance.
    local eos = json.read(other .. '/config.json').talker_config.codec_eos_token_id
    local head = t['talker.codec_head.weight']:to('f32'):clone()
    local row = head:narrow(1, eos + 1, 1)
    row:fill(0)
    t['talker.codec_head.weight'] = head:to('bf16')
    assert(ag.save(other .. '/model.safetensors', t))
    local out = dir .. '/endless.wav'
    local r = command.run {'say', 'one', '-m', other, '--voice', 'ryan', '--seed', '1',
      '--temperature', '0.01', '-o', out}
    assert.equal(7, r.code, r.err)
    assert.matches('did not end after %d+ frames', r.err)
    assert.is_nil(lfs.attributes(out))
    assert.is_true(lfs.attributes(dir .. '/endless.partial.wav', 'size') > 1000)
  end)

  it('leaves no file when Ctrl-C stops it while it writes', function()
    local other = copy_model(dir .. '/stopped')
    local t = assert(ag.load(other .. '/model.safetensors', {backend = be}))
    local eos = json.read(other .. '/config.json').talker_config.codec_eos_token_id
    local head = t['talker.codec_head.weight']:to('f32'):clone()
    head:narrow(1, eos + 1, 1):fill(0)
    t['talker.codec_head.weight'] = head:to('bf16')
    assert(ag.save(other .. '/model.safetensors', t))
    local folder, script, log = dir .. '/out', dir .. '/stop.sh', dir .. '/log'
    lfs.mkdir(folder)
    st.write(('%s say one -m %s --voice ryan --temperature 0.01 --max-frames 30000 -o %s & pid=$!; '
      .. 'sleep 1; kill -INT $pid; wait $pid; echo code $?'):format(command.quote(command.exe),
      command.quote(other), command.quote(folder .. '/a.wav')), script)
    local f = io.popen(('bash -m %s 2>%s'):format(command.quote(script), command.quote(log)))
    local said = f:read '*a'
    f:close()
    assert.matches('code 130', said)
    assert.equal('argent: say: interrupted\n', read(log):match('argent: .*'))
    for name in lfs.dir(folder) do assert.matches('^%.%.?$', name) end
  end)

  it('runs on the instruction set that ARGENT_ISA names, and refuses one that is not here',
    function()
    local wav = {}
    local known = require('argent.backend').isas()
    for _, isa in ipairs(known) do
      if lib.ag_isa_supported(isa) ~= 0 then
        local codes = ('%s/%s.json'):format(dir, isa)
        local r = say({'-o', '-', '--codes', codes}, {env = {ARGENT_ISA = isa}})
        assert.equal(0, r.code, r.err)
        wav[#wav + 1] = read(codes)
      end
    end
    for _, codes in ipairs(wav) do assert.equal(wav[1], codes) end
    fails(3, 'ARGENT_ISA=mmx: not one of ' .. table.concat(known, ', '), say({},
      {env = {ARGENT_ISA = 'mmx'}}))
  end)

  it('stops within a frame at Ctrl-C: exit code 130, one line, no file', function()
    local script = dir .. '/loop.sh'
    local log = dir .. '/log'
    st.write(('%s %s & pid=$!; sleep 1; kill -INT $pid; wait $pid; echo code '
      .. '$?'):format(command.quote(command.exe),
      ("run %s/loop.lua"):format(dir)), script)
    st.write(([[
      local ag = require 'argent'
      local tts = assert(ag.qwen3_tts.open(%q, {dtype = 'f32'}))
      while true do
        for frame in assert(tts:frames {text = %q, voice = %q, seed = 1}) do local _ = frame end
      end
    ]]):format(model.model, case.text, case.voice), dir .. '/loop.lua')
    local f = io.popen(('bash -m %s 2>%s'):format(command.quote(script), command.quote(log)))
    local said = f:read '*a'
    f:close()
    assert.matches('code 130', said)
    assert.matches('interrupted', read(log))
  end)

  it('gives the same samples as the library', function()
    local tts = assert(ag.qwen3_tts.open(model.model, {backend = be}))
    local sound = assert(tts:say {text = case.text, voice = case.voice, language = case.language,
      layout = case.layout,
      seed = case.seed, max_frames = case.max_new_tokens - 1})
    local wav = dir .. '/lib.wav'
    assert.equal(0, say({'-o', wav, '--bits', 'float'}).code)
    local pcm = read(wav)
    local data = pcm:find('data', 1, true)
    local ffi = require 'ffi'
    local floats = ffi.cast('const float *', ffi.cast('const char *', pcm) + data + 7)
    local host, n = sound.samples:host()
    for i = 0, n - 1 do assert(host[i] == floats[i]) end
    assert.equal(#pcm - data - 7, 4 * n)
  end)
end)
