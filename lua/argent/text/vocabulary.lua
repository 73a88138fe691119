-- The vocabulary of a byte-level BPE tokenizer, read from vocab.json, merges.txt and
-- tokenizer_config.json. Strict: whatever would make ids ambiguous or a merge impossible is refused
-- with its place. Knows nothing of texts.

local check = require 'argent.check'
local files = require 'argent.files'
local json = require 'argent.json'
local unicode = require 'argent.text.unicode'

local M = {}

local MAX_BYTES = 64 * 2 ^ 20
local MAX_ID = 2 ^ 24 - 1

--- Ids of a merge's halves as one number: left * SPAN + right.
M.SPAN = MAX_ID + 1

---@class ag.AddedToken
---@field id integer
---@field content string
---@field normalized boolean matched in the text after NFC instead of before
---@field lstrip boolean? white space before it is part of it
---@field rstrip boolean? white space behind it is

---@class ag.Vocabulary
---@field size integer largest id + 1
---@field words table<integer, string> id -> word, in the alphabet of `byte_of`
---@field byte_ids table<integer, integer> byte -> id
---@field rank table<number, integer> left * SPAN + right -> rank, from 1
---@field product integer[] rank -> id
---@field halves table<integer, integer[]> ids of products that are not words -> their two parts, or
---none
---@field whole table<string, integer>? words by their bytes: pieces that are words are not merged
---@field added ag.AddedToken[] in the order of their ids

-- GPT-2's alphabet, in which bytes are printable characters: those of Latin-1 stand for
-- themselves, the other 68 are U+0100 and upward.
local symbols = {} -- byte -> character
--- Character of the alphabet -> the byte, as a string.
M.byte_of = {}
do
  local function utf8(code)
    if code < 128 then return string.char(code) end
    return string.char(192 + math.floor(code / 64), 128 + code % 64)
  end
  local shifted = 256
  for byte = 0, 255 do
    local printable = byte >= 33 and byte <= 126 or byte >= 161 and byte ~= 173
    symbols[byte] = utf8(printable and byte or shifted)
    if not printable then shifted = shifted + 1 end
    M.byte_of[symbols[byte]] = string.char(byte)
  end
end

local function quote(s)
  if #s > 40 then s = s:sub(1, 37) .. '...' end
  return "'" .. s:gsub('%c', '?') .. "'"
end

local function fail(path, fmt, ...)
  return nil, path:gsub('%c', '?') .. ': ' .. fmt:format(...)
end

-- A vocabulary of words without merges. `ids` are the words' ids, all of them checked. Where it may
-- be `partial` bytes without a symbol get an id that falls into no parts: they vanish from texts.
local function of_words(path, ids, words, largest, partial)
  local byte_ids, halves, absent = {}, {}, nil
  for byte = 0, 255 do
    byte_ids[byte] = ids[symbols[byte]]
    if not byte_ids[byte] and not partial then
      return fail(path, 'the symbol %s of byte %d is missing', quote(symbols[byte]), byte)
    elseif not byte_ids[byte] then
      absent = absent or MAX_ID
      while words[absent] do absent = absent - 1 end
      byte_ids[byte], halves[absent] = absent, {}
    end
  end
  return {
    size = largest + 1, words = words, byte_ids = byte_ids, rank = {}, product = {}, added = {},
    halves = halves,
  }, ids
end

-- Words by their ids, from the ids of words.
local function invert(path, ids)
  local words, largest = {}, -1
  for word, id in pairs(ids) do
    if type(word) ~= 'string' then return fail(path, 'expected an object, found a list') end
    if type(id) ~= 'number' or id < 0 or id > MAX_ID or id % 1 ~= 0 then
      local shown = id == json.null and 'null' or check.show(id):gsub('%c', '?')
      return fail(path, 'the id of %s: expected an integer from 0 to %d, got %s', quote(word),
        MAX_ID, shown)
    end
    local other = words[id]
    if other then
      if other > word then other, word = word, other end
      return fail(path, '%s and %s have the same id %d', quote(other), quote(word), id)
    end
    words[id] = word
    if id > largest then largest = id end
  end
  return words, largest
