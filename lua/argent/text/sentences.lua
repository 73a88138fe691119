-- Sentences of the ten languages that the models speak, and parts of a long text made of them. A
-- boundary that is missed costs nothing but a longer part, a false one is heard: so what is in
-- doubt stays together.

local check = require 'argent.check'
local unicode = require 'argent.text.unicode'

local M = {}

local function set(words)
  local s = {}
  for word in words:gmatch '%S+' do s[word] = true end
  return s
end

-- Marks that end a sentence. Those of Chinese and Japanese need no space behind them.
local STOPS = set '. ! ? … ‼ ⁇ ⁈ ⁉ 。 ！ ？ ｡ ．'
local WIDE_STOPS = set '。 ！ ？ ｡ ．'
local CLOSERS = set '" \' ” ’ » › ) ] } 」 』 ） 》 〉 】 〕 ］ “ ‘'
local OPENERS = set '" \' “ ‘ „ ‚ « ‹ ( [ { ¿ ¡ 「 『 （ 《 〈 【 – — -'
local CLAUSE_ENDS = set ', ; : – — ، 、 ， ； ：'

-- Words before a full stop that belongs to them, in lower case: titles and what stands before a
-- name or a number, or inside a sentence.
local ABBREVIATIONS = set [[
  dr mr mrs ms prof ee uu ff st mt ft sr jr gen col lt sgt capt cmdr adm rev hon gov sen rep pres
  supt messrs no nos vol vols fig figs eq ch sec p pp ed eds est dept univ assn bros inc ltd co
  corp vs cf al approx jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu fri sat
  sun hr hrn fr frl herr dipl ing mag nr str bd kap abb tab abs art anm bzw ca evtl ggf inkl exkl
  max min mind vgl sog tel verl hrsg zzgl geb gest jh jhd od m mm mme mmes mlle mlles me mgr av bd
  fbg env hab chap tél réf sra srta srto sres d dª dña da ud uds vd vds avda cta núm num pág
  págs aprox dpto tfno dott dottssa sig sigg signa sigra avv arch geom rag on cav egr gent pag
  pagg cap artt nn exmo exma ilmo v s n r pça г гг в вв ул д кв им т тт п пп
  рис табл см ср стр руб коп тыс млн млрд акад проф доц
  ок напр обл р др пр
]]
-- Full stops inside that may still end the sentence, when the next word is written large.
local MAY_END = set 'a.m p.m т.д т.п etc usw ecc u.ä u.a'

-- The character that begins at a byte, as text; '' at the end. Bytes that are no UTF-8 stand alone.
local function char(text, at)
  local byte = text:byte(at)
  if not byte then return '' end
  local n = byte < 0xc0 and 1 or byte < 0xe0 and 2 or byte < 0xf0 and 3 or 4
  local c = text:sub(at, at + n - 1)
  return c:find '^.[\128-\191]*$' and #c == n and c or c:sub(1, 1)
end

-- German, where a full stop makes an ordinal: am 3. Oktober, der 2. Weltkrieg.
local BEFORE_ORDINALS = set 'am der die das den dem des im vom zum zur bis ab'
local MONTHS = set [[Januar Februar März April Mai Juni Juli August September Oktober November
  Dezember Jänner Jahrhundert Jahrhunderts]]

local SPACES = set '\194\160 \226\128\175 \227\128\128 \226\128\137 \226\128\168 \226\128\169'

-- Past the white space at a byte; also whether it holds a line end, or more than one.
local function skip_space(text, at)
  local lines = 0
  while at <= #text do
    local c = char(text, at)
    if not c:find '^%s$' and not SPACES[c] then break end
    if c == '\n' or c == '\226\128\169' then lines = lines + 1 end
    at = at + #c
  end
  return at, lines > 0, lines > 1
end

local function skip_set(text, at, known)
  while at <= #text do
    local c = char(text, at)
    if not known[c] then break end
    at = at + #c
  end
  return at
end

