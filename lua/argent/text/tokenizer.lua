-- Byte-level BPE tokenizers: text to ids and back. The steps are those of the released tokenizers:
-- added tokens, NFC where the tokenizer has it, a regular expression that cuts the text into
-- pieces, merges inside each piece. No template is put around the text.

local ffi = require 'ffi'
local check = require 'argent.check'
local pieces = require 'argent.text.pieces'
local regex = require 'argent.text.regex'
local unicode = require 'argent.text.unicode'
local vocabulary = require 'argent.text.vocabulary'

---@class ag.Tokenizer
---@field size integer largest id + 1
local Tokenizer = {}
Tokenizer.__index = Tokenizer

local MAX_TEXT = 4 * 2 ^ 20 -- bytes; the merges of one piece take up to 28 times its size
local CACHED_PIECES, CACHED_LENGTH = 20000, 64

-- White space before a token that swallows it. Where it has been swallowed by the token before,
-- there is none left; within it no match begins, so that long white space is looked at once.
local BEFORE = '(?:(?<![{s}])[{s}]*+)?+'
local BEHIND = '[{s}]*+'

-- A token as a regular expression.
local function matcher(token, content)
  local text = regex.quote(content)
  if token.lstrip then text = BEFORE:gsub('{s}', pieces.SPACE) .. text end
  if token.rstrip then text = text .. BEHIND:gsub('{s}', pieces.SPACE) end
  return text
end

-- What stands between white space.
local INNER = assert(regex.compile((([[[^{s}](?s:.*[^{s}])?]]):gsub('{s}', pieces.SPACE))))

