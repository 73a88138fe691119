-- Voices from recordings: cloned, kept in files, used again; and files that are not believed.

local ag = require 'argent'
local cases = require 'support.cases'
local compare = require 'support.compare'
local golden = require 'support.golden'
local st = require 'support.st'

local be = assert(ag.backend('cpu', {threads = 2}))
local TEXT = 'A voice that speaks softly.'

local function read(path)
  local f = assert(io.open(path, 'rb'))
  local s = f:read '*a'
  f:close()
  return s
end

describe('a voice', function()
  local dir = os.tmpname()
  os.remove(dir)
  local models, tts, custom, recording = {}, nil, nil, nil

  setup(function()
    assert(require('lfs').mkdir(dir))
    for _, m in ipairs(golden.models()) do
      local t = assert(ag.qwen3_tts.open(m.model, {backend = be, dtype = 'f32'}))
      models[t.cfg.kind] = m
      if t.cfg.kind == 'base' then tts = t end
      if t.cfg.kind == 'custom_voice' then custom = t end
    end
    recording = models.base.dir .. '/reference.wav'
  end)

  teardown(function() os.execute('rm -rf ' .. dir) end)

  it('cloned from a recording speaks every official case: the same codes, the same wave', function()
    local plain = assert(tts:clone {audio = recording})
    local icl = assert(tts:clone {audio = recording, text = TEXT})
    local count = 0
    for _, case in ipairs(models.base.cases) do
      local expected = assert(ag.load(('%s/%s.safetensors'):format(models.base.dir, case.name),
        {backend = be}))
      local o = cases.options(case, {})
      o.reference = case.mode == 'icl' and icl or plain
      local sound = assert(tts:say(o))
      assert.same(expected.codes:totable(), sound.codes:totable())
      local n = #sound.samples
      local extra = #expected.wave - n -- see golden_spec
      assert.is_true(compare.distance(expected.wave:narrow(1, 1 + extra, n), sound.samples) <= 1e-4)
      count = count + 1
    end
    assert.equal(6, count)
  end)

  it('saved and loaded gives the same bits, whatever came before', function()
    for _, text in ipairs {false, TEXT} do
      local voice = assert(tts:clone {audio = recording, text = text or nil})
      assert(voice:save(dir .. '/a.voice'))
      local again = assert(tts:voice(dir .. '/a.voice'))
      assert.is_true(compare.same_bits(voice.speaker, again.speaker))
      assert.equal(voice.text, again.text)
      local o = {text = 'One two.', seed = 3, max_frames = 8, reference = voice}
      local first = assert(tts:say(o))
      local second = assert(tts:say(o)) -- the codec starts from the state that the voice keeps
      o.reference = again
      local third = assert(tts:say(o))
      o.reference = {speaker = voice.speaker, codes = voice.codes, text = voice.text}
      local parts = assert(tts:say(o))
      for _, s in ipairs {second, third, parts} do
        assert.is_true(compare.same_bits(first.samples, s.samples))
      end
    end
  end)

  it('primes the codec once', function()
    local voice = assert(tts:clone {audio = recording, text = TEXT})
    local pushed = 0
    local watch = tts.codec:watch('latent', function(x) pushed = pushed + #x end)
    local o = {text = 'One two.', seed = 3, max_frames = 8, reference = voice}
    local frames = #assert(tts:say(o)).codes
    local before = pushed
    assert.equal(frames + #voice.codes, before)
    assert(tts:say(o))
    watch:stop()
    assert.equal(before + frames, pushed)
  end)

  it('is made and prepared in pieces, between which others can go on', function()
    local want = assert(tts:clone {audio = recording, text = TEXT})
    local o = {text = 'One two.', seed = 3, max_frames = 8, reference = want}
    local sound = assert(tts:say(o))
    -- Speech of others is made in each pause, as a server does.
    local other = assert(tts:frames {text = 'Three four.', seed = 1, max_frames = 400,
      reference = want})
    local pieces = 0
    local function pause()
      pieces = pieces + 1
      if pieces % 10 == 0 then other() end
    end
    local got = assert(tts:clone {audio = recording, text = TEXT, pause = pause})
    assert.is_true(pieces > 50, pieces)
    assert.is_true(compare.same_bits(want.speaker, got.speaker))
    assert.same(want.codes:totable(), got.codes:totable())
    pieces = 0
    assert.is_true(tts:prepare(got, pause))
    assert.equal(#got.codes, pieces)
    o.reference = got
    assert.is_true(compare.same_bits(sound.samples, assert(tts:say(o)).samples))
    assert.is_true(tts:prepare(got, pause)) -- done once
    assert.equal(#got.codes, pieces)
    -- What pause raises gives it up.
    local fresh = assert(tts:clone {audio = recording, text = TEXT})
    for _, work in ipairs {
      function(stop) return tts:clone {audio = recording, text = TEXT, pause = stop} end,
      function(stop) return tts:prepare(fresh, stop) end,
    } do
      local ok, err = pcall(work, function() error('enough', 0) end)
      assert.same({false, 'enough'}, {ok, err})
    end
  end)

  it('is made of samples too, as a tensor or a list, and of parts', function()
    local samples = assert(ag.audio.read(recording, {backend = be}))
    local a = assert(tts:clone {audio = recording})
    for _, audio in ipairs {samples, samples:totable()} do
      assert.is_true(compare.same_bits(a.speaker, assert(tts:clone {audio = audio}).speaker))
    end
    local mixed = assert(tts:voice {speaker = a.speaker * 0.7 + a.speaker * 0.3})
    assert(tts:say {text = 'Hi.', reference = mixed, max_frames = 3})
  end)

  it('is made of samples at another rate as of a file at that rate', function()
    local x = {}
    for i = 1, 44100 do x[i] = 0.3 * math.sin(i / 20) * math.sin(i / 3000) end
    local path = dir .. '/other_rate.wav'
    assert(ag.audio.write(path, x, {rate = 44100, bits = 'float'}))
    local want = assert(tts:clone {audio = path, text = TEXT})
    for _, audio in ipairs {x, ag.tensor(be, x)} do
      local got = assert(tts:clone {audio = audio, rate = 44100, text = TEXT})
      assert.is_true(compare.same_bits(want.speaker, got.speaker))
      assert.same(want.codes:totable(), got.codes:totable())
    end
    local at_24 = assert(tts:clone {audio = x, rate = 24000})
    assert.is_true(compare.same_bits(at_24.speaker, assert(tts:clone {audio = x}).speaker))
    assert.is_false(compare.same_bits(at_24.speaker, want.speaker))
    -- Its length is counted at its own rate.
    assert.matches('the recording: 0%.25 s are too short', select(2, tts:clone {rate = 44100,
      audio = ag.zeros(be, {11025})}))
    for pattern, opts in pairs {
      ['clone: rate: expected an integer from 8000 to 192000, got 0'] = {audio = x, rate = 0},
      ['clone: rate: a sound file says its own'] = {audio = path, rate = 44100},
      ['clone: audio: expected a path or samples, got 7'] = {audio = 7, rate = 44100},
    } do
      local ok, err = pcall(function() local _ = tts:clone(opts) end)
      assert.is_false(ok)
      assert.matches('voice_spec.lua:%d+: ' .. pattern, err)
    end
  end)

  it('is made of a data URL as of the file that it holds', function()
    local r = io.popen(('base64 <%s'):format(recording))
    local url = 'data:audio/wav;base64,' .. r:read '*a'
    r:close()
    local want = assert(tts:clone {audio = recording, text = TEXT})
    local got = assert(tts:clone {audio = url, text = TEXT})
    assert.is_true(compare.same_bits(want.speaker, got.speaker))
    assert.same(want.codes:totable(), got.codes:totable())
    local silent = {}
    for i = 1, 24000 do silent[i] = 0 end
    assert(ag.audio.write(dir .. '/silent.wav', silent))
    r = io.popen(('base64 <%s'):format(dir .. '/silent.wav'))
    url = 'data:audio/wav;base64,' .. r:read '*a'
    r:close()
    assert.same({nil, 'the data URL: is silent', 'value'}, {tts:clone {audio = url}})
  end)

  it('has as many frames as the official prompt, which librosa makes longer by a sample', function()
    local x = {}
    for i = 1, 60 * 44100 do x[i] = 0.3 * math.sin(i / 20) end
    assert(ag.audio.write(dir .. '/minute.wav', x, {rate = 44100}))
    for i = 2 * 44100 + 1, #x do x[i] = nil end
    assert(ag.audio.write(dir .. '/two.wav', x, {rate = 44100}))
    -- ceil(48001 / 1920), where exactly 2 s at 24 kHz are 25 frames.
    assert.equal(26, #assert(tts:clone {audio = dir .. '/two.wav', text = TEXT}).codes)
    assert(tts:clone {audio = dir .. '/minute.wav'})
  end)

  it('is refused from more codes than any recording of a voice has', function()
    local vector, frame = {}, {}
    for i = 1, tts.cfg.talker.hidden_size do vector[i] = 0 end
    for g = 1, tts.cfg.talker.num_code_groups do frame[g] = 1 end
    local function of(frames)
      local codes = {}
      for f = 1, frames do codes[f] = frame end
      return tts:voice {speaker = vector, codes = codes, text = TEXT}
    end
    assert(of(750)) -- a minute
    local voice, err, code = of(20000)
    assert.is_nil(voice)
    assert.equal('voice: codes: 20000 frames (1600 s) are too long; a voice needs 3 to 15 s, and '
      .. 'at most 60 s', err)
    assert.equal('value', code)
  end)

  it('is refused from recordings that hold none', function()
    local function refuses(audio, pattern, code)
      local ok, err, kind = tts:clone {audio = audio}
      assert.is_nil(ok)
      assert.matches(pattern, err)
      assert.equal(code or 'value', kind)
    end
    refuses(ag.zeros(be, {48000}), 'the recording: is silent')
    refuses(ag.zeros(be, {11999}), '0.50 s are too short; a voice needs 0.5 s, better 3 to 15')
    refuses(ag.zeros(be, {0}), 'too short')
    refuses(ag.zeros(be, {24000 * 60 + 1}), '60 s are too long')
    refuses(dir .. '/none.wav', 'No such file or directory', 'io')
    local nan = ag.zeros(be, {24000})
    nan:fill(1)
    nan:narrow(1, 7, 1):copy(nan:narrow(1, 7, 1) * 0 * (1 / 0))
    refuses(nan, 'NaN')
    local ok, err = tts:clone {audio = recording, text = ' \n'}
    assert.is_nil(ok)
    assert.equal('the text of the recording is empty', err)
    assert.error_matches(function() tts:clone {audio = 5} end,
      'clone: audio: expected a path or samples')
    assert.error_matches(function() tts:clone {audi = 'x'} end, "unknown option string 'audi'")
  end)

  it('is refused by models that cannot clone, with what to do instead', function()
    for _, try in ipairs {function() return custom:clone {audio = recording} end,
      function() return custom:voice {speaker = {1}} end,
      function() return custom:voice(dir .. '/any.voice') end} do
      local ok, err, code = try()
      assert.is_nil(ok)
      assert.matches('this is a CustomVoice model: it cannot clone a voice; use a Base model', err)
      assert.equal('value', code)
    end
    local ok, err = tts:say {text = 'Hi.', voice = 'ryan'}
    assert.is_nil(ok)
    assert.matches('this is a Base model: it has no named voices; use a reference recording', err)
  end)

  describe('file', function()
    local whole

    setup(function()
      local voice = assert(tts:clone {audio = recording, text = TEXT})
      assert(voice:save(dir .. '/whole.voice'))
      whole = read(dir .. '/whole.voice')
    end)

    local function refuses(bytes, pattern)
      local path = st.write(bytes, dir .. '/bad.voice')
      local ok, err, code = tts:voice(path)
      assert.is_nil(ok)
      assert.matches(pattern, err)
      assert.is_nil(err:find '\n')
      assert.equal('value', code)
    end

    it('that is cut anywhere is refused', function()
      for n = 0, #whole - 1, 7 do
        refuses(whole:sub(1, n), 'bad.voice')
      end
    end)

    it('that was altered anywhere is refused', function()
      local random = require('support.kernels').random(3)
      for _ = 1, 400 do
        local at = 1 + math.floor((random() + 1) / 2 * #whole) % #whole
        local byte = (whole:byte(at) + 1 + math.floor((random() + 1) * 127)) % 256
        local bytes = whole:sub(1, at - 1) .. string.char(byte) .. whole:sub(at + 1)
        local path = st.write(bytes, dir .. '/altered.voice')
        local ok, err, code = tts:voice(path)
        -- White space of the header may change; nothing else may.
        if ok then assert.matches('^%s$', whole:sub(at, at)) else
          assert.equal('value', code)
          assert.is_string(err)
        end
      end
    end)

    it('of another model, version or kind is refused with the reason', function()
      local t = assert(ag.load(dir .. '/whole.voice', {backend = be}))
      local meta = {format = 'argent voice', version = '1', model = 'base', size = tts.cfg.size,
        hidden_size = tostring(tts.cfg.talker.hidden_size),
        code_groups = tostring(tts.cfg.talker.num_code_groups), text = TEXT, checksum = 'x'}
      local function with(changes, tensors)
        local m = {}
        for k, v in pairs(meta) do m[k] = v end
        for k, v in pairs(changes) do m[k] = v end
        local path = dir .. '/other.voice'
        assert(ag.save(path, tensors or t, m))
        return read(path)
      end
      refuses(with {}, 'was altered or damaged: its checksum does not fit')
      refuses(with {version = '2'}, 'is of version 2, this Argent reads version 1')
      refuses(with {format = 'x'}, 'is no voice file; make one with: argent clone')
      refuses(with {hidden_size = '2048', size = '1b7'},
        'was made with a Base model of size 1b7 %(2048 wide%), this one is')
      refuses(with({}, {codes = t.codes}), 'holds no speaker vector')
      refuses(with({}, {speaker = t.speaker}), 'a text without codes')
      refuses(with({text = ''}, t), 'holds codes without their text')
      refuses(with({}, {speaker = t.speaker, x = t.codes}), 'holds an unknown tensor')
      refuses(with({}, {speaker = t.codes, codes = t.codes}), 'speaker is I32, not F32')
      refuses(with({}, {speaker = t.speaker:narrow(1, 1, 5), codes = t.codes}), 'a vector of 5')
      local path = dir .. '/plain.safetensors'
      assert(ag.save(path, t))
      refuses(read(path), 'is no voice file')
    end)

    it('that is not there is an io fault', function()
      local ok, err, code = tts:voice(dir .. '/none.voice')
      assert.is_nil(ok)
      assert.matches('none.voice: No such file', err)
      assert.equal('io', code)
    end)
  end)
end)

describe('a codec stream', function()
  it('restored goes on with the bits of one that was never left', function()
    for _, model in ipairs(golden.models()) do
      local tts = assert(ag.qwen3_tts.open(model.model, {backend = be, dtype = 'f32'}))
      local codes = assert(ag.load(model.dir .. '/codec.safetensors', {backend = be})).codes
      local n = math.floor(#codes / 2)
      local stream = tts.codec:stream()
      assert(stream:push(codes:narrow(1, 1, n)))
      local saved = assert(stream:save())
      local rest = codes:narrow(1, n + 1, #codes - n)
      local want = assert(stream:push(rest))
      local other = tts.codec:stream()
      assert(other:push(rest)) -- something else before
      for _, s in ipairs {stream, other} do
        assert(s:restore(saved))
        assert.equal(n, s.frames)
        assert.is_true(compare.same_bits(want, assert(s:push(rest))))
      end
    end
  end)
end)
