-- Text that comes while it is spoken, and text that is spoken in parts.

local ag = require 'argent'
local compare = require 'support.compare'
local golden = require 'support.golden'
local increment = require 'argent.text.increment'
local kernels = require 'support.kernels'
local speech = require 'support.speech'
local real_tokenizer = require 'support.real_tokenizer'
local Tokenizer = require 'argent.text.tokenizer'

local be = assert(ag.backend('cpu', {threads = 2}))
local TEXT = 'One two, three four! Five\nsix 78 seven… Und «weiter» geht es.'

local function joined(chunks)
  local all = {}
  for _, c in ipairs(chunks) do
    for _, v in ipairs(c:totable()) do all[#all + 1] = v end
  end
  return all
end

-- Everything a feed says when its text comes in pieces of these sizes.
local function fed(tts, options, text, sizes)
  local o = {}
  for k, v in pairs(options) do
    if k ~= 'text' then o[k] = v end
  end
  local feed, chunks, at, i = assert(tts:feed(o)), {}, 1, 0
  local function listen()
    for chunk in feed:chunks() do chunks[#chunks + 1] = chunk.samples end
  end
  while at <= #text do
    i = i % #sizes + 1
    assert(feed:write(text:sub(at, at + sizes[i] - 1)))
    at = at + sizes[i]
    listen()
  end
  assert(feed:finish())
  listen()
  assert.is_true(feed:done())
  return joined(chunks), feed
end

for _, model in ipairs(golden.models()) do
  describe('a feed on ' .. model.name, function()
    local tts = assert(ag.qwen3_tts.open(model.model, {backend = be, dtype = 'f32'}))
    local eos = tts.cfg.talker.codec.eos
    local endless = {logits = function(_, x) x:narrow(1, eos + 1, 1):fill(-1e9) end}

    it('gives the bits of the whole text, whatever the pieces', function()
      local o = speech.options(model, tts, TEXT, 3)
      o.layout, o.max_frames = 'stream', 40
      local sound = assert(tts:say(o))
      o.layout = nil
      for _, sizes in ipairs {{1}, {2, 3, 5}, {1000}, {7, 30}} do
        assert.same(sound.samples:totable(), (fed(tts, o, TEXT, sizes)))
      end
    end)

    it('speaks what it has, and waits for more', function()
      local o = speech.options(model, tts, nil, 3)
      o.hooks = endless
      local feed = assert(tts:feed(o))
      local function heard()
        local n = 0
        for chunk in feed:chunks() do n = n + chunk.frames end
        return n
      end
      assert.is_nil(feed:stats())
      assert(feed:write 'one ')
      local first = #tts.tokenizer:encode 'one'
      assert.equal(first - 1, heard()) -- the first token is in the prompt, others go to frames
      assert(feed:write 'two thr')
      local ids = #tts.tokenizer:encode 'one two'
      assert.equal(ids - first, heard())
      assert.equal(0, heard())
      assert.is_false(feed:done())
      assert(feed:write 'ee four ')
      local more = #tts.tokenizer:encode 'one two three four'
      assert.equal(more - ids, heard())
      feed:close()
      assert.equal('stopped', feed.utterance.ended)
    end)

    it('speaks what is held back when told to', function()
      local o = speech.options(model, tts, nil, 3)
      o.hooks = endless
      local feed = assert(tts:feed(o))
      assert(feed:write 'one two.\n')
      local n = 0
      local function listen()
        for chunk in feed:chunks() do n = n + chunk.frames end
      end
      listen()
      assert.equal(#tts.tokenizer:encode 'one' - 1, n)
      assert(feed:flush())
      listen()
      assert.equal(#tts.tokenizer:encode 'one' + #tts.tokenizer:encode ' two.\n' - 1, n)
      assert(feed:flush()) -- nothing is held
      feed:close()
    end)

    it('goes on for more text than its buffer holds at once', function()
      local o = speech.options(model, tts, nil, 3)
      o.hooks = endless
      o.max_frames = 700
      local text = ('one two three four five six seven eight nine ten '):rep(30)
      o.text, o.layout, o.split = text, 'stream', 'off'
      local whole = assert(tts:say(o))
      o.layout, o.split = nil, nil
      local _, feed = fed(tts, o, text, {50})
      assert.same(whole.codes:totable(), feed.speech:codes():totable())
    end)

    it('changes its voice while text is still coming', function()
      local o = speech.options(model, tts, TEXT, 4)
      o.layout, o.max_frames = 'stream', 30
      local sound = assert(tts:say(o))
      o.text, o.layout = nil, nil
      local feed = assert(tts:feed(o))
      local chunks = {}
      for piece in TEXT:gmatch '[^ ]+ ?' do
        assert(feed:write(piece))
        for chunk in feed:chunks() do chunks[#chunks + 1] = chunk.samples end
        if feed.utterance then feed.utterance:set {language = 'auto'} end -- read anew, no change
      end
      assert(feed:finish())
      for chunk in feed:chunks() do chunks[#chunks + 1] = chunk.samples end
      assert.same(sound.samples:totable(), joined(chunks))
    end)

    it('refuses bytes that are no text, no text at all, and misuse', function()
      local o = speech.options(model, tts, nil, 3)
      local feed = assert(tts:feed(o))
      local ok, err, code = feed:write 'a\255bcdef'
      assert.is_nil(ok)
      assert.equal('the text that was fed is not valid UTF-8', err)
      assert.equal('value', code)
      feed = assert(tts:feed(o))
      assert(feed:write '  \n ')
      ok, err = feed:finish()
      assert.is_nil(ok)
      assert.equal('text is empty', err)
      assert.error_matches(function() feed:write 'a' end, 'write: the feed is finished')
      assert.error_matches(function() tts:feed {text = 'a'} end, "unknown option string 'text'")
      assert.error_matches(function() tts:feed {temperature = 'hot'} end,
        'temperature: expected a number')
    end)
  end)

  describe('a long text on ' .. model.name, function()
    local tts = assert(ag.qwen3_tts.open(model.model, {backend = be, dtype = 'f32'}))
    local parts = {'One two three. ', 'Four five six.'}

    -- Utterance of two given parts; the first ends after its 5th frame.
    local function in_parts(o)
      local sentences = require 'argent.text.sentences'
      local real = sentences.parts
      sentences.parts = function() return {unpack(parts)} end
      local iterator, u = tts:frames(o)
      sentences.parts = real
      assert(iterator, u)
      return iterator, u
    end

    for _, layout in ipairs {'whole', 'stream'} do
      it('goes on in a new part as if both had been spoken in one, layout ' .. layout, function()
        local eos = tts.cfg.talker.codec.eos
        local function options(code)
          local o = speech.options(model, tts, table.concat(parts), 3)
          o.greedy, o.layout, o.max_frames = true, layout, 12
          o.hooks = {
            logits = function(u, x)
              local over = u.part == 1 and u.index == 6 and #u.parts == 2
              x:narrow(1, eos + 1, 1):fill(over and 1e9 or -1e9)
            end,
            code = code,
          }
          return o
        end
        local spoken = {}
        local iterator, u = in_parts(options())
        for frame in iterator do spoken[frame.index] = frame.codes end
        assert.equal(2, u.part)
        assert.equal(12, #spoken)
        -- One prompt, the first five frames forced: the rest must come out the same.
        local o, whole = options(function(v, _, g)
          return v.index <= 5 and spoken[v.index][g + 1] or nil
        end), {}
        o.split = 'off'
        for frame in assert(tts:frames(o)) do whole[frame.index] = frame.codes end
        assert.same(whole, spoken)
      end)
    end

    it('is the same with an input hook that changes nothing', function()
      local function spoken(input)
        local o = speech.options(model, tts, table.concat(parts), 3)
        o.layout, o.max_frames = 'stream', 22
        o.hooks = {input = input, logits = function(u, x)
          local over = u.part == 1 and u.index == 16
          x:narrow(1, tts.cfg.talker.codec.eos + 1, 1):fill(over and 1e9 or -1e9)
        end}
        local list = {}
        for frame in in_parts(o) do list[frame.index] = frame.codes end
        return list
      end
      assert.same(spoken(), spoken(function() end))
    end)

    it('is spoken to its end with the last stream of draws, too', function()
      local o = speech.options(model, tts, table.concat(parts), 3)
      o.stream, o.max_frames = 2 ^ 31 - 1, 8
      o.hooks = {logits = function(u, x)
        local over = u.part == 1 and u.index == 4
        x:narrow(1, tts.cfg.talker.codec.eos + 1, 1):fill(over and 1e9 or -1e9)
      end}
      local iterator, u = in_parts(o)
      local n = 0
      for _ in iterator do n = n + 1 end
      assert.same({8, 2, 'limit'}, {n, u.part, u.ended})
    end)

    it('is one stream of sound, the same in chunks and in one', function()
      local long = ('This is a sentence of some words. '):rep(12)
      local o = speech.options(model, tts, long, 3)
      o.max_frames = 60
      o.hooks = {logits = function(u, x)
        x:narrow(1, tts.cfg.talker.codec.eos + 1, 1):fill(u.index % 9 == 0 and 1e9 or -1e9)
      end}
      local sound = assert(tts:say(o))
      assert.is_true(sound.stats.parts > 1)
      local chunks = {}
      for chunk in assert(tts:stream(o)) do chunks[#chunks + 1] = chunk.samples end
      assert.same(sound.samples:totable(), joined(chunks))
      assert.is_true(compare.same_bits(sound.samples, assert(tts.codec:decode(sound.codes))))
      o.split = 'off'
      assert.equal(1, assert(tts:say(o)).stats.parts)
    end)
  end)
end

describe('the settled part of a text', function()
  it('keeps its ids, whatever follows', function()
    local random = kernels.random(7)
    local bits = {'a', 'word', ' ', '  ', '\n', '\r\n', '.', '!', "'s", "'", '12', '7', '…', '。',
      '你好', '，', 'é', 'e\204\129', '\204\129', 'नमस्ते', '한글', '\226\128\139',
      '\227\128\128', '-', '(', '"', 'DON\'T', '🙂', '<|im_end|>', '\t', '—', '々',
      '、', '「', '」', '№', '½', '\194\160'}
    local tok = assert(Tokenizer.open(real_tokenizer.dir()))
    for _ = 1, 10000 do
      local list = {}
      for i = 1, 2 + math.floor((random() + 1) * 6) do
        list[i] = bits[1 + math.floor((random() + 1) / 2 * #bits) % #bits]
      end
      local text = table.concat(list)
      local prefix = table.concat(list, '', 1, math.max(1, #list - 2))
      local n = increment.settled(prefix)
      for _, pattern in ipairs {'native', 'local_directory'} do
        local whole = assert(tok:encode(text, {pattern = pattern}))
        local head = assert(tok:encode(text:sub(1, n), {pattern = pattern}))
        local tail = assert(tok:encode(text:sub(n + 1), {pattern = pattern}))
        for _, id in ipairs(tail) do head[#head + 1] = id end
        assert.same(whole, head, ('%q after %d'):format(text, n))
      end
    end
  end)

  it('is all but the last word', function()
    for text, n in pairs {['one two'] = 3, ['one'] = 0, ['one '] = 3, [''] = 0, ['one\ntw'] = 3,
      ['one.\ntw'] = 0, ['你好。再'] = 6, [' a'] = 0, ['a  b'] = 1} do
      assert.equal(n, increment.settled(text), text)
    end
  end)
end)
