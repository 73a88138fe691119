-- The example pipelines, run as a user would on the golden models, their results compared with what
-- the library makes of the same steps.

local ag = require 'argent'
local command = require 'support.command'
local golden = require 'support.golden'
local lfs = require 'lfs'
local sound = require 'support.sound'
local st = require 'support.st'

describe('the example', function()
  local dir, models, tts, base

  setup(function()
    dir, models = os.tmpname(), {}
    os.remove(dir)
    assert(lfs.mkdir(dir))
    for _, m in ipairs(golden.models()) do models[m.name] = m end
    local be = assert(ag.backend('cpu', {threads = 2}))
    tts = assert(ag.qwen3_tts.open(models.custom.model, {backend = be}))
    base = assert(ag.qwen3_tts.open(models.base.model, {backend = be}))
  end)

  teardown(function() os.execute('rm -rf ' .. command.quote(dir)) end)

  local function run(name, args, opts)
    opts = opts or {}
    opts.env = opts.env or {ARGENT_MODEL = models.custom.model}
    return command.run({'run', ('%s/scripts/examples/%s.lua'):format(command.root, name),
      unpack(args)}, opts)
  end

  local function works(name, args, opts)
    local r = run(name, args, opts)
    assert.equal(0, r.code, r.err)
    return r
  end

  local function refuses(code, pattern, name, args, opts)
    local r = run(name, args, opts)
    assert.equal(code, r.code, r.err)
    assert.truthy(r.err:find(pattern, 1, true), r.err)
  end

  local function write(name, text)
    return st.write(text, dir .. '/' .. name)
  end

  local function read(path)
    local f = assert(io.open(path, 'rb'))
    local s = f:read '*a'
    f:close()
    return s
  end

  -- Samples as the 16-bit numbers of a file.
  local function rounded(samples)
    local out = {}
    for i, x in ipairs(samples) do
      out[i] = math.max(-32768, math.min(32767, math.floor(x * 32767 + 0.5)))
    end
    return out
  end

  local function in_file(path)
    local s = assert(sound.read(path))
    assert.equal('wav 16', s.format)
    assert.equal(24000, s.rate)
    local out = {}
    for i = 1, s.frames do out[i] = s.samples[i - 1] * 32768 end
    return out
  end

  local function say(model, opts)
    local s, err, _, partial = model:say(opts)
    return assert(s or partial, err)
  end

  it('is run here, whichever it is', function()
    local known, found = {}, {}
    for name in ('blend compare converse dialogue live logit_lens search steer sweep '
      .. 'train_probe'):gmatch '%S+' do
      known[#known + 1] = name .. '.lua'
    end
    for name in lfs.dir(command.root .. '/scripts/examples') do
      if name:sub(1, 1) ~= '.' then found[#found + 1] = name end
    end
    table.sort(found)
    assert.same(known, found)
  end)

  describe('dialogue', function()
    it('lays turns behind one another, each in the voice of its name', function()
      local text = write('talk.txt', 'Anna: Hello there.\n\nBen: Hi!\n  and more.\nAnna: Bye.\n')
      local out = dir .. '/talk.wav'
      local r = works('dialogue', {text, out, 'Ben=ryan', '--max-frames', '9', '--seed', '5',
        '--pause', '0.01'})
      local names = {r.err:match '^(%a+):.-\n(%a+):.-\n(%a+):[^\n]*\n$'}
      assert.same({'Anna', 'Ben', 'Anna'}, names)
      local all, voices = {}, tts:voices()
      local turns = {{'Hello there.', voices[1]}, {'Hi! and more.', 'ryan'}, {'Bye.', voices[1]}}
      for i, turn in ipairs(turns) do
        if i > 1 then
          for _ = 1, 240 do all[#all + 1] = 0 end
        end
        local s = say(tts, {text = turn[1], voice = turn[2], seed = 4 + i, max_frames = 9})
        for _, x in ipairs(s.samples:totable()) do all[#all + 1] = x end
      end
      assert.same(rounded(all), in_file(out))
    end)

    it('casts cloned voices on a Base model', function()
      local voice = dir .. '/anna.voice'
      local anna = assert(base:clone {audio = models.base.dir .. '/reference.wav'})
      assert(anna:save(voice))
      local text, out = write('one.txt', 'Anna: Hello.'), dir .. '/one.wav'
      local env = {env = {ARGENT_MODEL = models.base.model}}
      works('dialogue', {text, out, 'Anna=' .. voice, '--max-frames', '5'}, env)
      local s = say(base, {text = 'Hello.', reference = anna, seed = 1, max_frames = 5})
      assert.same(rounded(s.samples:totable()), in_file(out))
      refuses(2, 'Anna has no voice', 'dialogue', {text, out}, env)
    end)

    it('says what it cannot read, and writes no file then', function()
      local out = dir .. '/no.wav'
      refuses(4, 'expected NAME: what is said', 'dialogue', {write('a.txt', 'no name'), out})
      refuses(4, 'nobody says anything', 'dialogue', {write('b.txt', '\n'), out})
      refuses(6, 'No such file', 'dialogue', {dir .. '/none.txt', out})
      refuses(2, "malformed argument 'long'", 'dialogue', {'a', out, '--pause', 'long'})
      refuses(4, "turn 1 (A): unknown voice 'rayn'", 'dialogue', {write('c.txt', 'A: Hi.'), out,
        'A=rayn'})
      assert.is_nil(lfs.attributes(out))
    end)
  end)

  describe('sweep', function()
    it('makes one page that holds every sound, whole, and its picture', function()
      local out = dir .. '/report.html'
      works('sweep', {'Hi <b>.', out, '--max-frames', '9', '--temperatures', '0.5,1', '--seeds',
        '2', '--voice', 'ryan'})
      local page, sounds, pictures = read(out), {}, 0
      local function decoded(data)
        os.execute(('base64 -d <%s >%s'):format(command.quote(write('data.txt', data)),
          command.quote(dir .. '/data')))
        return read(dir .. '/data')
      end
      for data in page:gmatch 'src="data:audio/wav;base64,([%w+/=]+)"' do
        sounds[#sounds + 1] = decoded(data)
      end
      for data in page:gmatch 'src="data:image/png;base64,([%w+/=]+)"' do
        local png = decoded(data)
        assert.equal('\137PNG', png:sub(1, 4))
        assert.equal('IEND\174B`\130', png:sub(-8))
        pictures = pictures + 1
      end
      assert.equal(4, pictures)
      local want = {}
      for _, temperature in ipairs {0.5, 1} do
        for seed = 1, 2 do
          local s = say(tts, {text = 'Hi <b>.', voice = 'ryan', seed = seed,
            temperature = temperature, max_frames = 9})
          assert(s:save(dir .. '/want.wav'))
          want[#want + 1] = read(dir .. '/want.wav')
        end
      end
      assert.same(want, sounds)
      assert.truthy(page:find('<h1>Hi &lt;b&gt;.</h1>', 1, true))
      assert.is_nil(page:find 'https?:') -- nothing comes from elsewhere
    end)

    it('refuses what is no temperature', function()
      refuses(2, 'hot: not a temperature', 'sweep', {'Hi.', dir .. '/x.html', '--temperatures',
        '1,hot'})
    end)
  end)

  describe('steer', function()
    local function lines(err)
      local list = {}
      for seed, ended, frames in err:gmatch 'seed (%d+): (%a+) after (%d+) frames\n' do
        list[#list + 1] = {seed = tonumber(seed), ended = ended, frames = tonumber(frames)}
      end
      return list
    end

    it('tries seeds until one ends by itself', function()
      local out = dir .. '/steer.wav'
      local tries = lines(works('steer', {'Hello there.', out, '--seed', '1', '--most', '30',
        '--tries', '50', '--least', '6'}).err)
      for i, t in ipairs(tries) do
        assert.equal(i, t.seed)
        assert.equal(i < #tries and 'runaway' or 'eos', t.ended)
        if i < #tries then assert.equal(30, t.frames) end
      end
      local last = tries[#tries]
      assert.is_true(last.frames >= 6 and last.frames < 30)
      assert.equal(last.frames * tts.codec.samples_per_frame, #in_file(out))
    end)

    it('gives up after so many tries, without a file', function()
      local out = dir .. '/none.wav'
      refuses(7, 'no seed of 2 ended by itself', 'steer', {'Hello there.', out, '--most', '3',
        '--tries', '2'})
      assert.is_nil(lfs.attributes(out))
    end)

    it('does not end before the least frames', function()
      local function tried(...)
        return lines(run('steer', {'Hello there.', dir .. '/least.wav', ...}).err)
      end
      local early = tried('--least', '0', '--most', '24', '--tries', '50')
      early = early[#early]
      assert.is_true(early.ended == 'eos' and early.frames < 24)
      local first = tried('--least', '24', '--most', '60', '--tries', '1', '--seed',
        tostring(early.seed))[1]
      assert.is_true(first.frames >= 24)
    end)

    it('stops where the sound has become silent', function()
      -- Without steering (nothing is unsure, no least), so that the library says the same frames.
      local opts = {text = 'Hello there.', voice = tts:voices()[1], seed = 1, max_frames = 60}
      local s = say(tts, opts)
      local x, n = s.samples:host()
      local per, levels = tts.codec.samples_per_frame, {}
      for f = 0, n / per - 1 do
        local energy = 0
        for i = f * per, (f + 1) * per - 1 do energy = energy + x[i] ^ 2 end
        levels[f + 1] = 10 * math.log10(energy / per)
      end
      -- What counts as silent is such that two quiet frames follow a louder one somewhere.
      local sorted = {unpack(levels)}
      table.sort(sorted)
      local silence = (sorted[#sorted / 2] + sorted[#sorted / 2 + 1]) / 2
      local heard, quiet, stop = false, 0, nil
      for i, level in ipairs(levels) do
        heard = heard or level > silence
        quiet = heard and level <= silence and quiet + 1 or 0
        if quiet == 2 then
          stop = i
          break
        end
      end
      assert.is_not_nil(stop)
      local out = dir .. '/silent.wav'
      local tries = lines(works('steer', {'Hello there.', out, '--unsure', '1e9', '--least', '0',
        '--quiet-frames', '2', '--silence', ('%.9f'):format(-silence), '--most', '60'}).err)
      assert.same({{seed = 1, ended = 'stopped', frames = stop - 2}}, tries)
      local want = rounded(s.samples:totable())
      assert.same({unpack(want, 1, (stop - 2) * per)}, in_file(out))
    end)

    it('is calmer where it is unsure', function()
      local function frames(unsure)
        local out = dir .. '/unsure.wav'
        return works('steer', {'Hello there.', out, '--unsure', unsure, '--most', '30', '--tries',
          '50'}).err .. read(out)
      end
      local never, always = frames '1e9', frames '0'
      assert.is_true(never ~= always)
    end)
  end)

  describe('converse', function()
    local LM = command.root .. '/spec/fixtures/golden/decoders/smollm/model.gguf'

    it('speaks each sentence that the language model writes, and says when it was heard', function()
      local out = dir .. '/answer.wav'
      local r = works('converse', {'Hi', out, '--lm', LM, '--max-tokens', '24', '--seed', '3',
        '--max-frames', '6', '--voice', 'ryan', '--pause', '0'})
      assert.matches('^first sound after %d+%.%d%d s; ', r.err)
      local lm = assert(ag.decoder.open(LM, {backend = tts.backend}))
      local said = assert(lm:generate {seed = 3, max_tokens = 24, messages = {
        {role = 'system', content = 'Answer in two short sentences.'},
        {role = 'user', content = 'Hi'},
      }})
      local text = require('argent.text.unicode').repaired(said.text)
      assert.equal(text .. '\n', r.out)
      local all, n = {}, 0
      for _, sentence in ipairs((require('argent.text.sentences').split(text))) do
        if sentence:find '%w' then
          local s = say(tts, {text = sentence:match '^%s*(.-)%s*$', voice = 'ryan', seed = 3 + n,
            max_frames = 6})
          for _, x in ipairs(s.samples:totable()) do all[#all + 1] = x end
          n = n + 1
        end
      end
      assert.is_true(n > 0)
      assert.same(rounded(all), in_file(out))
    end)

    it('wants a language model', function()
      refuses(2, '--lm FILE is missing', 'converse', {'Hi', 'x.wav'})
      refuses(3, 'No such file', 'converse', {'Hi', 'x.wav', '--lm', dir})
    end)
  end)

  describe('search', function()
    local BERT = command.root .. '/spec/fixtures/golden/encoders/bert'

    it('lists paragraphs by the cosine of their vectors with that of the question', function()
      local path = write('text.txt', 'hello world\n\nthe cat sat\non the mat\n\n\nunknown words\n')
      local r = works('search', {path, 'the cat', '-m', BERT, '--top', '3'})
      local enc = assert(ag.encoder.open(BERT, {backend = tts.backend}))
      local asked, want = assert(enc:embed 'the cat'):totable(), {}
      for i, p in ipairs {{1, 'hello world'}, {3, 'the cat sat on the mat'},
        {7, 'unknown words'}} do
        local v, dot, a, b = assert(enc:embed(p[2])):totable(), 0, 0, 0
        for c, x in ipairs(v) do dot, a, b = dot + x * asked[c], a + x * x, b + asked[c] ^ 2 end
        want[i] = {dot / math.sqrt(a * b), ('line %d: %s'):format(p[1], p[2])}
      end
      table.sort(want, function(a, b) return a[1] > b[1] end)
      local lines = {}
      for i, w in ipairs(want) do lines[i] = ('%.3f  %s\n'):format(w[1], w[2]) end
      assert.equal(table.concat(lines), r.out)
    end)

    it('says what it cannot read', function()
      refuses(4, 'there is no text in it', 'search', {write('empty.txt', '\n\n'), 'x', '-m', BERT})
      refuses(6, 'No such file', 'search', {dir .. '/none.txt', 'x', '-m', BERT})
    end)
  end)

  describe('logit_lens', function()
    local LM = command.root .. '/spec/fixtures/golden/decoders/qwen3'

    it('reads every layer out, the last one as the model does, and makes a picture', function()
      local out = dir .. '/lens.png'
      local r = works('logit_lens', {'The sea is', out, '-m', LM})
      assert.equal('\137PNG', read(out):sub(1, 4))
      local lm = assert(ag.decoder.open(LM, {backend = tts.backend}))
      local ids = assert(lm:ids 'The sea is')
      local row = assert(lm:logits(ids)):select(1, #ids):totable()
      local best, sum = 1, 0
      for v, x in ipairs(row) do
        if x > row[best] then best = v end
      end
      for _, x in ipairs(row) do sum = sum + math.exp(x - row[best]) end
      local last = ('layer %d: %q %.3f\n'):format(lm.cfg.num_hidden_layers - 1,
        lm.tokenizer:decode {best - 1}, 1 / sum)
      assert.equal(last, r.out:sub(-#last))
      assert.equal(lm.cfg.num_hidden_layers, select(2, r.out:gsub('layer %d', '')))
    end)
  end)

  describe('train_probe', function()
    local LM = command.root .. '/spec/fixtures/golden/decoders/qwen3'

    it('learns what is in the states, and gets other texts right', function()
      -- Whether a text ends with an a or a b is in the state of its last token.
      local lines = {}
      for i = 1, 60 do
        lines[i] = ('%d\t%d %s%s'):format(i % 2, i, ('xyz'):rep(i % 4), i % 2 == 1 and ' a' or ' b')
      end
      local kept = dir .. '/probe.safetensors'
      local r = works('train_probe', {write('probe.tsv', table.concat(lines, '\n')), '-m', LM,
        '--layer', '0', '--output', kept})
      local learnt, of, others, all = r.out:match(
        '^layer 0: (%d+) of (%d+) learnt texts right, (%d+) of (%d+) others\n$')
      assert.same({'48', '48', '12', '12'}, {learnt, of, others, all})
      local probe = assert(ag.load(kept, {backend = tts.backend}))
      assert.same({1, 16}, probe.weight.shape)
    end)

    it('says what it cannot read', function()
      refuses(4, 'expected 0 or 1, a tab and a text', 'train_probe', {write('bad.tsv', 'x'), '-m',
        LM})
      refuses(4, 'ten texts at least', 'train_probe', {write('few.tsv', '1\ta\n'), '-m', LM})
      refuses(2, 'the model has layers 0 to 1', 'train_probe', {write('more.tsv',
        ('1\ta\n0\tb\n'):rep(5)), '-m', LM, '--layer', '2'})
    end)
  end)

  describe('live', function()
    local LINES = 'One two.\n\n  \nThree \255.\nFour'

    local function expected()
      local all = {}
      for i, text in ipairs {'One two.', 'Four'} do
        local s = say(tts, {text = text, voice = 'ryan', seed = 2 + i, max_frames = 8,
          layout = 'stream', split = 'off'})
        for _, v in ipairs(rounded(s.samples:totable())) do
          all[#all + 1] = string.char(v % 256, math.floor(v / 256) % 256)
        end
      end
      return table.concat(all)
    end

    local ARGS = {'--voice', 'ryan', '--seed', '3', '--max-frames', '8'}

    it('speaks each line of standard input, and passes over what is no text', function()
      local r = works('live', ARGS, {stdin = LINES})
      assert.is_true(expected() == r.out)
      assert.equal('line skipped: text is not valid UTF-8 at byte 7\n', r.err)
    end)

    it('ends at once when the voice is not there', function()
      refuses(4, "unknown voice 'rayn'", 'live', {'--voice', 'rayn'}, {stdin = LINES})
    end)

    it('gives its sound to a player', function()
      local out = dir .. '/played'
      local r = works('live', {'--player', 'cat >' .. command.quote(out), unpack(ARGS)},
        {stdin = LINES})
      assert.equal('', r.out)
      assert.is_true(expected() == read(out))
    end)

    it('speaks a line before the next has come', function()
      local out = dir .. '/heard'
      -- The second line is written only when the first has been heard.
      local first = "echo 'One two.'; for i in $(seq 600); do [ -s %s ] && break; sleep 0.1; done; "
      os.execute(('{ %s [ -s %s ] && echo Four; } | ARGENT_MODEL=%s timeout 120 %s run %s --player '
        .. "'cat >%s' %s"):format(first:format(out), out, models.custom.model, command.exe,
        command.root .. '/scripts/examples/live.lua', out, table.concat(ARGS, ' ')))
      assert.is_true(expected() == read(out))
    end)

    it('ends when nobody listens any more', function()
      local r = run('live', ARGS, {stdin = ('One two.\n'):rep(200), after = '| head -c 10'})
      assert.equal(6, r.code)
      assert.equal(10, #r.out)
    end)
  end)

  describe('compare', function()
    local function compare(a, b, ...)
      local r = works('compare', {a, b, 'Hello.', '--voice', 'ryan', '--seed', '2', ...})
      local t = {groups = {}, frames = r.out:match 'frames\t([^\n]*)\n',
        first = r.out:match 'first divergence\t([^\n]*)\n'}
      for g, same, all, mean, most in r.out:gmatch '(%d+)\t(%d+) of (%d+)\t(%S+)\t(%S+)\n' do
        t.groups[tonumber(g)] = {same = tonumber(same), all = tonumber(all), mean = tonumber(mean),
          most = tonumber(most)}
      end
      return t
    end

    -- The custom model with another head: the logits of group 0 are `scale` times as large.
    local function scaled(scale)
      local other = golden.copy(models.custom.model, ('%s/scaled%g'):format(dir, scale))
      local path = other .. '/model.safetensors'
      local w = assert(ag.load(path, {backend = tts.backend}))
      local head = w['talker.codec_head.weight']
      w['talker.codec_head.weight'] = (head:to 'f32' * scale):to(head.dtype)
      assert(ag.save(path, w))
      return other
    end

    it('finds a model equal to itself', function()
      local t = compare(models.custom.model .. '@f32', models.custom.model .. '@f32', '--frames',
        '6')
      assert.equal('6 (limit)', t.frames)
      assert.equal('none', t.first)
      for g = 0, tts.cfg.talker.num_code_groups - 1 do
        assert.same({same = 6, all = 6, mean = 0, most = 0}, t.groups[g])
      end
    end)

    it('says how far the distributions are apart, each given the same past', function()
      local other = scaled(0.5)
      local t = compare(models.custom.model .. '@f32', other .. '@f32', '--frames', '4')
      -- The past is the same, so group 0 of the second is softmax of half the logits of the first,
      -- and the other groups, whose networks are untouched, do not differ.
      local first = assert(ag.qwen3_tts.open(models.custom.model, {backend = tts.backend,
        dtype = 'f32'}))
      local sum, most = 0, 0
      say(first, {text = 'Hello.', voice = 'ryan', seed = 2, max_frames = 4, hooks = {
        logits = function(_, x)
          local a, za, zb = x:totable(), 0, 0
          for _, v in ipairs(a) do za, zb = za + math.exp(v), zb + math.exp(v / 2) end
          local kl = 0
          for _, v in ipairs(a) do
            kl = kl + math.exp(v) / za * (v - math.log(za) - v / 2 + math.log(zb))
          end
          sum, most = sum + kl, math.max(most, kl)
        end,
      }})
      assert.is_true(math.abs(t.groups[0].mean - sum / 4) < 0.01 * sum / 4)
      assert.is_true(math.abs(t.groups[0].most - most) < 0.01 * most)
      for g = 1, tts.cfg.talker.num_code_groups - 1 do
        assert.same({same = 4, all = 4, mean = 0, most = 0}, t.groups[g])
      end
    end)

    it('compares as many frames as the first speaks', function()
      local first = say(tts, {text = 'Hello.', voice = 'ryan', seed = 2, max_frames = 1000})
      local n = #first.codes
      local t = compare(models.custom.model, models.custom.model, '--frames', '1000')
      assert.equal(('%d (%s)'):format(n, first.stats.ended), t.frames)
      assert.same({same = n, all = n, mean = 0, most = 0}, t.groups[1])
    end)

    it('finds where the second first draws another code', function()
      local other = scaled(0.25)
      local function codes(model)
        return say(assert(ag.qwen3_tts.open(model, {backend = tts.backend})), {text = 'Hello.',
          voice = 'ryan', seed = 2, max_frames = 30}).codes:totable()
      end
      local a, b = codes(models.custom.model), codes(other)
      local want
      for f = 1, math.min(#a, #b) do
        for g = 1, #a[1] do
          if not want and a[f][g] ~= b[f][g] then
            want = ('frame %d, group %d: %d, not %d'):format(f, g - 1, b[f][g], a[f][g])
          end
        end
      end
      assert.is_not_nil(want)
      assert.equal(want, compare(models.custom.model, other, '--frames', '30').first)
    end)

    it('refuses models of different codes', function()
      local tiny = dir .. '/tiny'
      local made = command.run {'run', command.root .. '/scripts/make_tiny_model.lua', tiny}
      assert.equal(0, made.code, made.err)
      refuses(4, 'nothing to compare', 'compare', {models.custom.model, tiny, 'Hello.'})
    end)
  end)

  describe('blend', function()
    local env
    setup(function() env = {env = {ARGENT_MODEL = models.base.model}} end)

    local function length(v)
      local sum = 0
      for _, x in ipairs(v) do sum = sum + x * x end
      return math.sqrt(sum)
    end

    it('speaks with the weighted sum of two vectors, of the length between theirs', function()
      local recording = models.base.dir .. '/reference.wav'
      local a = assert(base:clone {audio = recording}).speaker:totable()
      local b = {}
      for i in ipairs(a) do b[i] = 0.5 * math.sin(i) end
      local second, out, kept = dir .. '/b.voice', dir .. '/blend.wav', dir .. '/blend.voice'
      assert(assert(base:voice {speaker = b}):save(second))
      works('blend', {recording, second, 'Hello.', out, '--max-frames', '5', '--save-voice', kept,
        '--seed', '4'}, env)
      local blend = assert(base:voice(kept))
      local mix = {}
      for i in ipairs(a) do mix[i] = 0.7 * a[i] + 0.3 * b[i] end
      local scale = (0.7 * length(a) + 0.3 * length(b)) / length(mix)
      for i, v in ipairs(blend.speaker:totable()) do
        assert.is_true(math.abs(v - mix[i] * scale) < 1e-5)
      end
      local s = say(base, {text = 'Hello.', reference = blend, seed = 4, max_frames = 5})
      assert.same(rounded(s.samples:totable()), in_file(out))
    end)

    it('refuses weights beyond 0 and 1, and models that clone no voice', function()
      local recording = models.base.dir .. '/reference.wav'
      refuses(2, '--weight: 0 to 1', 'blend', {recording, recording, 'a', 'b.wav', '--weight', '2'},
        env)
      refuses(4, 'it cannot clone a voice', 'blend', {recording, recording, 'a', 'b.wav'})
    end)
  end)
end)
