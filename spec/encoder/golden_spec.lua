-- Text encoders against transformers and tokenizers: tiny random ones of each family, and
-- all-MiniLM-L6-v2 where its weights are.

local ag = require 'argent'
local compare = require 'support.compare'
local json = require 'argent.json'
local real = require 'support.real'

local FOLDER = 'spec/fixtures/golden/encoders/'

local function near(want, got, bound, what)
  for i, x in ipairs(want) do
    assert.is_true(math.abs(x - got[i]) <= bound, ('%s, %d: %.9g, not %.9g'):format(what, i, got[i],
      x))
  end
end

for _, threads in ipairs {1, 2} do
  local be = assert(ag.backend('cpu', {threads = threads}))
  for _, family in ipairs {'bert', 'distilbert', 'roberta'} do
    local enc = assert(ag.encoder.open(FOLDER .. family, {backend = be, dtype = 'f32'}))
    local fast = assert(ag.encoder.open(FOLDER .. family, {backend = be}))
    local golden = assert(json.read(FOLDER .. family .. '/golden.json'))

    describe(('a %s encoder, %d thread%s,'):format(family, threads, threads > 1 and 's' or ''),
      function()
        it('has the ids of the official tokenizer, odd characters and long texts included',
          function()
            for i, text in ipairs(golden.texts) do
              assert.same(golden.ids[i], enc.tokenizer:encode(text, enc.cfg.most), text)
            end
          end)

        it('has the vectors of transformers', function()
          for i, text in ipairs(golden.texts) do
            near(golden.vectors[i], assert(enc:embed(text)):totable(), 2e-6, text)
          end
        end)

        it('has them nearly in fast products', function()
          for i, text in ipairs(golden.texts) do
            near(golden.vectors[i], assert(fast:embed(text)):totable(), 1e-4, text)
          end
        end)

        for how, one in pairs {exact = enc, fast = fast} do
          it('gives texts in a batch the bits that each has alone, in products that are ' .. how,
            function()
              local together = assert(one:embed(golden.texts))
              for i, text in ipairs(golden.texts) do
                assert.is_true(compare.same_bits(assert(one:embed(text)), together:select(1, i)))
              end
            end)
        end

        it('shows what a layer leaves, which is what transformers has there', function()
          local seen
          local watch = enc:watch('layers.0.out', function(x) seen = seen or x:clone() end)
          assert(enc:embed(golden.texts[1]))
          watch:stop()
          near(golden.layer, seen:select(1, #seen):totable(), 1e-5, 'layers.0.out')
        end)
      end)
  end
end

describe('all-MiniLM-L6-v2', function()
  it('has the vectors of transformers for 100 texts, within 1e-5', function()
    local path, why = real.path 'minilm'
    if not path then return pending(why) end
    local enc = assert(ag.encoder.open(path, {backend = assert(ag.backend 'cpu')}))
    local golden = assert(json.read(FOLDER .. 'minilm.json'))
    local vectors = assert(enc:embed(golden.texts)):totable()
    assert.equal(100, #vectors)
    for i, want in ipairs(golden.vectors) do
      local got = {}
      for j = 1, #want do got[j] = vectors[i][(j - 1) * golden.every + 1] end
      near(want, got, 1e-5, golden.texts[i])
    end
  end)
end)