-- 'lower', 'upper', 'digit', 'kana', 'other' for the first character behind opening marks and
-- dashes.
local function kind_at(text, at)
  local behind = skip_set(text, at, OPENERS)
  if behind > at then at = skip_space(text, behind) end
  local category = unicode.category(text, at)
  if category == 2 then return 'lower' end
  if category == 1 or category == 3 then return 'upper' end
  if category and category >= 9 and category <= 11 then return 'digit' end
  if char(text, at):find '^\227[\129\130]' then return 'kana' end
  return 'other'
end

-- The word that ends before a byte, without marks before it and what is elided (L’ing.), and the
-- word before that.
local function words_before(text, at)
  local head = text:sub(math.max(1, at - 48), at - 1)
  local word = head:match '%S*$'
  local before = head:sub(1, #head - #word):match '(%S*)%s*$'
  word = word:gsub('^.*\226\128\153', ''):gsub("^.*'", '')
  return word:gsub('^[%("%[]+', ''):gsub('^\194\171', ''):gsub('^\226\128[\152-\158]', ''), before
end

local function lower(word)
  -- Latin and Cyrillic capitals of two bytes that occur in the lists.
  return (word:lower():gsub('\195([\128-\158])', function(c)
    return '\195' .. string.char(c:byte() + 32)
  end):gsub('\208([\144-\159])', function(c) return '\208' .. string.char(c:byte() + 32) end)
    :gsub('\208([\160-\175])', function(c) return '\209' .. string.char(c:byte() - 32) end))
end

-- Whether the full stop at a byte belongs to the word before it; what follows begins at next_at.
local function abbreviates(text, stop, next_at)
  local word, before = words_before(text, stop)
  if word == '' then return false end
  local small = lower(word)
  if MAY_END[small] then return false end
  if ABBREVIATIONS[small] then return true end
  if word:find '^%d%d?$' then -- a German ordinal, or the number of a list's item
    return before == '' or BEFORE_ORDINALS[before:lower()] ~= nil
      or MONTHS[text:match('^%S*', next_at):gsub('%p+$', '')] ~= nil
  end
  if word:find '^[IVXLC]+$' and #word > 1 then return true end -- Louis XIV. von Frankreich
  local last = word:match '[^.%-]*$'
  if #last > 0 and #char(last, 1) == #last and last:find '[%a\128-\255]' then
    local category = unicode.category(last, 1)
    return category == 1 or word:find('.', 1, true) ~= nil -- J. R. R., U.S., z.B., т.е.
  end
  return false
end

-- Whether a sentence ends with the stops at [from, to) and the closing marks up to `after`.
local function ends(text, from, to, after)
  local next_at, _, paragraph = skip_space(text, after)
  if next_at > #text or paragraph then return true end
  local last = text:sub(from, to - 1)
  local wide = WIDE_STOPS[last:match '[^\128-\191][\128-\191]*$']
  local kind = kind_at(text, next_at)
  if wide then
    -- A quotation inside a sentence goes on with a particle: 「…。」と言った
    return not (after > to and kind == 'kana')
  end
  if next_at == after then return false end -- 3.14, example.com, ?!a
  if kind == 'lower' then return false end
  return not (last == '.' and abbreviates(text, from, next_at))
end

-- Where the closing marks behind a stop end; French puts a space before its own.
local function skip_closers(text, at)
  at = skip_set(text, at, CLOSERS)
  local behind = skip_space(text, at)
  local c = char(text, behind)
  if behind > at and (c == '»' or c == '›') then return behind + #c end
  return at
end

local LIST_ITEM = {'^[%-*•–]%s', '^\226\128\162%s', '^%d+[.)]%s', '^%a[.)]%s'}

local function begins_item(text, at)
  local head = text:sub(at, at + 5)
  for _, pattern in ipairs(LIST_ITEM) do
    if head:find(pattern) then return true end
  end
  return false
end

--- The sentences of a text, in order. Joined they are the text, byte for byte: white space stays
--- with the sentence before it. An empty line ends a sentence, and so does a line end before a list
--- item.
---@param text string UTF-8; other bytes are carried along
---@return string[]
---@return boolean[] whether a paragraph ends with the sentence
function M.split(text)
  check.type(text, 'text', 'string')
  local out, paragraphs, first = {}, {}, 1
  local function cut(at, paragraph)
    out[#out + 1] = text:sub(first, at - 1)
    paragraphs[#out] = paragraph
    first = at
  end
  local at = skip_space(text, 1)
  while at <= #text do
    -- ASCII stops and line ends, and the lead bytes of the other stops.
    at = text:find('[.!?\n\226\227\239]', at)
    if not at then break end
    local c = char(text, at)
    if c == '\n' then
      local behind, _, paragraph = skip_space(text, at)
      if paragraph or begins_item(text, behind) then cut(behind, paragraph) end
      at = behind
    elseif STOPS[c] then
      local to = skip_set(text, at, STOPS)
      local after = skip_closers(text, to)
      if ends(text, at, to, after) then
        local behind, _, paragraph = skip_space(text, after)
        cut(behind, paragraph or behind > #text)
        at = behind
      else
        at = to
      end
    else
      at = at + #c
    end
  end
  if first <= #text then cut(#text + 1, true) end
  return out, paragraphs
end

-- ---- parts ----

-- Clauses: what ends with a comma or its like and white space, or with one of its wide forms.
local function clauses(text)
  local out, first, at = {}, 1, 1
  while true do
    at = text:find('[,;:\216\226\227\239]', at)
    if not at then break end
    local c = char(text, at)
    at = at + #c
    if CLAUSE_ENDS[c] then
      local behind = skip_space(text, at)
      if behind > at or #c == 3 and c ~= '–' and c ~= '—' then
        out[#out + 1] = text:sub(first, behind - 1)
        first, at = behind, behind
      end
    end
  end
  out[#out + 1] = first <= #text and text:sub(first) or nil
  return out
end

local function words(text)
  local out, lead = {}, text:match '^%s*'
  for word in text:sub(#lead + 1):gmatch '%S+%s*' do out[#out + 1] = word end
  out[1] = lead .. (out[1] or '')
  return out
end

local function characters(text)
  local out, at = {}, 1
  while at <= #text do
    local c = char(text, at)
    out[#out + 1] = c
    at = at + #c
  end
  return out
end

local FINER = {clauses, words, characters}

-- Words, roughly: a character of Chinese, Japanese or Korean counts as one, and so do four others.
local function default_cost(s)
  local _, all = s:gsub('[^\128-\191]', '')
  local _, wide = s:gsub('[\227-\237\239][\128-\191][\128-\191]', '')
  return wide + (all - wide) / 4
end

--- Groups of whole sentences for speech, each of at most `limit`; paragraphs are kept whole where
--- that costs no more than half a part. A sentence beyond the limit is cut at commas, then at
--- spaces, then between characters. Joined, the parts are the text. A text within the limit is one
--- part.
---@param text string
---@param opts? {limit: number?, cost: (fun(s: string): number)?} default 100, in about words
---@return string[]
function M.parts(text, opts)
  check.type(text, 'text', 'string')
  opts = check.options(opts, 'parts', {'limit', 'cost'})
  local limit = check.number(opts.limit or 100, 'parts: limit', 1)
  local cost = opts.cost or default_cost
  check.type(cost, 'parts: cost', 'function')
  if cost(text) <= limit then return {text} end

  local out = {}
  -- Fills parts with pieces; what is too large for one is taken apart by the next finer way.
  local function fill(pieces, ends_paragraph, level)
    local part, used = {}, 0
    local good, good_used -- pieces up to the last end of a paragraph in this part
    local function flush(n)
      if n == 0 then return end
      out[#out + 1] = table.concat(part, '', 1, n)
      part = {unpack(part, n + 1)}
    end
    for i, piece in ipairs(pieces) do
      local c = cost(piece)
      if used + c > limit and #part > 0 then
        if good and good < #part and good_used >= limit / 2 then
          flush(good)
          used = used - good_used
        end
        if used + c > limit then
          flush(#part)
          used = 0
        end
        good = nil
      end
      if c > limit and FINER[level] then
        flush(#part)
        fill(FINER[level](piece), {}, level + 1)
        used, good = 0, nil
      else
        part[#part + 1], used = piece, used + c
        if ends_paragraph[i] then good, good_used = #part, used end
      end
    end
    flush(#part)
  end
  local pieces, ends_paragraph = M.split(text)
  fill(pieces, ends_paragraph, 1)
  return out
end

return M
