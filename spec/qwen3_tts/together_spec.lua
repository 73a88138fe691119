-- say with a list of texts: side by side, each as it would be alone.

local ag = require 'argent'
local compare = require 'support.compare'
local golden = require 'support.golden'
local speech = require 'support.speech'

local be = assert(ag.backend('cpu', {threads = 2}))

local TEXTS = {'One.', 'Two two, and a little more of it.', 'Three three.', 'Four.'}

for _, model in ipairs(golden.models()) do
  describe('a list of texts on ' .. model.name, function()
    local tts = assert(ag.qwen3_tts.open(model.model, {backend = be, dtype = 'f32'}))

    local function options(more)
      local o = speech.options(model, tts, TEXTS, 5)
      for k, v in pairs(more or {}) do o[k] = v end
      return o
    end

    local function same(a, b)
      assert.same(a.codes:totable(), b.codes:totable())
      assert.is_true(compare.same_bits(a.samples, b.samples))
    end

    it('is spoken as each text alone with its stream of the seed, however many at once', function()
      local alone = {}
      for i, text in ipairs(TEXTS) do
        alone[i] = assert(tts:say(options {text = text, stream = i - 1}))
      end
      for rows = 1, 5 do
        local sounds = assert(tts:say(options {rows = rows}))
        assert.equal(#TEXTS, #sounds)
        for i, sound in ipairs(sounds) do same(alone[i], sound) end
      end
    end)

    it('takes lists of other options, or one for all', function()
      local limits, seeds = {3, 5, 4, 2}, {9, 8, 7, 6}
      local sounds = assert(tts:say(options {max_frames = limits, seed = seeds, top_k = {3},
        language = {'english', 'auto', 'chinese', 'auto'}}))
      for i, sound in ipairs(sounds) do
        same(assert(tts:say(options {text = TEXTS[i], max_frames = limits[i], seed = seeds[i],
          top_k = 3, language = ({'english', 'auto', 'chinese', 'auto'})[i]})), sound)
      end
    end)

    it('has for each text the streams of draws that it is given', function()
      local one, two = options {text = TEXTS[1], seed = 3}, options {text = TEXTS[2], seed = 4}
      for _, case in ipairs {
        {{seed = {3, 4}, stream = 7}, {7, 7}}, {{seed = {3, 4}, stream = {7, 8}}, {7, 8}},
      } do
        case[1].text = {TEXTS[1], TEXTS[2]}
        local sounds = assert(tts:say(options(case[1])))
        one.stream, two.stream = unpack(case[2])
        same(assert(tts:say(one)), sounds[1])
        same(assert(tts:say(two)), sounds[2])
      end
    end)

    it('takes the row of a text that a hook has stopped for the next one', function()
      local sounds = assert(tts:say(options {rows = 1, hooks = {logits = function(u)
        if u.index == 2 then u:stop() end
      end}}))
      for i = 1, #TEXTS do
        assert.same({'stopped', 2}, {sounds[i].stats.ended, #sounds[i].codes})
      end
    end)

    it('names the text that cannot be spoken, and can go on afterwards', function()
      local sounds, err, code = tts:say(options {text = {'One.', 'a\255b', 'Three.'}})
      assert.is_nil(sounds)
      assert.equal('text 2: text: text is not valid UTF-8 at byte 2', err)
      assert.equal('value', code)
      assert.equal(2, #assert(tts:say(options {text = {'One.', 'Three.'}})))
    end)

    it('gives all sounds when one of them does not end', function()
      local function endless(_, x) x:narrow(1, tts.cfg.talker.codec.eos + 1, 1):fill(-1e9) end
      local sounds, err, code, partial = tts:say {
        text = {'One.', 'One.'}, voice = options().voice, instruct = options().instruct,
        reference = options().reference, seed = 1, max_frames = {4}, hooks = {logits = endless},
      }
      assert.same({2, nil, nil, nil}, {#sounds, err, code, partial})
      sounds, err, code, partial = tts:say {
        text = {'One.', 'One.'}, voice = options().voice, instruct = options().instruct,
        reference = options().reference, seed = 1, hooks = {logits = endless},
      }
      assert.is_nil(sounds)
      assert.equal('runaway', code)
      assert.matches('^text 1: the speech did not end after %d+ frames', err)
      assert.equal(2, #partial)
      assert.equal(partial[1].stats.frames, #partial[1].codes)
    end)
  end)
end

describe('a list of texts', function()
  local tts
  setup(function()
    for _, m in ipairs(golden.models()) do
      if m.name == 'custom' then tts = assert(ag.qwen3_tts.open(m.model, {backend = be})) end
    end
  end)

  it('has each its own voice', function()
    local sounds = assert(tts:say {text = {'One.', 'One.'}, voice = {'ryan', 'eric'}, greedy = true,
      max_frames = 5})
    for i, voice in ipairs {'ryan', 'eric'} do
      local alone = assert(tts:say {text = 'One.', voice = voice, greedy = true, max_frames = 5})
      assert.same(alone.codes:totable(), sounds[i].codes:totable())
    end
  end)

  it('is misuse when the lists do not fit, at the line of the caller', function()
    local here = debug.getinfo(1, 'S').short_src
    for message, opts in pairs {
      ['say: voice: a list of 3 for 2 texts'] = {text = {'a', 'b'}, voice = {'ryan', 'eric', 'x'}},
      ['say: text: an empty list'] = {text = {}},
      ['text: expected a string, got 5'] = {text = {'a', 5}, voice = 'ryan'},
      ['say: rows: expected an integer from 1 to 256, got 0'] = {text = {'a'}, rows = 0},
      ["seed: expected an integer from 0 to 9007199254740992, got string 'x'"] = {text = {'a'},
        seed = 'x'},
      ["top_k: expected an integer from 0 to 1048576, got string 'x'"] = {text = {'a'},
        voice = 'ryan', top_k = 'x'},
      ["stream: expected an integer from 0 to 2147483646, got string 'x'"] = {text = {'a', 'b'},
        stream = 'x'},
    } do
      local line
      local ok, err = pcall(function()
        line = debug.getinfo(1, 'l').currentline + 1
        local sounds = tts:say(opts)
        return sounds
      end)
      assert.is_false(ok)
      assert.equal(('%s:%d: %s'):format(here, line, message), err)
    end
  end)
end)