end

local function read_words(path)
  local ids, err = json.read(path, MAX_BYTES)
  if not ids then return nil, err end
  local words, largest = invert(path, ids)
  if not words then return nil, largest end
  return of_words(path, ids, words, largest)
end

-- What takes merges in their order: nil, or the symbol that is no word, or the rank of the same
-- merge before.
local function merger(v, ids)
  local rank, product = v.rank, v.product
  -- A product need not be a word: a step on the way to a longer one gets an id that no word has.
  -- These stay apart from `ids`, because an added token may well be spelt like one of them.
  local steps, spare = {}, MAX_ID
  return function(left, right)
    local whole = left .. right
    local a, b = ids[left] or steps[left], ids[right] or steps[right]
    if not (a and b) then return not a and left or right end
    local id = ids[whole] or steps[whole]
    if not id then
      while v.words[spare] or v.halves[spare] do spare = spare - 1 end
      id, spare = spare, spare - 1
      steps[whole], v.halves[id] = id, {a, b}
    end
    local pair = a * M.SPAN + b
    if rank[pair] then return nil, rank[pair] end
    product[#product + 1] = id
    rank[pair] = #product
  end
end

local function read_merges(path, v, ids)
  local text, err = files.read(path, MAX_BYTES)
  if not text then return nil, err end
  local at, line, skipped = 1, 0, 0
  -- Only a first line: 96 merges of the released file begin with '#' too.
  if text:sub(1, 8) == '#version' then
    at, line, skipped = (text:find('\n', 1, true) or #text) + 1, 1, 1
  end
  local add, size = merger(v, ids), #text
  while at <= size do
    line = line + 1
    local _, last, left, right, newline = text:find('^([^ \r\n]+) ([^ \r\n]+)\r?(\n?)', at)
    if not last or newline == '' and last < size then
      local found = text:sub(at, at + 50):match('^[^\n]*')
      return fail(path .. ':' .. line, 'expected two symbols with one space between them, got %s',
        quote(found))
    end
    local unknown, before = add(left, right)
    if unknown then return fail(path .. ':' .. line, '%s is not in vocab.json', quote(unknown)) end
    if before then
      return fail(path .. ':' .. line, 'repeats the merge %s of line %d',
        quote(left .. ' ' .. right), before + skipped)
    end
    at = last + 1
  end
  return true
end

-- A cut merges.txt is a shorter one that is well formed. But it leaves a word unmade of which both
-- halves are there, as no whole one does; other words that no merge makes are fillers.
local function check_whole(path, v, ids)
  local made, added = {}, {}
  for _, id in ipairs(v.product) do made[id] = true end
  for _, id in pairs(v.byte_ids) do made[id] = true end
  for _, token in ipairs(v.added) do added[token.id] = true end
  for id = 0, v.size - 1 do
    local word = v.words[id]
    for i = 1, word and not made[id] and not added[id] and #word - 1 or 0 do
      if made[ids[word:sub(1, i)]] and made[ids[word:sub(i + 1)]] then
        return fail(path, 'cut short? %d merges, and none of them makes %s of vocab.json',
          #v.product, quote(word))
      end
    end
  end
  return true
end

--- Checks one object of `added_tokens_decoder`; raises a fault of argent.json.
local function added_token(token, id, v, ids, by_content)
  local content = token:string('content')
  token:expect(content ~= '' and not unicode.fault(content), 'content',
    'a string of valid UTF-8, not empty')
  for _, flag in ipairs{'lstrip', 'rstrip', 'single_word'} do
    if token:boolean(flag, false) then token:fault(flag, 'true is not supported') end
  end
  -- A token may be in vocab.json as well, but then as the same one.
  local word = v.words[id]
  if word and word ~= content then
    token:fault('content', '%s has the id of %s in vocab.json', quote(content), quote(word))
  elseif ids[content] and ids[content] ~= id then
    token:fault('content', '%s has the id %d in vocab.json', quote(content), ids[content])
  elseif by_content[content] then
    token:fault('content', '%s is the content of %d too', quote(content), by_content[content])
  end
  by_content[content] = id
  return {id = id, content = content, normalized = token:boolean('normalized', false)}
end

local function read_added(path, v, ids)
  local values, err = json.read(path, MAX_BYTES)
  if not values then return nil, err end
  return json.checked(function()
    local object = json.object(values, (path:gsub('%c', '?')))
    if #values > 0 then object:fault('the top level', 'expected an object, found a list') end
    local list, by_content = object:object('added_tokens_decoder'), {}
    for _, key in ipairs(list:keys()) do
      local id = tonumber(key:match('^%d+$'))
      if not id or id > MAX_ID or key ~= ('%d'):format(id) then
        list:fault(key, 'expected the id of a token, an integer from 0 to %d', MAX_ID)
      end
      v.added[#v.added + 1] = added_token(list:object(key), id, v, ids, by_content)
      v.size = math.max(v.size, id + 1)
    end
    table.sort(v.added, function(a, b) return a.id < b.id end)
    return true
  end)
end

--- Reads the three files of a model directory, each at most 64 MB.
---@param dir string
---@return ag.Vocabulary?
---@return string? err one line: file, line or field, and what is wrong
function M.read(dir)
  check.type(dir, 'dir', 'string')
  local v, ids = read_words(dir .. '/vocab.json')
  if not v then return nil, ids end
  local ok, err = read_merges(dir .. '/merges.txt', v, ids)
  if not ok then return nil, err end
  ok, err = read_added(dir .. '/tokenizer_config.json', v, ids)
  if not ok then return nil, err end
  ok, err = check_whole(dir .. '/merges.txt', v, ids)
  if not ok then return nil, err end
  return v
end

--- The bytes of a word.
---@param word string in the alphabet of `byte_of`
---@return string
function M.bytes(word)
  return (word:gsub('[%z\1-\127\194-\244][\128-\191]*', M.byte_of))
end

--- A vocabulary from lists that another kind of file holds. A byte may lack its symbol, as in
--- vocabularies that were cut to a size: it vanishes from texts, as it does with the tokenizers of
--- Hugging Face and llama.cpp.
---@param where string how messages call that file
---@param ids table<string, integer> the ids of all words, added tokens too
---@param merges (string|string[])[] 'left right' or {left, right}, in the order of their ranks
---@param added ag.AddedToken[]
---@return ag.Vocabulary?
---@return string? err one line
function M.of(where, ids, merges, added)
  local words, largest = invert(where, ids)
  if not words then return nil, largest end
  local v, err = of_words(where, ids, words, largest, true)
  if not v then return nil, err end
  local add = merger(v, ids)
  for i, merge in ipairs(merges) do
    local left, right
    if type(merge) == 'table' then left, right = merge[1], merge[2]
    elseif type(merge) == 'string' then left, right = merge:match '^([^ ]+) ([^ ]+)$' end
    local place = ('%s: merge %d'):format(where, i)
    if type(left) ~= 'string' or type(right) ~= 'string' then
      return fail(place, 'expected two symbols, got %s', quote(check.show(merge)))
    end
    local unknown, before = add(left, right)
    if unknown then return fail(place, '%s is no word', quote(unknown)) end
    if before then
      return fail(place, 'repeats the merge %s of %d', quote(left .. ' ' .. right), before)
    end
  end
  local seen = {}
  for _, token in ipairs(added) do
    if token.content == '' or unicode.fault(token.content) or seen[token.content] then
      return fail(where, 'the added token %s is empty, not UTF-8, or there twice',
        quote(token.content))
    end
    seen[token.content] = true
    v.added[#v.added + 1], v.size = token, math.max(v.size, token.id + 1)
  end
  return v
end

return M
