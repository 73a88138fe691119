-- Whole models on the CUDA backend: on a card where there is one, and everywhere with its kernels
-- as plain C, block by block and thread by thread.

local ag = require 'argent'
local amount = require 'support.amount'
local card = require 'support.card'
local cases = require 'support.cases'
local compare = require 'support.compare'
local speech = require 'support.speech'
local golden = require 'support.golden'

-- Of more than 56 rows, so that 200 frames need more than the caches begin with.
local LONG = 'A dozen of the boys jumped over the lazy brown dog, which quickly woke up; and then '
  .. 'the vexed fox, by the way a friend of the dog, came along to see what the noise had been '
  .. 'about.'

for _, kind in ipairs {'cuda-emulated', 'cuda'} do
  describe('on ' .. kind, function()
    local be, why = card.backend(kind)
    if not be then
      pending(why)
      return
    end

    it('every golden case gives the official codes and the official sound', function()
      local count = 0
      cases.each(be, 'f32', function(_, tts, _, expected, options)
        local sound = assert(tts:say(options))
        assert.same(expected.codes:totable(), sound.codes:totable())
        local n = #sound.samples
        local extra = #expected.wave - n -- see golden_spec
        assert.is_true(compare.distance(expected.wave:narrow(1, 1 + extra, n), sound.samples)
          <= 1e-4)
        count = count + 1
      end)
      assert.is_true(count >= 16)
    end)

    for _, model in ipairs(golden.models()) do
      it('speaks as the CPU does, with hooks, watchers and forks: ' .. model.name, function()
        local cpu = assert(ag.backend('cpu', {threads = 2}))
        local function run(backend)
          local tts = assert(ag.qwen3_tts.open(model.model, {backend = backend, dtype = 'bf16'}))
          local seen = {}
          local handle = tts.talker:watch('layers.1.attn.probs', function(x)
            seen[#seen + 1] = x:totable()[1][1][1][1]
          end)
          local o = speech.options(model, tts, 'one two three', 5)
          o.hooks = {logits = function(_, x) x:narrow(1, 1, 1):fill(-50) end}
          local frames, u = assert(tts:frames(o))
          local list = {}
          for _ = 1, 3 do list[#list + 1] = frames().codes end
          local fork = assert(u:fork {seed = 9})
          for f in fork:iterate() do list[#list + 1] = f.codes end
          handle:stop()
          return list, seen
        end
        local codes, seen = run(be)
        local expected_codes, expected_seen = run(cpu)
        assert.same(expected_codes, codes)
        assert.equal(#expected_seen, #seen)
        for i, v in ipairs(expected_seen) do assert.is_true(math.abs(v - seen[i]) < 1e-5) end
      end)
    end

    -- The emulated card has no time for more.
    local frames = kind == 'cuda' and 200 or amount.of(40, 40, 8)
    for _, dtype in ipairs {'f32', 'bf16'} do
      local sentence = 'says %d greedy frames with the codes of the CPU, in %s'
      it(sentence:format(frames, dtype), function()
        for _, model in ipairs(golden.models()) do
          local function run(backend)
            local tts = assert(ag.qwen3_tts.open(model.model, {backend = backend, dtype = dtype}))
            -- Without an end token none is drawn, and the frames stay whole plans, as a hook that
            -- forbids it would cut them.
            tts.cfg.talker.codec.eos = -1
            local o = speech.options(model, tts, LONG, nil)
            o.greedy, o.max_frames, o.layout = true, frames, 'whole'
            o.repetition_penalty = 1.3 -- argmax alone soon says one frame for ever
            local list, seen, distinct = {}, {}, 0
            local nexts, u = assert(tts:frames(o))
            for frame in nexts do
              local text = table.concat(frame.codes, ' ')
              distinct = distinct + (seen[text] and 0 or 1)
              seen[text], list[#list + 1] = true, text
            end
            return list, distinct, u
          end
          local codes, distinct, u = run(be)
          local expected = run(assert(ag.backend('cpu', {threads = 2})))
          assert.equal(frames, #codes)
          for i, text in ipairs(expected) do assert.equal(text, codes[i], 'frame ' .. i) end
          assert.is_true(distinct > frames / 4, 'the same frames over and over prove little')
          assert.is_true(u.prompt_rows > 56, '200 frames would not make the caches grow')
        end
      end)
    end

    it('a recording is cloned as on the CPU', function()
      local vectors, codes = {}, {}
      for i, backend in ipairs {be, assert(ag.backend 'cpu')} do
        local model
        for _, m in ipairs(golden.models()) do model = m.name == 'base' and m or model end
        local tts = assert(ag.qwen3_tts.open(model.model, {backend = backend, dtype = 'f32'}))
        local voice = assert(tts:clone {audio = model.dir .. '/reference.wav', text = 'A voice.'})
        vectors[i], codes[i] = voice.speaker, voice.codes:totable()
      end
      assert.same(codes[2], codes[1])
      assert.is_true(compare.relative(vectors[2], vectors[1]) <= 1e-5)
    end)

    it('memory grows with a session and is given back', function()
      collectgarbage()
      collectgarbage()
      local before = be.live_bytes
      do
        local t = require('argent.tensor').reserve(be, {1, 1e6, 64})
        assert(t:commit(1, 5000))
        t:narrow(2, 1, 5000):fill(2)
        assert.equal(2, t:select(1, 1):select(1, 5000):totable()[64])
        t:release()
      end
      collectgarbage()
      collectgarbage()
      assert.equal(before, be.live_bytes)
    end)
  end)
end

describe('the CUDA backend', function()
  it('says in one line why it cannot be used, or is there', function()
    local be, err, code = ag.backend 'cuda'
    if be then
      assert.equal('cuda', be.kind)
      assert.matches('^sm_%d+$', be.isa)
    else
      assert.matches("^backend 'cuda': ", err)
      assert.is_nil(err:find '\n')
      assert.equal('unsupported', code)
    end
    be, err = ag.backend 'cudda'
    assert.is_nil(be)
    assert.equal("backend 'cudda': known are cpu and cuda", err)
  end)
end)
