-- Subtitles and word times by the command.

local captions = require 'argent.cli.captions'
local command = require 'support.command'
local json = require 'argent.json'
local lfs = require 'lfs'

local function read(path)
  local f = assert(io.open(path, 'rb'))
  local s = f:read '*a'
  f:close()
  return s
end

describe('argent say', function()
  local dir

  setup(function()
    dir = os.tmpname()
    os.remove(dir)
    assert(lfs.mkdir(dir))
  end)

  teardown(function() os.execute('rm -rf ' .. command.quote(dir)) end)

  local function say(more, text)
    local words = {'say', text or 'Help is on the way. She was his first love.', '-m',
      command.root .. '/models/demo', '--voice', 'heart', '--seed', '1', unpack(more)}
    return command.run(words)
  end

  it('writes subtitles and word times beside the sound', function()
    local r = say {'-o', dir .. '/a.wav', '--srt', dir .. '/a.srt', '--vtt', dir .. '/a.vtt',
      '--words', dir .. '/a.json'}
    assert.equal(0, r.code, r.err)
    local seconds = tonumber(r.err:match 'a%.wav: ([%d.]+) s of speech')
    local doc = json.decode(read(dir .. '/a.json'), 'a.json')
    assert.is_false(doc.estimated)
    assert.equal(10, #doc.words)
    assert.same({'Help is on the way.', 'She was his first love.'},
      {doc.sentences[1].text, doc.sentences[2].text})
    local cues, stop = {}, nil
    for number, from, to, text in read(dir .. '/a.srt'):gmatch
      '(%d+)\n(%d%d:%d%d:%d%d,%d%d%d) %-%-> (%d%d:%d%d:%d%d,%d%d%d)\n([^\n]+)\n' do
      cues[#cues + 1] = {tonumber(number), text}
      assert.is_true(from < to)
      stop = tonumber((to:gsub('^00:00:', ''):gsub(',', '.')))
    end
    assert.same({{1, 'Help is on the way.'}, {2, 'She was his first love.'}}, cues)
    assert.near(seconds, stop, 0.006) -- the summary has two decimals
    local vtt = read(dir .. '/a.vtt')
    assert.matches('^WEBVTT\n\n00:00:00%.000 %-%-> [^\n]*\nHelp <00:00:0%d%.%d%d%d>is <', vtt)
    assert.equal(8, select(2, vtt:gsub('<00:', '')))
    assert.equal('Help is on the way.\nShe was his first love.',
      (vtt:gsub('<[^>]*>', ''):gsub('\n[^\n]*%-%->[^\n]*', ''):match '^WEBVTT\n\n(.-)\n?$'
        :gsub('\n\n', '\n')))
  end)

  it('counts in the seconds that are heard at another speed', function()
    local function times(...)
      local r = say {'-o', dir .. '/s.wav', '--words', dir .. '/s.json', ...}
      assert.equal(0, r.code, r.err)
      return json.decode(read(dir .. '/s.json'), 's.json')
    end
    local plain, fast = times(), times('--speed', '2')
    for i, w in ipairs(plain.words) do
      assert.near(w.start / 2, fast.words[i].start, 0.001)
      assert.near(w.stop / 2, fast.words[i].stop, 0.001)
    end
    assert.near(plain.sentences[2].stop / 2, fast.sentences[2].stop, 0.001)
  end)

  it('names them by line with --each, and makes what is missing', function()
    local args = {'--each', '-o', dir .. '/%d.wav', '--srt', dir .. '/%d.srt'}
    assert.equal(0, say(args, 'Help is on the way.').code)
    assert.matches('Help is on the way', read(dir .. '/1.srt'))
    assert.matches('0 made, 1 skipped', say(args, 'Help is on the way.').err)
    os.remove(dir .. '/1.srt')
    assert.matches('1 made, 0 skipped', say(args, 'Help is on the way.').err)
    assert.is_truthy(lfs.attributes(dir .. '/1.srt'))
    local r = say({'--each', '-o', dir .. '/%d.wav', '--words', dir .. '/w.json'}, 'Hi.')
    assert.equal(2, r.code)
    assert.matches("%-%-words: with %-%-each the file's name needs one number or id", r.err)
  end)

  it('writes them for parts that are spoken side by side', function()
    local text = ('Help is on the way. She was his first love. '):rep(9)
    local r = say({'--split', 'parallel', '-o', dir .. '/p.wav', '--words', dir .. '/p.json'}, text)
    assert.equal(0, r.code, r.err)
    local doc = json.decode(read(dir .. '/p.json'), 'p.json')
    assert.equal(90, #doc.words)
    local last = 0
    for _, w in ipairs(doc.words) do
      assert.is_true(w.start >= last, w.text)
      last = w.start
    end
    assert.near(tonumber(r.err:match 'p%.wav: ([%d.]+) s'), doc.sentences[18].stop, 0.006)
  end)

  it('refuses one file for two, before it speaks', function()
    local r = say {'-o', dir .. '/b.wav', '--srt', dir .. '/b', '--vtt', dir .. '/b'}
    assert.equal(2, r.code)
    assert.matches('%-%-vtt %S+ is the file of %-%-srt too', r.err)
    assert.is_nil(lfs.attributes(dir .. '/b.wav'))
    r = say {'-o', dir .. '/b.wav', '--srt', dir .. '/none/b.srt'}
    assert.equal(6, r.code)
    assert.is_nil(lfs.attributes(dir .. '/b.wav'))
  end)

  it('keeps what a cue would be misread by: long times, and marks of WebVTT', function()
    local a = {
      estimated = true,
      words = {{text = 'A<b', start = 3661.5, stop = 3662},
        {text = '&c.', start = 3662, stop = 3663}},
      sentences = {{text = 'A<b\n  &c.', start = 3661.5, stop = 3663.0004}},
    }
    assert.equal('1\n01:01:01,500 --> 01:01:03,000\nA<b &c.\n', captions.srt(a))
    assert.equal('WEBVTT\n\n01:01:01.500 --> 01:01:03.000\nA&lt;b <01:01:02.000>&amp;c.\n',
      captions.vtt(a))
  end)
end)
