-- SentencePiece's BPE against the sentencepiece package, and what is refused.

local SentencePiece = require 'argent.text.sentencepiece'
local json = require 'argent.json'

local golden = assert(json.read 'spec/fixtures/golden/sentencepiece.json')

local function file(changes)
  local f = {words = golden.words, scores = golden.scores, kinds = golden.kinds, prefix = true}
  for k, v in pairs(changes or {}) do f[k] = v end
  return f
end

local function copy(list)
  return {unpack(list)}
end

describe('SentencePiece', function()
  local tok = assert(SentencePiece.new(file()))

  it('gives the ids of the sentencepiece package', function()
    for i, text in ipairs(golden.texts) do assert.same(golden.ids[i], tok:encode(text), text) end
    assert.equal(13, #golden.texts)
  end)

  it('gives the text back, behind the space that is put before it', function()
    for i, text in ipairs(golden.texts) do
      if not text:find '\226\150\129' then -- the sign of a space becomes a space
        assert.equal(text == '' and '' or ' ' .. text, tok:decode(golden.ids[i]))
      end
    end
  end)

  it('finds tokens of the model on demand, with a space before what stands between', function()
    local stop = assert(tok:id '</s>')
    local a, b = assert(tok:encode 'the'), assert(tok:encode 'cat')
    local want = {}
    for _, list in ipairs {a, {stop}, b, {stop, stop}} do
      for _, id in ipairs(list) do want[#want + 1] = id end
    end
    assert.same(want, tok:encode('the</s>cat</s></s>', {special = true}))
    for _, id in ipairs(assert(tok:encode 'the</s>')) do assert.are_not.equal(stop, id) end
  end)

  it('puts no space before a text where the file says so', function()
    local bare = assert(SentencePiece.new(file {prefix = false}))
    assert.equal('the cat', bare:decode(assert(bare:encode 'the cat')))
  end)

  it('takes time in proportion to a long text', function()
    assert.is_true(#assert(tok:encode(('the cat '):rep(2 ^ 13))) > 2 ^ 13)
  end)

  it('refuses what is no tokenizer, and texts that are none', function()
    local words = copy(golden.words)
    words[4] = '<0xZZ>'
    local function refused(changes) return select(2, SentencePiece.new(file(changes))) end
    assert.equal("token 3 is no byte: string '<0xZZ>'", refused {words = words})
    local kinds = copy(golden.kinds)
    kinds[1], kinds[4] = 1, 1
    assert.equal('there is neither a token for the byte 0 nor one for what is unknown',
      refused {kinds = kinds})
    words = copy(golden.words)
    words[3] = ''
    assert.equal('token 2 is empty', refused {words = words})
    assert.same({nil, 'text is not valid UTF-8 at byte 1'}, {tok:encode '\255'})
    assert.has_error(function() tok:decode {1e6} end)
  end)
end)
