-- Language models against transformers: tiny random ones of each family, ids, logits, greedy texts
-- and chats.

local ag = require 'argent'
local json = require 'argent.json'
local templates = require 'argent.decoder.templates'

local FOLDER = 'spec/fixtures/golden/decoders/'
local FAMILIES = {'llama', 'mistral', 'qwen2', 'qwen3', 'smollm'}

for _, threads in ipairs {1, 2} do
  local be = assert(ag.backend('cpu', {threads = threads}))
  for _, family in ipairs(FAMILIES) do
    local lm = assert(ag.decoder.open(FOLDER .. family, {backend = be, dtype = 'f32'}))
    local golden = assert(json.read(FOLDER .. family .. '/golden.json'))

    describe(('a %s model, %d thread%s,'):format(family, threads, threads > 1 and 's' or ''),
      function()
        it('has the ids of the official tokenizer, special tokens and odd characters included',
          function()
            for i, text in ipairs(golden.texts) do
              assert.same(golden.ids[i], lm.tokenizer:encode(text, {special = true}), text)
            end
          end)

        it('has the logits of transformers at every position that was noted', function()
          local logits = assert(lm:logits(golden.prompt))
          for i, at in ipairs {0, 9, 23} do
            local row = logits:select(1, at + 1):totable()
            for v, x in ipairs(golden.logits[i]) do
              assert.is_true(math.abs(x - row[v]) <= 2e-5 * math.max(1, math.abs(x)),
                ('position %d, id %d: %.9g, not %.9g'):format(at, v - 1, row[v], x))
            end
          end
        end)

        it('continues greedily as transformers does', function()
          local r = assert(lm:generate {prompt = {unpack(golden.prompt, 1, 5)}, greedy = true,
            max_tokens = #golden.greedy, hooks = {logits = function(_, x)
              x:narrow(1, 1, 1):fill(-1e30) -- the end token does not end this one
            end}})
          local want = golden.greedy
          for i, id in ipairs(want) do
            if id == 0 then
              return assert.same({unpack(want, 1, i - 1)}, {unpack(r.ids, 1, i - 1)})
            end
          end
          assert.same(want, r.ids)
        end)

        it('renders chats as its template does', function()
          for _, chat in ipairs(golden.chats) do
            assert.equal(chat.text, templates.render(lm.template, chat.messages))
          end
        end)
      end)
  end
end
