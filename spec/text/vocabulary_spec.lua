-- Vocabularies that name merges whose product has no id, as speed checkpoints with filler words do.

local Tokenizer = require 'argent.text.tokenizer'
local real_tokenizer = require 'support.real_tokenizer'

describe('a merge whose product is no word', function()
  local tok, guard

  setup(function()
    local symbols = {}
    local tiny = assert(Tokenizer.open('spec/fixtures/golden/custom/model'))
    for byte = 0, 255 do symbols[byte + 1] = tiny.words[tiny.byte_ids[byte]] end
    symbols[257] = 'abc' -- but neither 'ab' nor 'abcd' nor 'cd'
    local dir
    dir, guard = real_tokenizer.directory {
      ['vocab.json'] = real_tokenizer.vocab_json(symbols),
      ['merges.txt'] = 'a b\nab c\nabc d\nc d\n',
      ['tokenizer_config.json'] = '{"added_tokens_decoder": {}}',
    }
    tok = assert(Tokenizer.open(dir))
  end)

  local function words(text)
    local out = {}
    for i, id in ipairs(assert(tok:encode(text))) do out[i] = tok.words[id] end
    return table.concat(out, ' ')
  end

  it('is a step towards a longer word', function()
    assert.equal('abc', words 'abc')
    assert.equal(257, tok.size)
  end)

  it('falls back into its parts where it stays', function()
    assert.equal('a b', words 'ab')
    assert.equal('abc d', words 'abcd')
    assert.equal('c d c d', words 'cdcd')
    assert.is_not_nil(guard)
  end)
end)

describe('merges.txt', function()
  local command = require 'support.command'
  local golden = require 'support.golden'
  local dir, text

  setup(function()
    dir = os.tmpname()
    os.remove(dir)
    golden.copy(golden.models()[1].model, dir)
    local f = assert(io.open(dir .. '/merges.txt', 'rb'))
    text = f:read '*a'
    f:close()
  end)

  teardown(function() os.execute('rm -rf ' .. command.quote(dir)) end)

  local function open(merges)
    local f = assert(io.open(dir .. '/merges.txt', 'wb'))
    f:write(merges)
    f:close()
    return Tokenizer.open(dir)
  end

  it('is refused by its name wherever it is cut', function()
    local whole = text:gsub('\n$', '')
    for n = 0, #whole - 1 do
      local vocabulary, err = open(whole:sub(1, n))
      assert.is_nil(vocabulary, ('the first %d of %d bytes'):format(n, #whole))
      assert.equal(dir .. '/merges.txt', err:match '^[^:]+')
      assert.is_nil(err:find '\n')
    end
    assert(open(whole))
  end)

  it('that is empty ends a command with exit code 3 and names the file', function()
    open ''
    local r = command.run {'tokenize', '-m', dir, 'x'}
    assert.equal(3, r.code)
    assert.matches('/merges.txt: cut short%? 0 merges, and none of them makes ', r.err)
  end)
end)