--- A set of added tokens as a regular expression that prefers the longest, or nil for none.
local function token_set(added, normalized, normal)
  local ids, contents, matchers = {}, {}, {}
  for _, token in ipairs(added) do
    if token.normalized == normalized then
      local content = normalized and normal(token.content) or token.content
      if not ids[content] then contents[#contents + 1] = content end
      ids[content], matchers[content] = token.id, matcher(token, content)
    end
  end
  if #contents == 0 then return nil end
  table.sort(contents, function(a, b) return #a > #b or #a == #b and a < b end)
  for i, content in ipairs(contents) do contents[i] = matchers[content] end
  local compiled, err = regex.compile(table.concat(contents, '|'))
  return compiled and {regex = compiled, ids = ids}, err
end

---@class ag.TokenizerKind what tokenizers differ in beside their vocabulary
---@field pieces table<string, string> names of argent.text.pieces by the names that `encode` takes;
---'native' is the default
---@field nfc boolean texts are put into NFC first

--- A tokenizer.
---@param v ag.Vocabulary
---@param kind ag.TokenizerKind
---@return ag.Tokenizer?
---@return string? err what is wrong with the added tokens
function Tokenizer.new(v, kind)
  local self = setmetatable({
    size = v.size, words = v.words, byte_ids = v.byte_ids, rank = v.rank, product = v.product,
    halves = v.halves, whole = v.whole, added = {}, contents = {}, patterns = {}, names = {},
    normal = kind.nfc and unicode.nfc or function(text) return text end, cache = {}, cached = 0,
  }, Tokenizer)
  for _, token in ipairs(v.added) do
    self.added[token.content], self.contents[token.id] = token.id, token.content
  end
  for name, of in pairs(kind.pieces) do
    self.patterns[name], self.names[#self.names + 1] = pieces.compile(of), name
  end
  table.sort(self.names, function(a, b) return a == 'native' or b ~= 'native' and a < b end)
  for _, normalized in ipairs{false, true} do
    local set, err = token_set(v.added, normalized, self.normal)
    if err then return nil, 'added tokens: ' .. err end
    self[normalized and 'normalized_tokens' or 'raw_tokens'] = set
  end
  return self
end

--- Reads the tokenizer of Qwen2 from vocab.json, merges.txt and tokenizer_config.json of a model
--- directory.
---@param dir string
---@return ag.Tokenizer?
---@return string? err one line that names the file, the line or field, and the fact
function Tokenizer.open(dir)
  check.type(dir, 'dir', 'string')
  local v, err = vocabulary.read(dir)
  if not v then return nil, err end
  local self
  self, err = Tokenizer.new(v, {
    nfc = true, pieces = {native = 'qwen2', local_directory = 'qwen2_replaced'},
  })
  if not self then return nil, ('%s/tokenizer_config.json: %s'):format(dir, err) end
  return self
end

-- A heap of numbers, smallest first: heap[0 .. count - 1].
local function push(heap, count, value)
  local i = count
  while i > 0 do
    local parent = bit.rshift(i - 1, 1)
    if heap[parent] <= value then break end
    heap[i], i = heap[parent], parent
  end
  heap[i] = value
  return count + 1
end

local function pop(heap, count)
  local value, i = heap[count - 1], 0
  count = count - 1
  while true do
    local child = 2 * i + 1
    if child >= count then break end
    if child + 1 < count and heap[child + 1] < heap[child] then child = child + 1 end
    if value <= heap[child] then break end
    heap[i], i = heap[child], child
  end
  heap[i] = value
  return count
end

local SPAN = vocabulary.SPAN

--- Appends the words into which a product falls back that is no word itself. A list instead of
--- recursion: the chain of products can be as long as merges.txt.
local function append_parts(out, halves, product)
  local todo = {product}
  while #todo > 0 do
    local id = table.remove(todo)
    local parts = halves[id]
    if parts then
      todo[#todo + 1] = parts[2]
      todo[#todo + 1] = parts[1]
    else
      out[#out + 1] = id
    end
  end
end

--- The ids of one piece. Symbols are a linked list; possible merges wait in a heap, lowest rank
--- first and leftmost of equal ranks, and are skipped there when a symbol of theirs has changed or
--- is gone: its id is then -1, with which no merge begins.
local function merge(self, piece)
  local n = #piece
  local rank, product = self.rank, self.product
  local ids, before, after = ffi.new('int32_t[?]', n), ffi.new('int32_t[?]', n),
    ffi.new('int32_t[?]', n)
  -- At most n - 1 merges at first; each one done takes one out and puts two in.
  local heap, count = ffi.new('double[?]', 2 * n), 0
  for i = 0, n - 1 do
    ids[i], before[i], after[i] = self.byte_ids[piece:byte(i + 1)], i - 1, i + 1
    local r = i > 0 and rank[ids[i - 1] * SPAN + ids[i]]
    if r then count = push(heap, count, r * SPAN + i - 1) end
  end
  while count > 0 do
    local r = math.floor(heap[0] / SPAN)
    local i = heap[0] - r * SPAN
    local j = after[i]
    count = pop(heap, count)
    if j < n and rank[ids[i] * SPAN + ids[j]] == r then
      ids[i], ids[j], after[i] = product[r], -1, after[j]
      local left, right = before[i], after[i]
      if right < n then
        before[right] = i
        local next_rank = rank[ids[i] * SPAN + ids[right]]
        if next_rank then count = push(heap, count, next_rank * SPAN + i) end
      end
      if left >= 0 then
        local next_rank = rank[ids[left] * SPAN + ids[i]]
        if next_rank then count = push(heap, count, next_rank * SPAN + left) end
      end
    end
  end
  local out, i, halves = {}, 0, self.halves
  while i < n do
    if halves[ids[i]] then append_parts(out, halves, ids[i]) else out[#out + 1] = ids[i] end
    i = after[i]
  end
  return out
end

--- The ids of one piece; those of short pieces are kept, because words come again.
local function ids_of(self, piece)
  local found = self.cache[piece]
  if found then return found end
  local word = self.whole and self.whole[piece]
  found = word and {word} or merge(self, piece)
  if #piece <= CACHED_LENGTH then
    if self.cached == CACHED_PIECES then self.cache, self.cached = {}, 0 end
    self.cache[piece], self.cached = found, self.cached + 1
  end
  return found
end

--- Appends the ids of a text without added tokens, in NFC.
local function encode_plain(self, text, pattern, out)
  local at, count = 1, #out
  while at <= #text do
    local first, last = pattern:find(text, at)
    if not first then return ('cannot split the text at byte %d: %s'):format(at, last) end
    local ids = ids_of(self, text:sub(first, last))
    for i = 1, #ids do out[count + i] = ids[i] end
    at, count = last + 1, count + #ids
  end
end

-- The id of a token as it was found, perhaps with white space around it.
local function id_of(set, text)
  if set.ids[text] then return set.ids[text] end
  local first, last = INNER:find(text, 1)
  return set.ids[text:sub(first, last)]
end

--- Appends the ids of the tokens of a set; what is between them goes to `rest`. Returns an error.
local function split(set, text, out, rest)
  local at = 1
  while set and at <= #text do
    local first, last = set.regex:find(text, at)
    if not first then
      if last then return ('cannot find the added tokens: %s'):format(last) end
      break
    end
    local err = first > at and rest(text:sub(at, first - 1))
    if err then return err end
    out[#out + 1] = id_of(set, text:sub(first, last))
    at = last + 1
  end
  if at <= #text then return rest(text:sub(at)) end
end

--- Text to ids.
---@param text string UTF-8, at most 4 MB; NUL bytes are characters like others
---@param opts? {special: boolean?, pattern: string?} special: the added tokens in the text, such as
---<|im_start|>, become their ids (default false: they are plain text). pattern: 'native' (default);
---that of Qwen3-TTS has 'local_directory', the way the official package splits when it loads from
---a directory.
---@return integer[]? ids
---@return string? err one line: the text is not valid UTF-8 (bytes count from 1), or too long
function Tokenizer:encode(text, opts)
  check.type(text, 'text', 'string')
  opts = check.options(opts, 'opts', {'special', 'pattern'})
  if opts.special ~= nil then check.type(opts.special, 'opts.special', 'boolean') end
  local name = opts.pattern
  if name == nil then name = 'native' end
  local pattern = self.patterns[check.one_of(name, 'opts.pattern', self.names)]
  if #text > MAX_TEXT then
    return nil, ('text has %d bytes, more than the limit of %d'):format(#text, MAX_TEXT)
  end
  local fault = unicode.fault(text)
  if fault then return nil, ('text is not valid UTF-8 at byte %d'):format(fault) end
  local out, err = {}
  if opts.special then
    err = split(self.raw_tokens, text, out, function(part)
      return split(self.normalized_tokens, self.normal(part), out, function(plain)
        return encode_plain(self, plain, pattern, out)
      end)
    end)
  else
    err = encode_plain(self, self.normal(text), pattern, out)
  end
  if err then return nil, err end
  return out
end

--- Ids to text. An id may hold part of a character: ids cut off anywhere give bytes that are no
--- valid UTF-8 at the ends.
---@param ids integer[] an id that no token has is an error
---@return string text
function Tokenizer:decode(ids)
  check.type(ids, 'ids', 'table')
  local out = {}
  for i = 1, #ids do
    local id = check.int(ids[i], ('ids[%d]'):format(i), 0, self.size - 1)
    local content, word = self.contents[id], self.words[id]
    if not content and not word then error(('ids[%d]: no token has the id %d'):format(i, id), 2) end
    out[i] = content or vocabulary.bytes(word)
  end
  return table.concat(out)
end

--- The id of an added token.
---@param content string such as '<|im_start|>'
---@return integer? id nil where there is no such token
function Tokenizer:id(content)
  check.type(content, 'content', 'string')
  return self.added[content]
end

check.methods(Tokenizer, 'tokenizer')

return Tokenizer
