-- Every network against the official PyTorch implementation, on the small checkpoints of
-- spec/fixtures/golden (or of the folder that ARGENT_GOLDEN names). Bounds: prompts and step inputs
-- 1e-5 absolute; hidden states and logits 1e-4 relative; codes equal; sound 1e-4, with the fast
-- codec of bf16 models 2e-4.

local ag = require 'argent'
local cases = require 'support.cases'
local compare = require 'support.compare'
local golden = require 'support.golden'
local prompt = require 'argent.qwen3_tts.prompt'
local utterance = require 'argent.qwen3_tts.utterance'

local be = assert(ag.backend('cpu', {threads = 2}))

local function build_prompt(tts, o)
  return assert(prompt.build(tts.cfg, tts.tokenizer, {
    text = o.text, instruct = o.instruct, voice = o.voice, language = o.language, layout = o.layout,
    speaker_vector = o.reference ~= nil,
    reference = o.reference and o.reference.codes and {frames = #o.reference.codes,
      text = o.reference.text} or nil,
  }))
end

for _, dtype in ipairs {'f32', 'bf16'} do
  local SOUND = dtype == 'f32' and 1e-4 or 2e-4
  describe('goldens in ' .. dtype, function()
    for _, model in ipairs(golden.models()) do
      local tts, reference

      setup(function()
        tts = assert(ag.qwen3_tts.open(model.model, {backend = be, dtype = dtype}))
        reference = cases.reference(model, be)
      end)

      for _, case in ipairs(model.cases) do
        local name = model.name .. '/' .. case.name
        local function expected()
          return assert(ag.load(('%s/%s.safetensors'):format(model.dir, case.name), {backend = be}))
        end

        it(name .. ': the prompt rows, the text still to come, and the hidden state of every row',
          function()
          local o, e = cases.options(case, reference), expected()
          local p = build_prompt(tts, o)
          local ref = o.reference and {speaker = o.reference.speaker,
            frames = o.reference.codes
              and tts.predictor:frame_embeddings(tts.talker.codec_embedding, o.reference.codes)}
          local rows = tts.talker:prompt_rows(p, ref)
          assert.is_true(compare.distance(e.prompt, rows) <= 1e-5)
          assert.is_true(compare.distance(e.trailing, tts.talker:text_vectors(p.trailing)) <= 1e-5)
          local s = tts.talker.backbone:session {}
          assert.is_true(compare.relative(e.prefill_hidden, tts.talker.backbone:forward(s,
            rows)) <= 1e-4)
        end)

        it(name .. ': every hidden state, logit, code and step input of the loop', function()
          local o, e = cases.options(case, reference), expected()
          local u = assert(utterance.start(tts, o))
          local batch = u.batch
          u.max_frames = case.frames + 1
          for f = 1, case.frames + 1 do
            u.batch:step()
            assert.is_true(compare.relative(e.step_hidden:select(1, f), batch.hidden) <= 1e-4)
            assert.is_true(compare.relative(e.step_logits:select(1, f), batch.logits) <= 1e-4)
            if f > case.frames then break end -- the state in which the official loop has ended
            assert.equal(f, u.frames)
            assert.same(e.codes:select(1, f):totable(), batch.codes:select(1, 1):totable())
            assert.is_true(compare.relative(e.predictor_logits:select(1, f),
              batch.state.logits) <= 1e-4)
            assert.is_true(compare.distance(e.step_inputs:select(1, f), batch.input) <= 1e-5)
          end
          u:finish()
        end)

        it(name .. ': the codes and the sound that say gives', function()
          local o, e = cases.options(case, reference), expected()
          local sound = assert(tts:say(o))
          assert.equal(case.frames, sound.stats.frames)
          -- Where the last of the drawn ids is the end token the official loop says so; with
          -- max_frames Argent stops before that draw.
          assert.is_true(sound.stats.ended == case.ended or case.frames == o.max_frames)
          assert.same(e.codes:totable(), sound.codes:totable())
          -- The official cut of an in-context reference can be one sample early (REFERENCE.md,
          -- "What is decoded").
          local n = sound.samples:count()
          local extra = e.wave:count() - n
          assert.is_true(extra == 0 or (case.mode == 'icl' and extra == 1))
          assert.is_true(compare.distance(e.wave:narrow(1, 1 + extra, n), sound.samples) <= SOUND)
        end)
      end

      it(model.name .. ': every stage of the codec', function()
        local e = assert(ag.load(model.dir .. '/codec.safetensors', {backend = be}))
        local stages = {}
        local samples = assert(tts.codec:decode(e.codes, {tap = function(stage, x)
          stages[stage] = stages[stage] or {}
          table.insert(stages[stage], x:clone())
        end}))
        assert.is_true(compare.distance(e.wave, samples) <= SOUND)
        for stage, x in pairs(e) do
          if stage ~= 'codes' and stage ~= 'wave' then
            local at = 0
            for _, part in ipairs(assert(stages[stage], stage)) do
              local want = x:narrow(2, at + 1, #part):transpose(1, 2):contiguous()
              -- Stages reach 10 before the last one scales them down, where f32 itself, the
              -- official one included, is 1e-4 off.
              local difference, scale = compare.distance(want, part)
              assert.is_true(difference <= SOUND * math.max(1, scale), stage)
              at = at + #part
            end
            assert.equal(x.shape[2], at)
          end
        end
      end)
    end
  end)
end
