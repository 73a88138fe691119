-- WordPiece, the tokenizer of BERT: a text is cleaned and cut into words at white space and
-- punctuation, and each word into the longest pieces that the vocabulary has; those inside a word
-- begin with ##. Rules and order of the steps are those of Hugging Face's tokenizers.

local check = require 'argent.check'
local regex = require 'argent.text.regex'
local unicode = require 'argent.text.unicode'

---@class ag.WordPiece
---@field size integer largest id + 1
local WordPiece = {}
WordPiece.__index = WordPiece

local MAX_TEXT = 4 * 2 ^ 20 -- bytes
local LONGEST_WORD = 100 -- code points; longer words are unknown
local CACHED_WORDS = 20000
local MAX_ID = 2 ^ 24

-- Control characters go, but for tab and line ends; U+FFFD is there where a text was damaged.
local DROPPED = assert(regex.compile [=[(?:(?![\t\n\r])[\p{Cc}\p{Cf}\p{Cs}\p{Co}]|\x{fffd})+]=])
local IDEOGRAPH = assert(regex.compile([=[[\x{4e00}-\x{9fff}\x{3400}-\x{4dbf}\x{20000}-\x{2a6df}]=]
  .. [=[\x{2a700}-\x{2b73f}\x{2b740}-\x{2b81f}\x{2b820}-\x{2ceaf}\x{f900}-\x{faff}]=]
  .. [=[\x{2f800}-\x{2fa1f}]]=]))
-- A word or a mark, behind white space.
local WORD = assert(regex.compile([=[[\p{P}$+<=>^`|~]|[^\t-\r\x{20}\x{85}\p{Z}\p{P}$+<=>^`|~]+]=]))

---@class ag.WordPieceKind
---@field lower boolean
---@field accents boolean false: they are taken away
---@field unknown string the word for what has no pieces

--- A tokenizer.
---@param ids table<string, integer> of all words
---@param added {id: integer, content: string}[] found in a text before all else
---@param kind ag.WordPieceKind
---@return ag.WordPiece?
---@return string? err
function WordPiece.new(ids, added, kind)
  local self = setmetatable({ids = ids, words = {}, size = 0, kind = kind, added = {}, cache = {},
    cached = 0, unknown = ids[kind.unknown]}, WordPiece)
  if not self.unknown then return nil, ('the word %s is missing'):format(kind.unknown) end
  for word, id in pairs(ids) do
    if type(word) ~= 'string' or type(id) ~= 'number' or id % 1 ~= 0 or id < 0 or id > MAX_ID then
      return nil, 'a word has no id from 0 to 2^24'
    end
    self.words[id], self.size = word, math.max(self.size, id + 1)
  end
  local contents = {}
  for _, token in ipairs(added) do
    self.added[token.content], self.words[token.id] = token.id, token.content
    contents[#contents + 1] = token.content
  end
  if #contents > 0 then
    table.sort(contents, function(a, b) return #a > #b or #a == #b and a < b end)
    for i, content in ipairs(contents) do contents[i] = regex.quote(content) end
    self.tokens = assert(regex.compile(table.concat(contents, '|')))
  end
  return self
end

-- The text with every match of a pattern replaced.
local function replaced(pattern, text, by)
  local out, at = {}, 1
  while at <= #text do
    local first, last = pattern:find(text, at)
    if not first then break end
    out[#out + 1] = text:sub(at, first - 1)
    out[#out + 1] = by(text:sub(first, last))
    at = last + 1
  end
  if at == 1 then return text end
  out[#out + 1] = text:sub(at)
  return table.concat(out)
end

local function clean(self, text)
  text = replaced(DROPPED, text, function() return '' end)
  text = replaced(IDEOGRAPH, text, function(c) return ' ' .. c .. ' ' end)
  local kind = self.kind
  if kind.accents and not kind.lower then return text end
  return unicode.fold(text, {lower = kind.lower, accents = kind.accents})
end

-- The pieces of a word: always the longest that fits. One that fits nowhere makes all unknown.
local function pieces(self, word)
  local found = self.cache[word]
  if found then return found end
  local starts = {} -- of the code points
  for at in word:gmatch '()[%z\1-\127\194-\244][\128-\191]*' do starts[#starts + 1] = at end
  starts[#starts + 1] = #word + 1
  local out, first, n = {}, 1, #starts - 1
  if n > LONGEST_WORD then first, out = n + 1, {self.unknown} end
  while first <= n do
    local id, last
    for stop = n + 1, first + 1, -1 do
      local piece = word:sub(starts[first], starts[stop] - 1)
      id = self.ids[first > 1 and '##' .. piece or piece]
      last = stop
      if id then break end
    end
    if not id then
      out = {self.unknown}
      break
    end
    out[#out + 1], first = id, last
  end
  if self.cached == CACHED_WORDS then self.cache, self.cached = {}, 0 end
  self.cache[word], self.cached = out, self.cached + 1
  return out
end

local function encode_plain(self, text, out)
  text = clean(self, text)
  local at = 1
  while at <= #text do
    local first, last = WORD:find(text, at)
    if not first then break end
    for _, id in ipairs(pieces(self, text:sub(first, last))) do out[#out + 1] = id end
    at = last + 1
  end
end

--- Text to ids, without those that begin and end a text for the model.
---@param text string UTF-8, at most 4 MB
---@return integer[]? ids
---@return string? err one line
function WordPiece:encode(text)
  check.type(text, 'text', 'string')
  if #text > MAX_TEXT then
    return nil, ('text has %d bytes, more than the limit of %d'):format(#text, MAX_TEXT)
  end
  local fault = unicode.fault(text)
  if fault then return nil, ('text is not valid UTF-8 at byte %d'):format(fault) end
  local out, at = {}, 1
  while self.tokens and at <= #text do
    local first, last = self.tokens:find(text, at)
    if not first then break end
    encode_plain(self, text:sub(at, first - 1), out)
    out[#out + 1] = self.added[text:sub(first, last)]
    at = last + 1
  end
  encode_plain(self, text:sub(at), out)
  return out
end

--- Ids to words, with a space between them and none where a word goes on.
---@param ids integer[]
---@return string
function WordPiece:decode(ids)
  check.type(ids, 'ids', 'table')
  local out = {}
  for i, id in ipairs(ids) do
    check.int(id, ('ids[%d]'):format(i), 0, self.size - 1)
    local word = self.words[id]
    if not word then error(('ids[%d]: no token has the id %d'):format(i, id), 2) end
    local goes_on = word:match '^##(.+)$'
    out[i] = goes_on or (i > 1 and ' ' or '') .. word
  end
  return table.concat(out)
end

--- The id of a word or an added token.
---@param content string
---@return integer?
function WordPiece:id(content)
  check.type(content, 'content', 'string')
  return self.added[content] or self.ids[content]
end

check.methods(WordPiece, 'tokenizer')

return WordPiece
