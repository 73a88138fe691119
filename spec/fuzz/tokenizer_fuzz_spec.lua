-- The files of a small tokenizer with random changes: opened, and then it works, or refused in one
-- line. spec/text/tokenizer_fuzz_spec.lua has texts, and a larger one's files.

local cjson = require 'cjson'
local decoder_tokenizer = require 'argent.decoder.tokenizer'
local json = require 'argent.json'
local mutate = require 'support.mutate'
local real_tokenizer = require 'support.real_tokenizer'
local st = require 'support.st'
local Tokenizer = require 'argent.text.tokenizer'

describe('tokenizer files with random changes', function()
  local dir, remove = mutate.folder()
  teardown(remove)

  local words = real_tokenizer.symbols()
  local merges = {'h e', 'l l', 'he ll', 'hell o', 'Ġ w', '1 2'}
  for _, merge in ipairs(merges) do words[#words + 1] = merge:gsub(' ', '') end
  local vocab = cjson.decode(real_tokenizer.vocab_json(words))
  local added = {
    [tostring(#words)] = {content = '<|im_start|>', special = true, normalized = false},
    [tostring(#words + 1)] = {content = '<|im_end|>', special = true, normalized = false},
  }
  local list = {}
  for id, token in pairs(added) do
    list[#list + 1] = {id = tonumber(id), content = token.content, special = true}
  end
  local FILES = {
    ['vocab.json'] = {value = vocab},
    ['merges.txt'] = {text = '#version: 0.2\n' .. table.concat(merges, '\n') .. '\n'},
    ['tokenizer_config.json'] = {value = {added_tokens_decoder = added, eos_token = '<|im_end|>',
      tokenizer_class = 'Qwen2Tokenizer'}},
  }
  local ONE = {['tokenizer.json'] = {value = {
    version = '1.0', added_tokens = list, normalizer = {type = 'NFC'},
    pre_tokenizer = {type = 'ByteLevel', add_prefix_space = false, use_regex = true},
    decoder = {type = 'ByteLevel'},
    post_processor = {type = 'TemplateProcessing', single = {
      {SpecialToken = {id = '<|im_start|>', type_id = 0}}, {Sequence = {id = 'A', type_id = 0}},
    }},
    model = {type = 'BPE', vocab = vocab, merges = merges},
  }}}

  local function run(seed, files, open)
    for name, f in pairs(files) do
      f.whole = f.text or cjson.encode(f.value)
      st.write(f.whole, dir .. '/' .. name)
    end
    assert(open(dir))
    local names, opened, refused = {}, 0, 0
    for name in pairs(files) do names[#names + 1] = name end
    table.sort(names)
    mutate.each(seed, 2, function(round, say)
      local name = names[round % #names + 1]
      local f = files[name]
      local text = f.value and math.random() < 0.7 and mutate.json(f.value) or mutate.bytes(f.whole)
      say(text)
      st.write(text, dir .. '/' .. name)
      local tok, err = open(dir)
      if tok then
        opened = opened + 1
        local ids, why = tok:encode('hello 12', {special = math.random() < 0.5})
        assert(ids or mutate.is_plain(why), why)
        if ids then assert(type(tok:decode(ids)) == 'string') end
      else
        refused = refused + 1
        assert(mutate.is_plain(err), err)
        assert(err:find(dir, 1, true), err)
      end
      st.write(f.whole, dir .. '/' .. name)
    end)
    for name in pairs(files) do os.remove(dir .. '/' .. name) end
    assert.is_true(opened > 0 and refused > 0, ('%d, %d'):format(opened, refused))
  end

  it('(vocabulary, merges, added tokens) are opened or refused', function()
    run(1, FILES, Tokenizer.open)
  end)

  it('(GGUF, SentencePiece) are opened or refused', function()
    local g = assert(json.read 'spec/fixtures/golden/sentencepiece.json')
    local metadata = {
      ['tokenizer.ggml.model'] = 'llama', ['tokenizer.ggml.tokens'] = g.words,
      ['tokenizer.ggml.scores'] = g.scores, ['tokenizer.ggml.token_type'] = g.kinds,
      ['tokenizer.ggml.bos_token_id'] = 1, ['tokenizer.ggml.add_space_prefix'] = true,
    }
    assert(decoder_tokenizer.of_gguf(metadata, 'FILE'))
    local opened, refused = 0, 0
    mutate.each(3, 60, function(_, say)
      local text = mutate.json(metadata)
      say(text)
      local values = json.decode(text, 'metadata')
      if not values then return end
      local tok, err = decoder_tokenizer.of_gguf(values, 'FILE')
      if tok then
        opened = opened + 1
        local ids = assert(tok:encode('hello 12', {special = true}))
        assert(type(tok:decode(ids)) == 'string')
      else
        refused = refused + 1
        assert(mutate.is_plain(err), err)
        assert(err:find('FILE', 1, true) == 1, err)
      end
    end)
    assert.is_true(opened > 0 and refused > 0, ('%d, %d'):format(opened, refused))
  end)

  it('(tokenizer.json) are opened or refused', function()
    run(2, ONE, decoder_tokenizer.open)
  end)
end)
