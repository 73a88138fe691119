-- Language models and text encoders on the CUDA backend: on a card where there is one, and
-- everywhere with its kernels as plain C, against the CPU.

local ag = require 'argent'
local card = require 'support.card'
local compare = require 'support.compare'
local json = require 'argent.json'

local FOLDER = 'spec/fixtures/golden/'
local DECODERS = {'decoders/llama', 'decoders/mistral', 'decoders/qwen2', 'decoders/qwen3',
  'decoders/smollm/model.gguf'}
local ENCODERS = {'encoders/bert', 'encoders/distilbert', 'encoders/roberta'}

for _, kind in ipairs {'cuda-emulated', 'cuda'} do
  describe('on ' .. kind, function()
    local be, why = card.backend(kind)
    if not be then
      pending(why)
      return
    end
    local cpu = assert(ag.backend('cpu', {threads = 1}))

    for _, path in ipairs(DECODERS) do
      it('a language model writes what it writes on the CPU: ' .. path, function()
        local function run(backend)
          local lm = assert(ag.decoder.open(FOLDER .. path, {backend = backend, dtype = 'f32'}))
          local seen = {}
          local handle = lm:watch('layers.1.out', function(x)
            seen[#seen + 1] = x:view(-1):totable()
          end)
          local list = assert(lm:generate {prompts = {'The sea is', {17, 40, 9}}, max_tokens = 4,
            seed = 3, temperature = 0.7, top_k = 30, top_p = 0.95, min_p = 0.01, greedy = false,
            repetition_penalty = 1.2, hooks = {logits = function(_, x)
              x:narrow(1, 1, 1):fill(-1e30)
            end}})
          handle:stop()
          local _, g = lm:stream {prompt = {5, 6, 7}, greedy = true, max_tokens = 6}
          g:next()
          local fork = assert(g:fork {repetition_penalty = 2})
          while g:next() do end
          while fork:next() do end
          return {list[1].ids, list[2].ids, g.ids, fork.ids}, assert(lm:logits {17, 40, 9, 3}),
            seen
        end
        local ids, logits, seen = run(be)
        local want, want_logits, want_seen = run(cpu)
        assert.same(want, ids)
        assert.is_true(compare.distance(want_logits, logits) < 1e-4)
        assert.equal(#want_seen, #seen)
        for i, row in ipairs(want_seen) do
          for c, x in ipairs(row) do
            assert.is_true(math.abs(x - seen[i][c]) <= 1e-4 * math.max(1, math.abs(x)))
          end
        end
      end)
    end

    for _, path in ipairs(ENCODERS) do
      it('a text encoder makes the vectors of the CPU: ' .. path, function()
        local texts = assert(json.read(FOLDER .. path .. '/golden.json')).texts
        local some = {unpack(texts, 1, 4)}
        local function run(backend)
          return assert(assert(ag.encoder.open(FOLDER .. path, {backend = backend})):embed(some))
        end
        assert.is_true(compare.distance(run(cpu), run(be)) < 1e-5)
      end)
    end
  end)
end
