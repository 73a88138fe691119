-- say --each: many lines, one file each; resumed, remade when they change, reported, never
-- half-written. And text that comes over standard input while it is spoken.

local command = require 'support.command'
local golden = require 'support.golden'
local json = require 'argent.json'
local lfs = require 'lfs'
local st = require 'support.st'

describe('say --each', function()
  local dir, model, design

  setup(function()
    for _, m in ipairs(golden.models()) do
      if m.name == 'custom' then model = m.model end
      if m.name == 'design' then design = m.model end
    end
  end)

  before_each(function()
    dir = os.tmpname()
    os.remove(dir)
    assert(lfs.mkdir(dir))
  end)

  after_each(function() os.execute('rm -rf ' .. command.quote(dir)) end)

  local function each(more, opts, text)
    local lines = st.write(text or 'One.\n\nTwo here.\r\n   \nThree.\n', dir .. '/lines.txt')
    local args = {'say', '-f', lines, '--each', '-m', model, '--voice', 'ryan', '--seed', '5',
      '--max-frames', '6', '--threads', '1', '-o', dir .. '/out/%02d.wav'}
    for _, a in ipairs(more or {}) do args[#args + 1] = a end
    return command.run(args, opts)
  end

  local function files(folder)
    local list = {}
    for name in lfs.dir(folder) do
      if name:sub(1, 1) ~= '.' then list[#list + 1] = name end
    end
    table.sort(list)
    return table.concat(list, ' ')
  end

  local function bytes(name)
    local f = assert(io.open(dir .. '/' .. name, 'rb'))
    local s = f:read '*a'
    f:close()
    return s
  end

  -- The bytes of a text spoken alone.
  local function alone(text, ...)
    local path = dir .. '/alone.wav'
    local r = command.run {'say', text, '-m', model, '--max-frames', '6', '-o', path, ...}
    assert.equal(0, r.code, r.err)
    return bytes 'alone.wav'
  end

  it('makes a file for every line that holds something, by the number of the line', function()
    local r = each()
    assert.equal(0, r.code, r.err)
    assert.equal('01.wav 03.wav 05.wav', files(dir .. '/out'))
    assert.matches('3 made, 0 skipped, 0 failed\n$', r.err)
    assert.is_true(alone('Two here.', '--voice', 'ryan', '--seed', '7') == bytes 'out/03.wav')
  end)

  it('done again makes only what is not there, with the same bytes', function()
    each()
    local second = bytes 'out/03.wav'
    os.remove(dir .. '/out/03.wav')
    local r = each()
    assert.matches('1 made, 2 skipped, 0 failed\n$', r.err)
    assert.is_true(second == bytes 'out/03.wav')
    assert.matches('0 made, 3 skipped, 0 failed\n$', each().err)
  end)

  it('done again makes the sound again whose codes are not there', function()
    local codes = {'--codes', dir .. '/codes/%d.json'}
    each(codes)
    local first = bytes 'codes/1.json'
    os.remove(dir .. '/codes/1.json')
    assert.matches('1 made, 2 skipped, 0 failed\n$', each(codes).err)
    assert.equal(first, bytes 'codes/1.json')
  end)

  it('makes again what would come out otherwise, and nothing else', function()
    local function again(made, more, text)
      local r = each(more, nil, text)
      assert.equal(0, r.code, r.err)
      assert.matches(('%d made, %d skipped, 0 failed\n$'):format(made, 3 - made), r.err)
    end
    again(3)
    again(1, {}, 'One.\n\nTwo there.\r\n   \nThree.\n')
    assert.is_true(alone('Two there.', '--voice', 'ryan', '--seed', '7') == bytes 'out/03.wav')
    again(1)
    for _, more in ipairs {{'--voice', 'eric'}, {'--temperature', '0.5'}, {'--greedy'},
      {'--language', 'english'}, {'--max-frames', '5'}, {'--bits', '24'}, {'--dtype', 'f32'},
      {'--seed', '6'}} do
      again(3, more)
      again(0, more)
    end
    -- The model's weights, not where they lie or when they were written.
    local copy = dir .. '/model'
    os.execute(('cp -rL %s %s && chmod -R u+w %s'):format(command.quote(model), copy, copy))
    again(3)
    again(0, {'-m', copy})
    local f = assert(io.open(copy .. '/model.safetensors', 'r+b'))
    f:seek('end', -2)
    f:write '\1\1'
    f:close()
    again(3, {'-m', copy})
  end)

  it('without a seed keeps what is there, whatever it was spoken with', function()
    local function unseeded(text)
      return command.run {'say', '-f', st.write(text, dir .. '/lines.txt'), '--each', '-m', model,
        '--voice', 'ryan', '--max-frames', '3', '-o', dir .. '/out/%d.wav'}
    end
    assert.matches('2 made, 0 skipped, 0 failed\n$', unseeded('a\nb\n').err)
    assert.matches('1 made, 2 skipped, 0 failed\n$', unseeded('a\nb\nc\n').err)
  end)

  it('believes no manifest that was cut short, and no file it knows nothing of', function()
    each()
    local path = dir .. '/out/.argent-each.jsonl'
    local text = bytes 'out/.argent-each.jsonl'
    st.write(text:sub(1, #text - 20), path)
    assert.matches('1 made, 2 skipped, 0 failed\n$', each().err)
    assert.matches('0 made, 3 skipped, 0 failed\n$', each().err)
    os.remove(path)
    assert.matches('3 made, 0 skipped, 0 failed\n$', each().err)
  end)

  describe('of JSON objects', function()
    local function json_lines(text, ...)
      return command.run {'say', '-f', st.write(text, dir .. '/lines.jsonl'), '--each', '-m', model,
        '--voice', 'ryan', '--seed', '5', '--max-frames', '6', ...}
    end

    it('speaks each with options of its own, under its id', function()
      local r = json_lines([[
{"id": "one", "text": "One.", "voice": "eric", "top_k": 3}

{"text": "Two.\n", "seed": 99, "max-frames": 4, "greedy": false, "language": null}
{"id": 7, "text": "Three.", "greedy": true}
]], '-o', dir .. '/out/%s.wav', '--json')
      assert.equal(0, r.code, r.err)
      assert.equal('3.wav 7.wav one.wav', files(dir .. '/out'))
      assert.is_true(alone('One.', '--voice', 'eric', '--top-k', '3', '--seed', '5')
        == bytes 'out/one.wav')
      assert.is_true(alone('Two.', '--voice', 'ryan', '--seed', '99', '--max-frames', '4')
        == bytes 'out/3.wav')
      assert.is_true(alone('Three.', '--voice', 'ryan', '--greedy') == bytes 'out/7.wav')
      local told = {}
      for line in r.out:gmatch '[^\n]+' do told[#told + 1] = json.decode(line, 'line') end
      assert.same({'one', 1}, {told[1].id, told[1].line})
      assert.same({nil, 3}, {told[2].id, told[2].line})
    end)

    it('numbers by the line of the file when the name has a number', function()
      local r = json_lines('\n{"id": "a", "text": "One."}\n', '-o', dir .. '/out/%d.wav')
      assert.equal(0, r.code, r.err)
      assert.equal('2.wav', files(dir .. '/out'))
    end)

    it('overrides one switch of the command', function()
      local r = json_lines('{"text": "One.", "greedy": false}\n', '--greedy', '-o',
        dir .. '/out/%d.wav')
      assert.equal(0, r.code, r.err)
      assert.is_true(alone('One.', '--voice', 'ryan', '--seed', '5') == bytes 'out/1.wav')
    end)

    it('reports by its number each line that cannot be spoken, and does the rest', function()
      local r = json_lines([[
{"text": "One.", "id": "a"}
{"text": "x", "vioce": "eric"}
{"text": "x", "model": "y"}
{"text": "x", "temperature": 0}
{"text": "x", "greedy": "yes"}
{"text": "x", "voice": ["ryan"]}
{"text": 5}
{"id": "b"}
{"text": "x", "id": "a"}
{"text": "x", "id": "../c"}
{"text": "x", "layout": "hole"}
not json
["text"]
{"text": "x", "voice": "rayn"}
{"text": "Last.", "id": "z"}
]], '-o', dir .. '/out/%s.wav')
      assert.equal(4, r.code)
      assert.equal('a.wav z.wav', files(dir .. '/out'))
      assert.matches('2 made, 0 skipped, 13 failed\n$', r.err)
      for number, why in pairs {
        [2] = "unknown option 'vioce', did you mean voice?",
        [3] = "unknown option 'model'; a line has id, text, and options of speech",
        [4] = "--temperature: expected a number from 0.001 to 1000, got '0'; --greedy takes the "
          .. 'most likely code at every step',
        [5] = 'greedy: expected true or false',
        [6] = 'voice: expected a text or a number',
        [7] = 'text: expected a text',
        [8] = 'it has no text',
        [9] = "id 'a': is that of line 1 too",
        [10] = "id '../c': cannot be the name of a file",
        [11] = "argument for option '--layout' must be one of 'whole', 'stream'",
        [12] = 'the line: not valid JSON: Expected value but found invalid token at character 1',
        [13] = 'expected a JSON object',
      } do
        local line = ('argent: say: line %d: %s\n'):format(number, why)
        assert.is_truthy(r.err:find(line, 1, true), line .. r.err)
      end
      assert.is_truthy(r.err:find("argent: say: line 14: unknown voice 'rayn'", 1, true))
    end)

    it('clones a voice that several lines name once, and replaces that of the command', function()
      local base
      for _, m in ipairs(golden.models()) do
        if m.name == 'base' then base = m end
      end
      local recording = base.dir .. '/reference.wav'
      local voice = dir .. '/a.voice'
      assert.equal(0, command.run({'clone', recording, '-m', base.model, '-o', voice}).code)
      local r = command.run {'say', '-f', st.write(([[
{"text": "One."}
{"text": "One.", "ref_audio": "%s", "ref_text": "A voice that speaks softly.", "seed": 1}
{"text": "One.", "ref_audio": "%s", "seed": 1}
]]):format(recording, recording), dir .. '/v.jsonl'), '--each', '-m', base.model, '--voice', voice,
        '--seed', '1', '--max-frames', '5', '-o', dir .. '/out/%d.wav'}
      assert.equal(0, r.code, r.err)
      assert.is_true(bytes 'out/1.wav' == bytes 'out/3.wav')
      assert.is_true(bytes 'out/1.wav' ~= bytes 'out/2.wav')
    end)
  end)

  describe('--rows', function()
    local text = 'One.\nTwo here, and more.\nbad \255 text\n\nThree.\nFour four four.\nFive.\n'

    it('speaks lines side by side: the same files, in the same order', function()
      local single = each({'--json', '--rows', '1'}, nil, text)
      assert.equal(4, single.code)
      local order, names = {}, files(dir .. '/out')
      for line in single.out:gmatch '[^\n]+' do
        order[#order + 1] = json.decode(line, 'line').line
      end
      assert.same({1, 2, 5, 6, 7}, order)
      local want = {}
      for name in names:gmatch '%S+' do want[name] = bytes('out/' .. name) end
      for _, rows in ipairs {'2', '3', '9'} do
        os.execute('rm -rf ' .. dir .. '/out')
        local r = each({'--json', '--rows', rows}, nil, text)
        assert.equal(4, r.code)
        assert.equal(names, files(dir .. '/out'))
        for name, sound in pairs(want) do assert.is_true(sound == bytes('out/' .. name), name) end
        local seen = {}
        for line in r.out:gmatch '[^\n]+' do seen[#seen + 1] = json.decode(line, 'line').line end
        assert.same(order, seen)
        assert.matches('argent: say: line 3: text: [^\n]*UTF%-8[^\n]*\n', r.err)
        assert.matches('[%d.]+ s of speech in [%d.]+ s\n5 made, 0 skipped, 1 failed\n$', r.err)
      end
    end)

    it('goes on when a sound cannot be written', function()
      assert(lfs.mkdir(dir .. '/out'))
      assert(lfs.mkdir(dir .. '/out/02.wav'))
      local r = each({'--rows', '3'}, nil, text)
      assert.equal(6, r.code, r.err)
      assert.matches('4 made, 0 skipped, 2 failed\n$', r.err)
      assert.equal('01.wav 02.wav 05.wav 06.wav 07.wav', files(dir .. '/out'))
    end)

    it('is chosen by cores and memory, which -v tells', function()
      local r = each({'-v', '--rows', '3'}, nil, text)
      assert.matches('\nbatch: 3 rows at once; [%d.]+ GB of memory, %d+ positions for all', r.err)
      r = each({'-v', '--memory', '64M'}, nil, text)
      assert.matches('\nbatch: %d+ rows at once; 64 MB of memory, %d+ positions', r.err)
    end)

    it('is for --each and --split parallel alone', function()
      for option, value in pairs {['--rows'] = '2', ['--memory'] = '2G'} do
        local r = command.run {'say', 'Hi.', '-m', model, option, value}
        assert.equal(('argent: say: %s is for the lines of --each, and for --split parallel\n')
          :format(option), r.err)
        assert.equal(2, r.code)
      end
    end)
  end)

  describe('--shard', function()
    local text = 'One.\n\nTwo here, and more.\nThree.\nFour four four.\nFive.\n'

    it('shares the lines among processes, which may run at once or one by one', function()
      each({}, nil, text)
      local names, want = files(dir .. '/out'), {}
      for name in names:gmatch '%S+' do want[name] = bytes('out/' .. name) end
      os.execute('rm -rf ' .. dir .. '/out')
      local r = each({'--shard', '2/3'}, nil, text)
      assert.matches('2 made, 0 skipped, 0 failed\n$', r.err)
      assert.equal('03.wav 06.wav', files(dir .. '/out'))
      r = each({'--shard', '1/3'}, nil, text)
      assert.matches('2 made, 0 skipped, 0 failed\n$', r.err)
      r = each({'--shard', '3/3'}, nil, text)
      assert.matches('1 made, 0 skipped, 0 failed\n$', r.err)
      assert.equal(names, files(dir .. '/out'))
      for name, sound in pairs(want) do assert.is_true(sound == bytes('out/' .. name), name) end
      -- Done again, in other shares or as a whole, there is nothing to do.
      assert.matches('0 made, 3 skipped, 0 failed\n$', each({'--shard', '1/2'}, nil, text).err)
      assert.matches('0 made, 5 skipped, 0 failed\n$', each({}, nil, text).err)
      -- What was made otherwise later counts, whoever notes it.
      os.execute 'sleep 1.1'
      assert.matches('2 made', each({'--shard', '1/3', '--top-k', '3'}, nil, text).err)
      assert.matches('2 made, 3 skipped', each({}, nil, text).err)
    end)

    it('is I of N, for --each alone', function()
      for _, bad in ipairs {'0/3', '4/3', 'a/b', '1', '1/0'} do
        local r = each {'--shard', bad}
        assert.equal(2, r.code)
        assert.matches("%-%-shard: expected I/N such as 1/8, got '" .. bad .. "'", r.err)
      end
      local r = command.run {'say', 'Hi.', '-m', model, '--shard', '1/2'}
      assert.matches('%-%-shard is for the lines of %-%-each', r.err)
    end)
  end)

  describe('--memory', function()
    it('refuses a line that cannot fit, by name, and speaks the others', function()
      local lines = '{"text": "One.", "max_frames": 6}\n{"text": "Two.", "max_frames": 30000}\n'
      local r = each({'--memory', '16M', '--rows', '1'}, nil, lines)
      assert.equal(5, r.code)
      assert.matches('line 2: the text may need %d+ positions, and the memory %(16 MB%) has room '
        .. 'for %d+: give it more memory', r.err)
      assert.equal('01.wav', files(dir .. '/out'))
    end)

    it('refuses what is no size, and too little for the model', function()
      local r = each {'--memory', 'much'}
      assert.equal(2, r.code)
      assert.matches("%-%-memory: expected a size such as 4G or 800M, got 'much'", r.err)
      r = each {'--memory', '1M'}
      assert.equal(5, r.code)
      assert.matches('rows? needs? more memory than 1 MB: %d+ MB for the model', r.err)
    end)
  end)

  describe('--split parallel', function()
    it('speaks the parts of a text side by side, each as it is alone', function()
      local parts = {('One two three four five six seven eight nine ten. '):rep(9),
        ('One two three four five six seven eight nine ten. '):rep(9)}
      local out, codes = dir .. '/all.wav', dir .. '/all.json'
      local r = command.run {'say', parts[1] .. parts[2], '-m', model, '--voice', 'ryan', '--seed',
        '5', '--max-frames', '6', '--split', 'parallel', '--rows', '2', '-o', out, '--codes', codes,
        '--json'}
      assert.equal(0, r.code, r.err)
      local stats = json.decode(r.out, 'stats')
      local tts = assert(require('argent').qwen3_tts.open(model))
      local list = require('argent.qwen3_tts.utterance').parts(tts, {text = parts[1] .. parts[2]})
      assert.is_true(#list > 1)
      assert.equal(#list, stats.parts)
      local want = {}
      for i, text in ipairs(list) do
        local sound = assert(tts:say {text = text, voice = 'ryan', seed = 5,
          stream = 65536 * (i - 1), max_frames = 6, split = 'off'})
        for _, frame in ipairs(sound.codes:totable()) do want[#want + 1] = frame end
      end
      assert.same(want, json.decode(bytes 'all.json', 'codes').codes)
      assert.equal(#want, stats.frames)
    end)

    it('is for one text', function()
      local r = each {'--split', 'parallel'}
      assert.equal(2, r.code)
      assert.matches('%-%-split parallel is for one text', r.err)
    end)
  end)

  it('reports a line that fails, does the rest, and ends with its exit code', function()
    local r = each({}, nil, 'One.\nbad \255 text\nThree.\n')
    assert.equal(4, r.code)
    assert.equal('01.wav 03.wav', files(dir .. '/out'))
    assert.matches('argent: say: line 2: text: [^\n]*UTF%-8[^\n]*\n', r.err)
    assert.matches('2 made, 0 skipped, 1 failed\n$', r.err)
  end)

  it('interrupted leaves no file half-written, and is resumed', function()
    local text = ('A longer line of some words, to take its time. '):rep(3) .. '\n'
    local slow = {'--max-frames', '200'}
    local r = each(slow, {interrupt = 0.8}, text:rep(60))
    assert.equal(130, r.code, r.err)
    local before = files(dir .. '/out')
    assert.is_nil(before:find 'partial')
    local count = select(2, before:gsub('%.wav', ''))
    assert.is_true(count < 60, before)
    for name in before:gmatch '%S+' do
      assert.is_true(#bytes('out/' .. name) > 44)
    end
    r = each(slow, nil, text:rep(60))
    assert.equal(0, r.code, r.err)
    local made, skipped = r.err:match '(%d+) made, (%d+) skipped, 0 failed\n$'
    assert.equal(60, made + skipped)
    -- Between a sound's name and the note of what it was made of may be one Ctrl-C.
    assert.is_true(count - skipped <= 1, r.err)
    assert.equal(60, select(2, files(dir .. '/out'):gsub('%.wav', '')))
  end)

  it('writes codes beside, and an object of JSON for each', function()
    local r = each {'--codes', dir .. '/codes/%d.json', '--json'}
    assert.equal(0, r.code, r.err)
    assert.equal('1.json 3.json 5.json', files(dir .. '/codes'))
    local n = -1
    for line in r.out:gmatch '[^\n]+' do
      n = n + 2
      local stats = json.decode(line, 'stats')
      assert.equal(('%s/out/%02d.wav'):format(dir, n), stats.file)
      assert.equal(4 + n, stats.seed)
      assert.is_true(stats.frames >= 1 and stats.seconds > 0)
    end
    assert.equal(5, n)
  end)

  it('refuses names that are no template, and texts without a line', function()
    for _, name in ipairs {'x.wav', '%d%d.wav', '%s%d.wav', '%5.2f.wav', '%%d.wav', '%d%', '-',
      '%1000d.wav', '%5s.wav', '%d/x.wav', '%d/%d.wav'} do
      local r = each {'-o', name}
      assert.equal(2, r.code, name .. r.err)
      assert.equal(1, select(2, r.err:gsub('\n', '\n')))
    end
    assert.equal(2, each({'--codes', 'x.json'}).code)
    local r = each({}, nil, '\n  \n')
    assert.equal(4, r.code)
    assert.matches('no line holds any text', r.err)
    assert.equal('lines.txt', files(dir))
  end)

  it('refuses a seed with which the last line would have one above 2^53', function()
    local r = each({'--seed', '9007199254740989'})
    assert.equal('argent: say: --seed 9007199254740989: line 5 would have a seed above 2^53; give '
      .. 'one of at most 9007199254740988\n', r.err)
    assert.equal(2, r.code)
    assert.equal(0, each({'--seed', '9007199254740988', '--json'}).code)
  end)

  describe('text from standard input', function()
    local function say(more, opts)
      local args = {'say', '-', '-m', design, '--instruct', '', '--seed', '3', '--max-frames', '40',
        '-o', '-'}
      for _, a in ipairs(more) do args[#args + 1] = a end
      return command.run(args, opts)
    end

    it('is spoken while it comes, and gives the bytes of the whole', function()
      local text = 'One two three four five six seven eight, and that is all.'
      local file = st.write(text, dir .. '/text.txt')
      local whole = command.run {'say', '-f', file, '-m', design, '--instruct', '', '--seed', '3',
        '--max-frames', '40', '--layout', 'stream', '-o', '-'}
      assert.equal(0, whole.code, whole.err)
      local fed = say({'--layout', 'stream'}, {stdin = text})
      assert.equal(0, fed.code, fed.err)
      assert.equal(whole.out, fed.out)
      -- In two pieces with a pause: the first must be heard before the second is there.
      local exe = ('(printf "One two three four "; sleep 1; date +%%s%%N >%s/second; printf "five '
        .. 'six '
        .. 'seven eight, and that is all.") | %s'):format(dir, command.quote(command.exe))
      local heard = dir .. '/heard.raw'
      local r = say({'--layout', 'stream'}, {exe = 'bash -c ' .. command.quote(exe
        .. ' "$@" </dev/stdin | (head -c 2; date +%s%N >' .. dir .. '/first; cat)') .. ' argent'})
      assert.equal(whole.out, r.out, r.err .. heard)
      assert.is_true(tonumber(bytes 'first') < tonumber(bytes 'second'))
    end)

    it('that is empty or no text is refused', function()
      for _, text in ipairs {'', '  \n', '\255abcdef'} do
        local r = say({'--layout', 'stream'}, {stdin = text})
        assert.equal(4, r.code, r.err)
        assert.equal('', r.out)
      end
    end)
  end)
end)
