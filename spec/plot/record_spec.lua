-- What is recorded while a golden model speaks.

local ag = require 'argent'
local cases = require 'support.cases'
local golden = require 'support.golden'
require 'support.near'

local be = assert(ag.backend('cpu', {threads = 2}))
local record = ag.plot.record

for _, model in ipairs(golden.models()) do
  describe('an utterance of ' .. model.name, function()
    local tts = assert(ag.qwen3_tts.open(model.model, {backend = be, dtype = 'f32'}))
    local cfg = tts.cfg.talker
    local heads, case = cfg.num_attention_heads, model.cases[1]
    for _, c in ipairs(model.cases) do
      if c.ended == 'eos' and c.frames > 10 then case = c end
    end
    local options = cases.options(case, cases.reference(model, be))
    options.split = 'off'

    it('gives its attention map: that of one pass over all of its positions', function()
      local embedded = {}
      local handle = tts.talker:watch('embed', function(x, info)
        for i, row in ipairs(x:select(1, 1):totable()) do embedded[info.pos + i] = row end
      end)
      local layer = cfg.num_hidden_layers - 1
      local r = assert(record.attention(tts, options, layer))
      handle:stop()
      local P = #embedded
      assert.same({heads, P, P}, r.probs.shape)
      assert.equal(case.prompt_rows, r.boundary)
      assert.equal(case.frames, r.utterance.frames)
      assert.equal(case.prompt_rows + case.frames - (case.ended == 'limit' and 1 or 0), P)

      local want
      local bb = tts.talker.backbone
      handle = bb:watch(('layers.%d.attn.probs'):format(layer), function(x) want = x:clone() end)
      assert(bb:forward(bb:session {rows = 1, capacity = P, chunk = P}, ag.tensor(be, embedded)))
      handle:stop()
      assert.near(want:select(1, 1), r.probs, 1e-5)
      assert.equal(0, r.probs:totable()[1][1][P])
    end)

    it('gives one head, or the mean of them, alike', function()
      local all = assert(record.attention(tts, options, 0)).probs:totable()
      local one = assert(record.attention(tts, options, 0, 2)).probs
      local mean = assert(record.attention(tts, options, 0, 'mean')).probs
      assert.same({1, #all[1], #all[1]}, one.shape)
      assert.near(all[2], one:select(1, 1))
      local want = {}
      for r = 1, #all[1] do
        want[r] = {}
        for c = 1, #all[1] do
          local sum = 0
          for h = 1, heads do sum = sum + all[h][r][c] end
          want[r][c] = sum / heads
        end
      end
      assert.near(want, mean:select(1, 1), 1e-6)
      assert.is_truthy(ag.plot.attention(mean, {boundary = case.prompt_rows}))
    end)

    it('gives the probability of its end at each draw, as the sampler sees it', function()
      -- The sampler's view, computed again: what has been drawn is penalised, control ids are out.
      local drawn, want, penalty = {}, {}, options.repetition_penalty
        or tts.cfg.generation.repetition_penalty
      local o = {}
      for k, v in pairs(options) do o[k] = v end
      o.hooks = {
        logits = function(u, x)
          local sum, at_end = 0, nil
          for i, v in ipairs(x:totable()) do
            local id = i - 1
            if drawn[id] then v = v > 0 and v / penalty or v * penalty end
            if id < cfg.vocab_size - 1024 or id == cfg.codec.eos then sum = sum + math.exp(v) end
            if id == cfg.codec.eos then at_end = math.exp(v) end
          end
          want[#want + 1] = u.index <= 2 and 0 or at_end / sum
        end,
        code = function(_, id, group)
          if group == 0 then drawn[id] = true end
        end,
      }
      local r = assert(record.eos(tts, o))
      assert.near(want, r.probabilities, 1e-9, 1e-5)
      assert.equal(case.frames + (case.ended == 'eos' and 1 or 0), #r.probabilities)
      for i, t in ipairs(r.times) do
        assert.near((i - 1) * tts.codec.samples_per_frame / tts.codec.rate, t, 1e-9)
      end
      assert.is_truthy(ag.plot.eos(r.probabilities, {times = r.times}))
    end)

    it('says the same as without recording, and stops recording at its end', function()
      local plain = assert(tts:say(options)).codes
      local r = assert(record.attention(tts, options, 0))
      assert.same_bits(plain, r.utterance:codes())
      r = assert(record.eos(tts, options))
      assert.same_bits(plain, r.utterance:codes())
      assert.equal(0, tts.talker.watchers.count)
    end)

    it('keeps a long text in one prompt, so that there is one map', function()
      local o = {}
      for k, v in pairs(options) do o[k] = v end
      o.split, o.max_frames, o.text = nil, 2, ('One sentence after another is said. '):rep(40)
      local r = assert(record.attention(tts, o, 0, 1))
      assert.equal(1, #r.utterance.parts)
      assert.equal(r.utterance.prompt_rows + 1, r.probs.shape[2])
    end)

    it('sees what a hook has put in the place of the logits', function()
      local o = {}
      for k, v in pairs(options) do o[k] = v end
      o.max_frames = 5
      o.hooks = {logits = function(_, x)
        local y = x:clone()
        y:narrow(1, cfg.codec.eos + 1, 1):fill(-1e30)
        return y
      end}
      local r = assert(record.eos(tts, o))
      assert.same({0, 0, 0, 0, 0}, r.probabilities)
      assert.equal('limit', r.utterance.ended)
    end)

    it('refuses what cannot be recorded, and leaves nobody watching', function()
      local ok, err = pcall(function()
        local x = record.attention(tts, options, cfg.num_hidden_layers)
        return x
      end)
      assert.is_false(ok)
      assert.is_truthy(err:find('record_spec.lua:.*layer: expected an integer from 0 to '))
      ok, err = pcall(function()
        local x = record.attention(tts, options, 0, heads + 1)
        return x
      end)
      assert.is_false(ok)
      assert.is_truthy(err:find('record_spec.lua:.*head: expected an integer from 1 to '))
      local bad = {text = options.text, layout = options.layout, voice = 'nobody at all',
        instruct = options.instruct, reference = options.reference}
      local r, message, code = record.attention(tts, bad, 0)
      if model.name == 'custom' then
        assert.is_nil(r)
        assert.equal('value', code)
        assert.is_truthy(message:find('nobody at all', 1, true))
      end
      ok = pcall(record.eos, tts, {txt = 'no'})
      assert.is_false(ok)
      local failing = {}
      for k, v in pairs(options) do failing[k] = v end
      failing.hooks = {logits = function() error 'mine' end}
      ok, err = pcall(record.attention, tts, failing, 0)
      assert.is_false(ok)
      assert.is_truthy(tostring(err):find('mine', 1, true))
      assert.equal(0, tts.talker.watchers.count)
    end)
  end)
end
