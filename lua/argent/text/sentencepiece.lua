-- SentencePiece's BPE, the tokenizer of LLaMA 2 and Mistral, as GGUF files hold it: pieces with
-- scores. A text is cut into characters, and the two neighbours whose piece has the highest score
-- are joined until no two make one. A space is the sign U+2581 in a piece; a character that is no
-- piece is its bytes.

local check = require 'argent.check'
local regex = require 'argent.text.regex'
local unicode = require 'argent.text.unicode'

---@class ag.SentencePiece
---@field size integer largest id + 1
---@field contents table<integer, string> tokens that are found in a text as they are spelt
local SentencePiece = {names = {'native'}}
SentencePiece.__index = SentencePiece

local MAX_TEXT = 4 * 2 ^ 20 -- bytes
local SPACE = '\226\150\129'
local CHARACTER = '[%z\1-\127\194-\244][\128-\191]*'

-- GGUF's kinds of tokens.
local UNKNOWN, CONTROL, USER, BYTE = 2, 3, 4, 6

---@class ag.SentencePieceFile
---@field words string[] the piece of id i - 1
---@field scores number[]
---@field kinds integer[] 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte
---@field prefix boolean a space is put before a text

--- A tokenizer.
---@param file ag.SentencePieceFile
---@return ag.SentencePiece?
---@return string? err
function SentencePiece.new(file)
  local self = setmetatable({size = #file.words, words = file.words, ids = {}, score = {},
    bytes = {}, contents = {}, added = {}, prefix = file.prefix, byte_of = {}}, SentencePiece)
  local quoted = {}
  for i, word in ipairs(file.words) do
    local id, kind = i - 1, file.kinds[i]
    if kind == BYTE then
      local value = tonumber(word:match '^<0x(%x%x)>$' or '', 16)
      if not value then return nil, ('token %d is no byte: %s'):format(id, check.show(word)) end
      self.bytes[value], self.byte_of[id] = id, string.char(value)
    elseif kind == CONTROL or kind == USER then
      if word == '' then return nil, ('token %d is empty'):format(id) end
      self.contents[id], self.added[word] = word, id
      quoted[#quoted + 1] = word
    elseif kind == UNKNOWN then
      self.unknown = id
    end
    if kind ~= BYTE and kind ~= CONTROL and not self.ids[word] then
      self.ids[word], self.score[id] = id, file.scores[i]
    end
  end
  for value = 0, 255 do
    if not self.bytes[value] and not self.unknown then
      return nil, ('there is neither a token for the byte %d nor one for what is unknown'):format(
        value)
    end
  end
  table.sort(quoted, function(a, b) return #a > #b or #a == #b and a < b end)
  for i, word in ipairs(quoted) do quoted[i] = regex.quote(word) end
  if #quoted > 0 then
    local err
    self.tokens, err = regex.compile(table.concat(quoted, '|'))
    if not self.tokens then return nil, err end
  end
  return self
end

-- A heap of candidates: those of the highest score, then the leftmost, come first.
local function above(a, b)
  if a.score ~= b.score then return a.score > b.score end
  return a.at < b.at
end

local function push(heap, item)
  local i = #heap + 1
  while i > 1 do
    local parent = math.floor(i / 2)
    if not above(item, heap[parent]) then break end
    heap[i], i = heap[parent], parent
  end
  heap[i] = item
end

local function pop(heap)
  local top, last = heap[1], table.remove(heap)
  local n, i = #heap, 1
  while n > 0 do
    local child = 2 * i
    if child > n then break end
    if child < n and above(heap[child + 1], heap[child]) then child = child + 1 end
    if not above(heap[child], last) then break end
    heap[i], i = heap[child], child
  end
  if n > 0 then heap[i] = last end
  return top
end

-- Appends the ids of a text in which spaces are signs already. Symbols are a linked list; a
-- candidate is passed over when one of its two has changed since.
local function append(self, text, out)
  local symbols, before, after, heap = {}, {}, {}, {}
  for symbol in text:gmatch(CHARACTER) do symbols[#symbols + 1] = symbol end
  local n = #symbols
  local function consider(left, right)
    if left < 1 or right > n then return end
    local id = self.ids[symbols[left] .. symbols[right]]
    if id then
      push(heap, {score = self.score[id], at = left, left = symbols[left], right = symbols[right]})
    end
  end
  for i = 1, n do before[i], after[i] = i - 1, i + 1 end
  for i = 1, n - 1 do consider(i, i + 1) end
  while #heap > 0 do
    local best = pop(heap)
    local i = best.at
    local j = symbols[i] and after[i]
    if j and j <= n and symbols[i] == best.left and symbols[j] == best.right then
      symbols[i], symbols[j], after[i] = best.left .. best.right, false, after[j]
      if after[i] <= n then before[after[i]] = i end
      consider(before[i], i)
      consider(i, after[i])
    end
  end
  local i = 1
  while i <= n do
    local id = self.ids[symbols[i]]
    if id then
      out[#out + 1] = id
    else
      for b in symbols[i]:gmatch '.' do out[#out + 1] = self.bytes[b:byte()] or self.unknown end
    end
    i = after[i]
  end
end

--- Text to ids.
---@param text string UTF-8, at most 4 MB
---@param opts? {special: boolean?, pattern: string?} special: tokens of the model in the text, such
---as </s>, are those tokens; pattern: there is 'native' alone
---@return integer[]? ids
---@return string? err one line
function SentencePiece:encode(text, opts)
  check.type(text, 'text', 'string')
  opts = check.options(opts, 'opts', {'special', 'pattern'})
  if opts.pattern ~= nil then check.one_of(opts.pattern, 'opts.pattern', self.names) end
  if #text > MAX_TEXT then
    return nil, ('text has %d bytes, more than the limit of %d'):format(#text, MAX_TEXT)
  end
  local fault = unicode.fault(text)
  if fault then return nil, ('text is not valid UTF-8 at byte %d'):format(fault) end
  local out, at = {}, 1
  local function plain(part)
    if part == '' then return end
    append(self, (self.prefix and ' ' .. part or part):gsub(' ', SPACE), out)
  end
  while opts.special and self.tokens and at <= #text do
    local first, last = self.tokens:find(text, at)
    if not first then break end
    plain(text:sub(at, first - 1))
    out[#out + 1] = self.added[text:sub(first, last)]
    at = last + 1
  end
  plain(text:sub(at))
  return out
end

--- Ids to text. The space that a text begins with in its pieces stays.
---@param ids integer[]
---@return string
function SentencePiece:decode(ids)
  check.type(ids, 'ids', 'table')
  local out = {}
  for i, id in ipairs(ids) do
    check.int(id, ('ids[%d]'):format(i), 0, self.size - 1)
    out[i] = self.byte_of[id] or self.contents[id] or self.words[id + 1]:gsub(SPACE, ' ')
  end
  return table.concat(out)
end

--- The id of a token that is found in texts as it is spelt.
---@param content string such as '</s>'
---@return integer? id
function SentencePiece:id(content)
  check.type(content, 'content', 'string')
  return self.added[content]
end

check.methods(SentencePiece, 'tokenizer')

return SentencePiece
