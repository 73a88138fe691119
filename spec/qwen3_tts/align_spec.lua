-- When words were said. What is true is known of the sentences that the demo voice's teacher spoke:
-- the fixture has their codes, and the times from the teacher's own durations.

local ag = require 'argent'
local amount = require 'support.amount'
local cases = require 'support.cases'
local command = require 'support.command'
local golden = require 'support.golden'
local json = require 'argent.json'
local st = require 'support.st'

local be = assert(ag.backend('cpu', {threads = 2}))
local demo = command.root .. '/models/demo'

local function open(path)
  return assert(ag.qwen3_tts.open(path, {backend = be, dtype = 'f32'}))
end

local function plain(a)
  return {words = a.words, sentences = a.sentences, parts = a.parts}
end

describe('the word times of the demo voice', function()
  local tts = open(demo)
  local truth = json.read(ARGENT_ROOT .. '/spec/fixtures/demo_times.json')

  -- Errors in seconds of all starts and all stops, sorted.
  local function errors(model)
    local starts, stops = {}, {}
    for i = 1, amount.of(#truth, #truth, 8) do
      local said = truth[i]
      local a = assert(model:align {text = said.text, codes = said.codes, voice = 'heart'})
      assert.equal(#said.words, #a.words, said.text)
      for j, w in ipairs(a.words) do
        starts[#starts + 1] = math.abs(w.start - said.words[j][1])
        stops[#stops + 1] = math.abs(w.stop - said.words[j][2])
      end
    end
    table.sort(starts)
    table.sort(stops)
    return starts, stops
  end

  local function quantile(list, q) return list[math.ceil(#list * q)] end

  it('are within 80 ms for half of the words and within 250 ms for 95 of 100', function()
    local starts, stops = errors(tts)
    assert.equal(100, #truth)
    for _, list in ipairs {starts, stops} do
      assert.is_true(quantile(list, 0.5) <= 0.080, quantile(list, 0.5))
      assert.is_true(quantile(list, 0.95) <= 0.250, quantile(list, 0.95))
    end
  end)

  it('leave no keys and values behind in memory', function()
    local said, cfg = truth[1], tts.cfg.talker
    local function align()
      assert(tts:align {text = said.text, codes = said.codes, voice = 'heart'})
    end
    align()
    collectgarbage()
    collectgarbage()
    finally(function() collectgarbage 'restart' end)
    collectgarbage 'stop'
    local before = be.live_bytes
    for _ = 1, 4 do align() end
    local block = cfg.num_hidden_layers * 2 * cfg.num_key_value_heads * 256 * cfg.head_dim * 4
    assert.is_true(be.live_bytes - before < 4 * block)
  end)

  it('are estimated, and a little worse, where a model does not name its heads', function()
    local path = os.tmpname()
    os.remove(path)
    golden.copy(demo, path)
    os.remove(path .. '/alignment.json')
    local guess = open(path)
    local starts = errors(guess)
    assert.is_true(quantile(starts, 0.5) <= 0.200, quantile(starts, 0.5)) -- no delay is known
    assert.is_true(guess:align {text = truth[1].text, codes = truth[1].codes, voice = 'heart'}
      .estimated)
    for text, what in pairs {
      ['{"heads": []}'] = 'alignment.json: expected {"heads"',
      ['{"heads": [{"layer": 0, "head": 4}]}'] = 'heads[1]: expected a layer below 5 and a head '
        .. 'below 4',
      ['{"heads": [{"layer": 0.5, "head": 0}]}'] = 'heads[1]: expected a layer',
      ['{"heads": [{"layer": 0, "head": 0}], "delay": "1"}'] = 'expected {"heads"',
      ['{'] = 'not valid JSON',
    } do
      st.write(text, path .. '/alignment.json')
      local a, err, code = open(path):align {text = 'Hi.', codes = truth[1].codes, voice = 'heart'}
      assert.is_nil(a)
      assert.equal('format', code)
      assert.is_truthy(err:find(what, 1, true), err)
    end
    os.execute('rm -r ' .. command.quote(path))
  end)

  it('do not depend on how the text was spoken', function()
    local opts = {text = 'He spoke in a nervous tone of voice.', voice = 'heart', seed = 4,
      stream = 1}
    local sound = assert(tts:say(opts))
    local a = assert(tts:align(sound))
    assert.equal(8, #a.words)
    assert.equal('voice.', a.words[8].text)
    assert.is_false(a.estimated)
    local chunks, speech = tts:stream(opts)
    for _ in chunks do end -- luacheck: ignore 542
    assert.same(plain(a), plain(assert(tts:align(speech))))
    local both = assert(tts:say {text = {'Good morning.', opts.text}, voice = 'heart', seed = 4,
      stream = 0})
    assert.same(plain(a), plain(assert(tts:align(both[2]))))
    assert.same(plain(a), plain(assert(tts:align {text = opts.text, voice = 'heart',
      codes = sound.codes})))
  end)

  it('go on over the parts of a long text, whose borders are exact', function()
    local text = [[
He read his newspaper at breakfast. The force of his eloquence easily persuaded them. It brought
out his better side. The children bubbled over with joy. Remained calm throughout the uproar. Help
is on the way. He whispered a spell as he moved his hands. The armies met in the shock of battle.
Cotton, hay, and grain are field crops. They welcomed the signs of spring. The bank is solid and
will survive this attack. Leave your name and address here. She looks like her mother. A contract
advantageous to our country. His name was mentioned in connection with the invention. The grocer
priced his wares high. Was all in at the end of the day. She was his first love.]]
    local sound = assert(tts:say {text = text, voice = 'heart', seed = 2})
    local a = assert(tts:align(sound))
    assert.is_true(#a.parts >= 9) -- this model asks for short ones
    assert.equal(121, #a.words)
    assert.equal(18, #a.sentences)
    assert.equal('She was his first love.', a.sentences[18].text)
    local at = 0
    for _, part in ipairs(a.parts) do
      assert.near(at, part.start, 1e-9)
      assert.near(math.floor(part.stop * 12.5 + 0.5), part.stop * 12.5, 1e-6) -- whole frames
      at = part.stop
    end
    assert.near(sound:seconds(), at, 1e-9)
    local last = 0
    for _, w in ipairs(a.words) do
      assert.is_true(w.start >= last - 1e-9 and w.stop >= w.start, w.text)
      last = w.start
    end
    assert.is_true(last < sound:seconds())
  end)

  it('are read in the layout stream too', function()
    local sound = assert(tts:say {text = 'Help is on the way.', voice = 'heart', layout = 'stream',
      seed = 1, max_frames = 12})
    local a = assert(tts:align(sound))
    assert.equal(5, #a.words)
    assert.equal(#sound.codes, #a.paths[1].path)
  end)

  it('refuses codes that are none, and blames the caller for misuse', function()
    local a, err, code = tts:align {text = 'Hi.', codes = {{0, 0, 0, 5000}}, voice = 'heart'}
    assert.is_nil(a)
    assert.equal('value', code)
    assert.is_truthy(err:find('codes', 1, true), err)
    a, err, code = tts:align {text = 'Hi.', codes = {{0, 0, 0, 0}}, voice = 'nobody'}
    assert.is_nil(a)
    assert.equal('value', code)
    assert.is_truthy(err:find("unknown voice 'nobody'", 1, true), err)
    for _, said in ipairs {5, {text = 'Hi.'}, {codes = {{0, 0, 0, 0}}}, {word = 1}} do
      local ok, fault = pcall(function() tts:align(said) end)
      assert.is_false(ok)
      assert.is_truthy(fault:find '^%S*align_spec.lua:%d+: ', fault)
    end
  end)
end)

for _, model in ipairs(golden.models()) do
  describe('the word times of ' .. model.name, function()
    local tts = open(model.model)

    it('are there for every prompt that there is, in order', function()
      for _, case in ipairs(model.cases) do
        local options = cases.options(case, cases.reference(model, be))
        local sound, err, code, partial = tts:say(options)
        assert.is_true(sound ~= nil or code == 'runaway', err)
        sound = sound or partial
        local a = assert(tts:align(sound))
        assert.is_true(a.estimated)
        assert.equal(#require('argent.text.words').list(options.text), #a.words)
        local last = 0
        for _, w in ipairs(a.words) do
          assert.is_true(w.start >= last and w.stop <= sound:seconds() + 1e-9)
          last = w.start
        end
      end
    end)
  end)
end
