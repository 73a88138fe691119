-- The tokenizer against ids of the official one (the released vocabulary and the small ones of the
-- golden models), against merges done the slow way, and what its files and its callers may not do.
-- Random input is in tokenizer_fuzz_spec.lua.

local cjson = require 'cjson'
local golden = require 'support.golden'
local real_tokenizer = require 'support.real_tokenizer'
local Tokenizer = require 'argent.text.tokenizer'

local function seconds(fn)
  local start = os.clock()
  fn()
  return os.clock() - start
end

describe('the released tokenizer', function()
  local tok, texts

  setup(function()
    tok = assert(Tokenizer.open(real_tokenizer.dir()))
    texts = golden.json(ARGENT_ROOT .. '/spec/fixtures/golden/tokenizer.json')
  end)

  it('gives the official ids for 260 hard texts', function()
    assert.equal(260, #texts)
    for _, row in ipairs(texts) do
      assert.same(row.ids, tok:encode(row.text, {special = true}), row.text)
    end
  end)

  it('gives the official ids of a local directory with that pattern', function()
    local different = 0
    for _, row in ipairs(texts) do
      local expected = row.ids_local_directory or row.ids
      local ids = tok:encode(row.text, {special = true, pattern = 'local_directory'})
      assert.same(expected, ids, row.text)
      if row.ids_local_directory then different = different + 1 end
    end
    assert.equal(17, different)
    assert.same({72, 6939}, tok:encode('iPhone', {pattern = 'local_directory'}))
    assert.same({44740}, tok:encode('iPhone'))
  end)

  it('takes added tokens in a text for plain text unless asked', function()
    assert.same({27, 91, 318, 4906, 91, 29}, tok:encode('<|im_start|>'))
    assert.same({64, 62752, 2576, 30290, 51407}, tok:encode('a<tts_pad>b', {special = false}))
    assert.same({64, 151671, 65}, tok:encode('a<tts_pad>b', {special = true}))
  end)

  it('knows the ids of added tokens and its size', function()
    assert.equal(151671, tok:id('<tts_pad>'))
    assert.equal(151644, tok:id('<|im_start|>'))
    assert.is_nil(tok:id('assistant'))
    assert.equal(151676, tok.size)
  end)

  it('splits at white space as Unicode defines it, not as PCRE2 does', function()
    assert.same({220, 86089, 254, 236}, tok:encode('  \225\160\142')) -- U+180E
    assert.same({256, 378, 101, 0}, tok:encode('  \226\128\168!')) -- U+2028
    assert.same({220, 220, 216}, tok:encode('  \28'))
    assert.same({126, 227, 856}, tok:encode('\194\133 x')) -- U+0085
  end)

  it('takes NUL bytes for characters', function()
    assert.same({64, 188, 65}, tok:encode('a\0b'))
    assert.equal('a\0b', tok:decode{64, 188, 65})
    assert.equal(3, #tok:encode('\0é\0'))
  end)

  it('gives no ids for an empty text', function()
    assert.same({}, tok:encode(''))
    assert.same({}, tok:encode('', {special = true}))
    assert.equal('', tok:decode{})
  end)

  it('composes text, but does not replace compatibility characters', function()
    -- A and a ring, the Angstrom sign, three jamo, a ligature.
    local text = 'A\204\138\226\132\171\225\132\146\225\133\161\225\134\171ﬁ'
    local ids = {144044, 144044, 23573, 144300}
    assert.same(ids, tok:encode(text))
    assert.equal('ÅÅ한ﬁ', tok:decode(ids))
  end)

  it('decodes added tokens, and parts of characters as the bytes they are', function()
    assert.equal('a<|im_end|>\n', tok:decode{64, 151645, 198})
    local sign = '\240\146\128\128' -- U+12000, a cuneiform sign
    local ids = tok:encode(sign)
    assert.is_true(#ids > 1)
    assert.equal(sign, tok:decode(ids))
    assert.equal(sign, tok:decode{ids[1]} .. tok:decode{unpack(ids, 2)})
  end)

  it('encodes 100 kB without a space in well under a second', function()
    local ids
    local time = seconds(function() ids = tok:encode(('abcdefgh'):rep(12500)) end)
    assert.equal(12500, #ids)
    for _, id in ipairs(ids) do assert.equal(56747, id) end
    assert.is_true(time < 1, time .. ' s')
    time = seconds(function() ids = tok:encode(('a'):rep(99999)) end)
    assert.equal(12501, #ids)
    assert.same({69440, 69440, 28458, 32646}, {unpack(ids, 12498)})
    assert.is_true(time < 1, time .. ' s')
  end)

  it('sorts 100,000 combining marks in well under a second', function()
    local low, high = '\204\163', '\204\129' -- classes 220 and 230
    local ids
    local time = seconds(function() ids = tok:encode('a' .. (high .. low):rep(50000)) end)
    assert.is_true(time < 1, time .. ' s')
    assert.equal('ạ' .. low:rep(49999) .. high:rep(50000), tok:decode(ids))
  end)

  it('is not stopped by the longest run of anything', function()
    for _, run in ipairs{' ', 'A', '!', '\n', '9', '好', '<'} do
      local text = run:rep(300000)
      for _, pattern in ipairs{'native', 'local_directory'} do
        local ids = assert(tok:encode(text, {special = true, pattern = pattern}))
        assert.equal(text, tok:decode(ids))
      end
    end
  end)

  it('remembers no more than a bounded number of pieces', function()
    local words = {}
    for i = 1, 45000 do words[i] = ('%c%c%c%c'):format(97 + i % 26, 97 + i / 26 % 26,
      97 + i / 676 % 26, 97 + i / 17576 % 26) end
    local text = table.concat(words, ' ')
    local first = tok:encode(text)
    local kept = 0
    for _ in pairs(tok.cache) do kept = kept + 1 end
    assert.is_true(kept <= 20000)
    assert.same(first, tok:encode(text))
    first[1] = -1 -- the caller's own table
    assert.equal(text, tok:decode(tok:encode(text)))
  end)
end)

describe('the tokenizers of the golden models', function()
  for _, model in ipairs(golden.models()) do
    it('give the official ids with the template around the text: ' .. model.name, function()
      local tok = assert(Tokenizer.open(model.model))
      local checked = 0
      local function compare(ids, template, text)
        if not ids then return end
        assert.same(ids, tok:encode(template:format(text), {special = true}))
        checked = checked + 1
      end
      for _, case in ipairs(model.cases) do
        compare(case.ids, '<|im_start|>assistant\n%s<|im_end|>\n<|im_start|>assistant\n', case.text)
        compare(case.instruct_ids, '<|im_start|>user\n%s<|im_end|>\n', case.instruct)
        compare(case.ref_ids, '<|im_start|>assistant\n%s<|im_end|>\n', case.ref_text)
      end
      assert.is_true(checked >= #model.cases)
    end)
  end
end)

-- Small vocabularies made by hand: the 256 byte symbols, then `words`.
local symbols = real_tokenizer.symbols()
local guards

local function files_of(words, merges, added, config)
  local all = {unpack(symbols)}
  for _, word in ipairs(words) do all[#all + 1] = word end
  return {
    ['vocab.json'] = real_tokenizer.vocab_json(all),
    ['merges.txt'] = merges,
    ['tokenizer_config.json'] = config
      or '{"added_tokens_decoder": {' .. (added or '') .. '}}',
  }
end

local function open_files(files)
  local dir, guard = real_tokenizer.directory(files)
  guards[#guards + 1] = guard
  local tok, err = Tokenizer.open(dir)
  return tok, err and err:gsub(dir:gsub('%p', '%%%0'), 'DIR'), dir
end

local function open(...)
  return open_files(files_of(...))
end

local function token(id, content, more)
  return ('"%s": {"content": %s%s}'):format(id, cjson.encode(content), more and ', ' .. more or '')
end

describe('a tokenizer', function()
  before_each(function() guards = {} end)
  after_each(function() guards = nil end)

  it('merges the lowest rank first and the leftmost of equal ranks', function()
    -- 'aaa': the left pair; 'abc': 'b c' ranks before 'a b'; 'abab': 'ab' twice, then the pair.
    local tok = assert(open({'bc', 'ab', 'aa', 'abab'}, 'b c\na b\na a\nab ab\n'))
    assert.same({258, 64}, tok:encode('aaa'))
    assert.same({258, 258}, tok:encode('aaaa'))
    assert.same({64, 256}, tok:encode('abc'))
    assert.same({259}, tok:encode('abab'))
    assert.same({259, 257}, tok:encode('ababab'))
    assert.same({258, 256}, tok:encode('aabc'))
  end)

  it('merges as the definition says, for random merges and pieces', function()
    math.randomseed(11)
    local letters = {'a', 'b', 'c', 'd'}
    for _ = 1, 20 do
      local words, merges, known, rank, product = {unpack(letters)}, {}, {}, {}, {}
      for _ = 1, 40 do
        local left, right = words[math.random(#words)], words[math.random(#words)]
        if not rank[left .. ' ' .. right] and #left + #right <= 8 then
          merges[#merges + 1] = left .. ' ' .. right
          rank[merges[#merges]], product[#merges] = #merges, left .. right
          if not known[left .. right] then
            known[left .. right] = true
            words[#words + 1] = left .. right
          end
        end
      end
      local tok = assert(open({unpack(words, 5)}, table.concat(merges, '\n')))
      for length = 1, 60 do
        local list = {}
        for i = 1, length do list[i] = letters[math.random(4)] end
        local piece = table.concat(list)
        while true do
          local best, at
          for i = 1, #list - 1 do
            local r = rank[list[i] .. ' ' .. list[i + 1]]
            if r and (not best or r < best) then best, at = r, i end
          end
          if not best then break end
          list[at] = product[best]
          table.remove(list, at + 1)
        end
        local got = {}
        for i, id in ipairs(tok:encode(piece)) do got[i] = tok:decode{id} end
        assert.same(list, got)
      end
    end
  end)

  it('reads merges with a version line, Windows line ends or no final newline', function()
    for _, merges in ipairs{
      '# v\n# a\na b\n', '# v\n# a\na b', '#version: 0.2\n# v\n# a\na b\n',
      '#version\r\n# v\r\n# a\r\na b\r\n', '# v\r\n# a\r\na b',
    } do
      local tok = assert(open({'#v', '#a', 'ab'}, merges))
      assert.same({256}, tok:encode('#v'))
      assert.same({257, 65, 258}, tok:encode('#abab'))
    end
  end)

  it('works without merges, and with words that no merge makes', function()
    for _, merges in ipairs{'', '#version: 0.2', '#version: 0.2\n'} do
      local tok = assert(open({'filler', '[unused]'}, merges))
      assert.equal(258, tok.size)
      assert.same({69, 72, 75, 75, 68, 81}, tok:encode('filler'))
      assert.equal('filler[unused]', tok:decode{256, 257})
    end
  end)

  it('finds the leftmost added token, and of several there the longest', function()
    local tok = assert(open({}, '', table.concat({token(300, '<a>'), token(301, '<a>b'),
      token(302, 'b<a'), token(303, '.*'), token(304, '(x')}, ', ')))
    assert.equal(305, tok.size)
    local function ids(text) return tok:encode(text, {special = true}) end
    assert.same({301}, ids('<a>b'))
    assert.same({300, 64}, ids('<a>a'))
    assert.same({302, 29}, ids('b<a>'))
    assert.same({303, 304, 12}, ids('.*(x-'))
    assert.same({87, 9}, ids('x*'))
    assert.same({300, 300}, ids('<a><a>'))
    assert.equal('<a>b<a.*', tok:decode{300, 302, 303})
  end)

  it('finds normalized added tokens after NFC, the others before', function()
    local composed, loose = 'ǹ', 'n\204\128'
    local tok = assert(open({}, '', table.concat({token(300, composed, '"normalized": true'),
      token(301, loose)}, ', ')))
    assert.same({300}, tok:encode(composed, {special = true}))
    assert.same({301}, tok:encode(loose, {special = true}))
    tok = assert(open({}, '', token(300, loose, '"normalized": true')))
    assert.same({300, 300}, tok:encode(composed .. loose, {special = true}))
    assert.equal(300, tok:id(loose))
    assert.is_nil(tok:id(composed))
  end)

  it('accepts an added token that the vocabulary has with the same id', function()
    local tok = assert(open({'<s>'}, '', token(256, '<s>')))
    assert.same({256}, tok:encode('<s>', {special = true}))
    assert.equal(257, tok.size)
    assert.equal('<s>', tok:decode{256})
  end)

  it('tells an added token from a step between merges that is spelt alike', function()
    local tok = assert(open({}, 'a b\n', token(300, 'ab') .. ',' .. token(16777215, '<x>')))
    assert.same({64, 65}, tok:encode('ab'))
    assert.same({300, 16777215}, tok:encode('ab<x>', {special = true}))
    assert.equal('abab<x>', tok:decode{64, 65, 300, 16777215})
  end)

  it('takes any chain of merges that make no word', function()
    local merges, word = {}, 'a'
    for _ = 1, 3000 do
      merges[#merges + 1] = word .. ' a'
      word = word .. 'a'
    end
    local tok = assert(open({}, table.concat(merges, '\n')))
    local ids = tok:encode(('a'):rep(9000))
    assert.equal(9000, #ids)
    for _, id in ipairs(ids) do assert.equal(64, id) end
  end)

  it('sees special nowhere in a text when there are no added tokens', function()
    local tok = assert(open({}, ''))
    assert.same({27, 64, 29}, tok:encode('<a>', {special = true}))
  end)
end)

describe('Tokenizer.open refuses', function()
  before_each(function() guards = {} end)
  after_each(function() guards = nil end)

  local function refused(files)
    local tok, err = open_files(files)
    assert.is_nil(tok)
    assert.is_nil(err:find('%c'))
    return err
  end

  it('a directory without the files', function()
    for _, name in ipairs{'vocab.json', 'merges.txt', 'tokenizer_config.json'} do
      local files = files_of({}, '')
      files[name] = nil
      assert.equal(('DIR/%s: No such file or directory'):format(name), refused(files))
    end
  end)

  it('what is no plain file', function()
    for _, name in ipairs{'vocab.json', 'merges.txt', 'tokenizer_config.json'} do
      local files = files_of({}, '')
      files[name] = nil
      local dir, guard = real_tokenizer.directory(files)
      assert(require('lfs').mkdir(dir .. '/' .. name))
      local _, err = Tokenizer.open(dir)
      assert.equal(('%s/%s: expected a file, found a directory'):format(dir, name), err)
      assert(require('lfs').rmdir(dir .. '/' .. name))
      guards[1] = guard
    end
  end)

  it('a file of more than 64 MB, before reading it', function()
    for _, name in ipairs{'vocab.json', 'merges.txt', 'tokenizer_config.json'} do
      local dir, guard = real_tokenizer.directory(files_of({}, ''))
      guards[1] = guard
      local file = assert(io.open(dir .. '/' .. name, 'wb'))
      file:seek('set', 64 * 2 ^ 20) -- a hole: it takes no room on the disk
      file:write('x')
      file:close()
      local _, err = Tokenizer.open(dir)
      assert.equal(dir .. '/' .. name .. ': 67108865 bytes, more than the limit of 67108864', err)
    end
  end)

  it('JSON that is broken or not an object', function()
    for _, name in ipairs{'vocab.json', 'tokenizer_config.json'} do
      local files = files_of({}, '')
      for text, message in pairs{
        ['{'] = 'not valid JSON', ['[1]'] = 'expected an object, found a list',
        ['["a"]'] = 'expected an object, found a list', ['7'] = 'expected an object or an array',
        ['null'] = 'expected an object or an array',
      } do
        files[name] = text
        local err = refused(files)
        assert.equal('DIR/' .. name, err:sub(1, 4 + #name))
        assert.matches(message, err, 1, true)
      end
    end
  end)

  it('ids that are no integers, negative, too large or used twice', function()
    local function with(entry)
      local files = files_of({}, '')
      files['vocab.json'] = files['vocab.json']:gsub('}$', ', ' .. entry .. '}')
      return refused(files)
    end
    local range = "DIR/vocab.json: the id of 'zz': expected an integer from 0 to 16777215, got "
    for value, shown in pairs{
      ['1.5'] = '1.5', ['-1'] = '-1', ['16777216'] = '16777216', ['1e300'] = '1e+300',
      ['"7"'] = "string '7'", ['null'] = 'null', ['{}'] = 'table', ['true'] = 'true',
    } do
      assert.equal(range .. shown, with('"zz": ' .. value))
    end
    assert.equal("DIR/vocab.json: '!' and 'zz' have the same id 0", with('"zz": 0'))
    assert.matches("the id of 'a?b'", with('"a\\nb": -1'), 1, true)
    assert.matches("the id of 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...'",
      with('"' .. ('x'):rep(1e5) .. '": -1'), 1, true)
  end)

  it('a vocabulary without one of the byte symbols', function()
    local files = files_of({}, '')
    files['vocab.json'] = files['vocab.json']:gsub('"A": ', '"AA": ')
    assert.equal("DIR/vocab.json: the symbol 'A' of byte 65 is missing", refused(files))
    files['vocab.json'] = '{}'
    assert.equal("DIR/vocab.json: the symbol 'Ā' of byte 0 is missing", refused(files))
  end)

  it('a merge without exactly one space', function()
    for merges, message in pairs{
      ['ab\n'] = "1: expected two symbols with one space between them, got 'ab'",
      ['a b\na b c\n'] = "2: expected two symbols with one space between them, got 'a b c'",
      ['a b\n\n'] = "2: expected two symbols with one space between them, got ''",
      ['a  b'] = "1: expected two symbols with one space between them, got 'a  b'",
      [' a\n'] = "1: expected two symbols with one space between them, got ' a'",
      ['a b\na \r\n'] = "2: expected two symbols with one space between them, got 'a ?'",
      ['#version\n#version\n'] = "2: expected two symbols with one space between them, got "
        .. "'#version'",
      ['a b\rb a\n'] = "1: expected two symbols with one space between them, got 'a b?b a'",
    } do
      assert.equal('DIR/merges.txt:' .. message, refused(files_of({'ab'}, merges)))
    end
  end)

  it('a merge of symbols that the vocabulary does not have', function()
    assert.equal("DIR/merges.txt:2: 'xy' is not in vocab.json",
      refused(files_of({'ab'}, 'a b\nxy a\n')))
    assert.equal("DIR/merges.txt:1: '€' is not in vocab.json", refused(files_of({'ab'}, 'a €\n')))
    assert.equal("DIR/merges.txt:1: 'xy' is not in vocab.json",
      refused(files_of({'xyz'}, 'xy z\n')))
    assert.equal("DIR/merges.txt:1: 'yz' is not in vocab.json",
      refused(files_of({'xyz'}, 'x yz\n')))
  end)

  it('a merge that comes twice', function()
    assert.equal("DIR/merges.txt:3: repeats the merge 'a b' of line 1",
      refused(files_of({'ab', 'bc'}, 'a b\nb c\na b\n')))
    assert.equal("DIR/merges.txt:4: repeats the merge 'a b' of line 2",
      refused(files_of({'ab', 'bc'}, '#version: 0.2\na b\nb c\na b\n')))
  end)

  it('added tokens that collide with words or with each other', function()
    local function added(entries) return refused(files_of({'<w>'}, '', entries)) end
    local place = 'DIR/tokenizer_config.json: added_tokens_decoder.'
    assert.equal(place .. "5.content: '<x>' has the id of '&' in vocab.json",
      added(token(5, '<x>')))
    assert.equal(place .. "300.content: '<w>' has the id 256 in vocab.json",
      added(token(300, '<w>')))
    assert.equal(place .. "301.content: '<x>' is the content of 300 too",
      added(token(300, '<x>') .. ',' .. token(301, '<x>')))
  end)

  it('added tokens with ids or contents that cannot be', function()
    local function added(entries) return refused(files_of({}, '', entries)) end
    local place = 'DIR/tokenizer_config.json: added_tokens_decoder'
    for _, id in ipairs{'-1', '1.5', '0300', ' 300', '16777216', '99999999999999999999', 'x', ''} do
      assert.equal(('%s.%s: expected the id of a token, an integer from 0 to 16777215')
        :format(place, id), added(token(id, '<x>')))
    end
    local message = '.300.content: expected a string of valid UTF-8, not empty, got string '
    assert.equal(place .. message .. "''", added(token(300, '')))
    assert.equal(place .. message .. "'\255'", added('"300": {"content": "\255"}'))
    assert.equal(place .. '.300.content: expected a string, got 5', added('"300": {"content": 5}'))
    assert.equal(place .. '.300: expected an object, got 5', added('"300": 5'))
    assert.equal(place .. '.300.lstrip: true is not supported',
      added(token(300, '<x>', '"lstrip": true')))
    assert.equal(place .. '.300.single_word: expected true or false, got 1',
      added(token(300, '<x>', '"single_word": 1')))
    assert.equal('DIR/tokenizer_config.json: added_tokens_decoder: expected an object, got nil',
      refused(files_of({}, '', nil, '{}')))
  end)

  it('more text in added tokens than a regular expression can hold', function()
    local err = refused(files_of({}, '', token(300, ('x'):rep(1e6))))
    local message = 'DIR/tokenizer_config.json: added tokens: regular expression is too large'
    assert.equal(message, err:sub(1, #message))
  end)

  it('a directory that is no string', function()
    local _, err = pcall(function() Tokenizer.open(nil) end)
    assert.matches('tokenizer_spec%.lua:%d+: dir: expected a string, got nil', err)
  end)
end)

describe('tok:encode refuses', function()
  local tok

  setup(function()
    guards = {}
    tok = assert(open({}, ''))
  end)

  it('text that is not valid UTF-8, with the place', function()
    for text, byte in pairs{
      ['\255'] = 1, ['abc\128'] = 4, ['é\192\128'] = 3, ['\193\191'] = 1, ['\224\159\191'] = 1,
      ['\237\160\128'] = 1, ['ok \237\191\191'] = 4, ['\240\143\191\191'] = 1,
      ['\244\144\128\128'] = 1, ['\245\128\128\128'] = 1, ['x\226\130'] = 2, ['x\226\130y'] = 2,
      ['\240\159\166'] = 1, ['é\0\254'] = 4, ['\226'] = 1,
    } do
      for _, special in ipairs{false, true} do
        local ids, err = tok:encode(text, {special = special})
        assert.is_nil(ids)
        assert.equal('text is not valid UTF-8 at byte ' .. byte, err)
      end
    end
    for _, text in ipairs{'\194\128', '\223\191', '\224\160\128', '\237\159\191', '\238\128\128',
      '\239\191\191', '\240\144\128\128', '\244\143\191\191'} do
      assert.equal(text, tok:decode(assert(tok:encode(text))))
    end
  end)

  it('text of more than 4 MB', function()
    local ids, err = tok:encode(('1'):rep(2 ^ 22 + 1))
    assert.is_true(ids == nil) -- is_nil would print the list
    assert.equal('text has 4194305 bytes, more than the limit of 4194304', err)
    assert.equal(2 ^ 22, #tok:encode(('1'):rep(2 ^ 22)))
  end)

  it('misuse, at the line of the caller', function()
    for message, call in pairs{
      ['text: expected a string, got nil'] = function() tok:encode() end,
      ['text: expected a string, got 5'] = function() tok:encode(5) end,
      ['opts: expected a table, got true'] = function() tok:encode('', true) end,
      ["opts: unknown option string 'specials' (known: special, pattern)"] = function()
        tok:encode('', {specials = true})
      end,
      ["opts.special: expected a boolean, got string 'yes'"] = function()
        tok:encode('', {special = 'yes'})
      end,
      ["opts.pattern: expected one of native, local_directory, got string 'Native'"] = function()
        tok:encode('', {pattern = 'Native'})
      end,
      ['opts.pattern: expected one of native, local_directory, got false'] = function()
        tok:encode('', {pattern = false})
      end,
      ['ids: expected a table, got 3'] = function() tok:decode(3) end,
      ['ids[2]: expected an integer from 0 to 255, got 256'] = function() tok:decode{0, 256} end,
      ['ids[1]: expected an integer from 0 to 255, got -1'] = function() tok:decode{-1} end,
      ['ids[1]: expected an integer from 0 to 255, got 0.5'] = function() tok:decode{0.5} end,
      ["ids[1]: expected an integer from 0 to 255, got string '1'"] = function()
        tok:decode{'1'}
      end,
      ['content: expected a string, got nil'] = function() tok:id() end,
    } do
      local ok, err = pcall(call)
      assert.is_false(ok)
      assert.matches('tokenizer_spec%.lua:%d+: ', err)
      assert.equal(message, (err:gsub('^.-:%d+: ', '')))
    end
  end)

  it('ids that lie between words and have none', function()
    local gap = assert(open({}, '', token(300, '<x>')))
    local ok, err = pcall(function() gap:decode{300, 299} end)
    assert.is_false(ok)
    assert.matches('tokenizer_spec%.lua:%d+: ids%[2%]: no token has the id 299$', err)
  end)
end)
