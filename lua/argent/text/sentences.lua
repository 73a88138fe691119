-- A text cut into sentences, and into parts of whole sentences that are spoken one after the other.
-- Nothing is lost or changed: what comes out, joined, is the text byte for byte. Which stops end a
-- sentence is decided in argent.text.stops.

local check = require 'argent.check'
local regex = require 'argent.text.regex'
local stops = require 'argent.text.stops'
local unicode = require 'argent.text.unicode'

local M = {}

local LIMIT = 120 -- about half a minute of speech
-- A part ends early, at a better place, when this much of the limit is used by then.
local ENOUGH = 0.25

-- Places to cut inside a sentence. White space stays with what is before it.
local WIDE_CLOSE = '。、〉》」』】〕）！？，．：；'
local CLAUSE = assert(regex.compile(([=[(?:(?:[,;:!?…–—]|(?<=\p{L}{4})\.)[\x22'”’»)\]]*+\s++]=]
  .. '|(?:[、，；：。！？]|…++)[%s”’]*+\\s*+)(?![,;:…%s”’])'):format(WIDE_CLOSE, WIDE_CLOSE)))
local SPACE = assert(regex.compile '\\s++')
local WIDE = assert(regex.compile(([=[(?:\p{sc:Han}|(?!っ)\p{sc:Hiragana}|[%s]]=]
  .. '|(?!ッ)[\\p{sc:Katakana}ー](?![\\p{sc:Katakana}ー]))'
  .. [=[(?![\s\p{M}々〻ーぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮ%s])]=]):format(WIDE_CLOSE, WIDE_CLOSE)))
-- Not before marks, joiners and what changes an emoji, and not behind a joiner.
local CHARACTER = assert(regex.compile(
  [[(?s).(?<!\x{200d})(?![\p{M}\x{200c}\x{200d}\x{fe0f}\x{1f3fb}-\x{1f3ff}])]]))

-- The text with every ill-formed byte replaced by a control character, so that regular expressions
-- take it; offsets stay.
local function well_formed(text)
  local fault = unicode.fault(text)
  if not fault then return text end
  local pieces, at = {}, 1
  while fault do
    pieces[#pieces + 1] = text:sub(at, fault - 1)
    pieces[#pieces + 1] = '\26'
    at = fault + 1
    fault = unicode.fault(text, at)
  end
  pieces[#pieces + 1] = text:sub(at)
  return table.concat(pieces)
end

--- Cuts a text into sentences. Quotes and brackets that close behind a stop, and white space, stay
--- with the sentence before. A blank line and an item of a list end a sentence without a stop; any
--- other single line break does not. Bytes that are not UTF-8 are kept, as no letters.
---@param text string
---@return string[] sentences none for the empty text; joined they are the text
---@return boolean[] paragraphs whether a paragraph ends with the sentence
function M.split(text)
  check.type(text, 'text', 'string')
  local ends, paragraphs = stops.scan(well_formed(text))
  local sentences, at = {}, 1
  for i, last in ipairs(ends) do
    sentences[i], at = text:sub(at, last), last + 1
  end
  return sentences, paragraphs
end

-- How long a text is to speak, in about the tokens of the model: a character of Chinese, Japanese
-- or Korean is one, of other scripts a quarter.
local function default_cost(s)
  local cost, at, size = 0, 1, #s
  while at <= size do
    local byte = s:byte(at)
    local width = byte < 192 and 1 or byte < 224 and 2 or byte < 240 and 3 or 4
    cost = cost + ((byte >= 0xe3 and byte <= 0xed) and 1 or 0.25)
    at = at + width
  end
  return cost
end

local function continues(valid, at)
  local byte = valid:byte(at)
  return byte ~= nil and byte >= 128 and byte < 192
end

-- The last byte of the character that byte `at` belongs to, and of the last whole one up to `at`.
local function character_end(valid, at)
  at = math.min(at, #valid)
  while continues(valid, at + 1) do at = at + 1 end
  return at
end

local function whole_end(valid, at)
  while continues(valid, at + 1) do at = at - 1 end
  return at
end

-- The most that fits from byte `from` on: its last byte, from - 1 where not one character does.
local function furthest(valid, from, fits)
  local low, step = from - 1, 64
  local high = character_end(valid, low + step)
  while fits(from, high) do
    if high == #valid then return high end
    low, step = high, 2 * step
    high = character_end(valid, low + step)
  end
  while true do -- low fits, high does not
    local middle = whole_end(valid, math.floor((low + high) / 2))
    if middle == low then middle = character_end(valid, low + 1) end
    if middle == high then return low end
    if fits(from, middle) then low = middle else high = middle end
  end
end

-- The last match of a regex in valid that ends in [from, last]; it may look one character further.
local function last_match(re, valid, from, last)
  local view, at, found = valid:sub(from, character_end(valid, last + 1)), 1, nil
  while at <= #view do
    local _, stop = re:find(view, at)
    if not stop or from + stop - 1 > last then break end
    found, at = from + stop - 1, stop + 1
  end
  return found
end

-- Where to cut a sentence that does not fit: behind a clause, a word, or a character of a script
-- without spaces; inside a word only where it alone is too long.
local function cut_inside(valid, from, last, enough)
  local clause = last_match(CLAUSE, valid, from, last)
  if clause and enough(from, clause) then return clause end
  local space = last_match(SPACE, valid, from, last)
  if space and enough(from, space) then return space end
  local wide = last_match(WIDE, valid, from, last)
  if space or wide then return math.max(space or 0, wide or 0) end
  if last < from then return character_end(valid, from) end -- one character above the limit
  return last_match(CHARACTER, valid, from, last) or last
end

-- The index of the last entry of a sorted list that is at most x, or 0.
local function last_at_most(list, x, low)
  local high = #list + 1
  while high - low > 1 do
    local middle = math.floor((low + high) / 2)
    if list[middle] <= x then low = middle else high = middle end
  end
  return low
end

--- Groups the sentences of a text into parts, each as long as the limit allows; a part ends with a
--- paragraph where that leaves it at least a quarter full. A sentence above the limit is cut behind
--- a clause (at a comma, colon, dash ...), else between words, else between characters of Chinese
--- or Japanese; inside a word only where that word alone is above the limit, and never inside a
--- character.
---@param text string
---@param opts? {limit: number?, cost: (fun(s: string): number)?} limit: the most that a part may
---cost (default 120); cost: of a piece of text, and not less for a longer one (default: about the
---tokens of a speech model, one for a CJK character and a quarter for any other)
---@return string[] parts at least one, joined they are the text; only a part of a single character
---may cost more than the limit
function M.parts(text, opts)
  check.type(text, 'text', 'string')
  opts = check.options(opts, 'parts', {'limit', 'cost'})
  local limit = check.number(opts.limit == nil and LIMIT or opts.limit, 'parts: limit', 1)
  local cost = check.type(opts.cost == nil and default_cost or opts.cost, 'parts: cost', 'function')
  if cost(text) <= limit then return {text} end
  local function fits(from, last) return cost(text:sub(from, last)) <= limit end
  local function enough(from, last) return cost(text:sub(from, last)) >= ENOUGH * limit end

  local valid = well_formed(text)
  local ends, paragraph = stops.scan(valid)
  local paragraphs = {}
  for i, last in ipairs(ends) do
    if paragraph[i] then paragraphs[#paragraphs + 1] = last end
  end
  local parts, from, sentence, para = {}, 1, 0, 0
  local function place(last) -- the best place to end a part at or before `last`
    if last == #text then return last end
    local s, p = last_at_most(ends, last, sentence), last_at_most(paragraphs, last, para)
    local block, whole = paragraphs[p] or 0, ends[s] or 0
    if block >= from and enough(from, block) then return block end
    return whole >= from and whole or cut_inside(valid, from, last, enough)
  end
  while from <= #text do
    local most = furthest(valid, from, fits)
    local last = place(most)
    -- A tokenizer may need more tokens for less text, because words merge.
    while most >= from and not fits(from, last) do
      most = whole_end(valid, last - 1)
      last = place(most)
    end
    parts[#parts + 1] = text:sub(from, last)
    sentence, para = last_at_most(ends, last, sentence), last_at_most(paragraphs, last, para)
    from = last + 1
  end
  return parts
end

return M
