-- Which stops end a sentence, in the ten languages at once and without a model: rules over what
-- stands on both sides of the stop. An ambiguous stop ends no sentence, because a pause in the
-- wrong place is heard and a long sentence is not.

local abbreviations = require 'argent.text.abbreviations'
local regex = require 'argent.text.regex'

local M = {}

-- Contents of character classes.
local WIDE = '。！？．｡'
local STOP = '.!?…‼⁇⁈⁉' .. WIDE
-- Some quotes close in one language and open in another: not where a word begins behind them.
local CLOSER = [=[(?:[\x22'”’)\]}*_」』）】〕〉》〗〙＂］｝]|[“‘»«›‹](?![\p{L}\p{N}]))]=]
local OPENER = [[\x22'“‘”’„‚«‹»›(\[{¿¡*_「『（【《〈—–\-]]
local CJK = [[\p{sc:Han}\p{sc:Hiragana}\p{sc:Katakana}ー]] -- without the marks that scripts share
local ALONE = [[(?<![\p{L}\p{N}\p{M}])]] -- where a word begins

-- Entries of a list as one alternation. The first letter may be a capital.
local function any_of(list, spaced)
  local out = {}
  for entry in list:gmatch '%s*([^,\n]+)' do
    local first, rest = entry:match '^([%z\1-\127\194-\244][\128-\191]*)(.*)$'
    rest = regex.quote(rest)
    if spaced then rest = rest:gsub(' ', '\\s?') end
    local small = entry:find '^%l' or entry:find '^\208[\176-\191]' or entry:find '^\209'
    out[#out + 1] = (small and '(?i:%s)' or '%s'):format(first) .. rest
  end
  return '(?:' .. table.concat(out, '|') .. ')'
end

-- The rest of a spaced abbreviation, behind its first stop and a space: z. |B.
local function rest_of(...)
  local out = {}
  for entry in table.concat({...}, ','):gmatch '%s*([^,\n]+)' do
    local left
    for piece in entry:gmatch '[^ .]+' do
      if left and entry:find(left .. '. ' .. piece, 1, true) then
        out[#out + 1] = ('(?<=%s(?i:%s)\\.\\s)%s\\.'):format(ALONE, left, piece)
      end
      left = piece
    end
  end
  return '\\G(?:' .. table.concat(out, '|') .. ')'
end

local function compile(pattern)
  return assert(regex.compile(pattern))
end

-- A word of a list, directly before the stop.
local function before_stop(list)
  return compile(ALONE .. any_of(list, true) .. '\\z')
end

local lead = '\\G[\\s' .. OPENER .. ']*+'
local re = {
  candidate = compile('[' .. STOP .. ']|\\R'),
  run = compile(('\\G[%s]++(?:[%s]|%s)*+(?:[\\x20\\xa0\\x{202f}]++[»›](?![\\p{L}\\p{N}])'
    .. '(?:[%s]|%s)*+)?+'):format(STOP, STOP, CLOSER, STOP, CLOSER)),
  space = compile '\\G\\s++',
  blank_line = compile [[\G\h*+(?:\R\h*+\R|\f|\x{2029})]],
  newline = compile [[\G\h*+\R]],
  capital = compile '\\p{Lu}',

  -- behind the stop
  weaker_stop = compile [=[\G[.!?…,;:、，；：،·・]]=],
  small = compile(lead .. '\\p{Ll}(?!\\p{Lu})'),
  rest = compile(rest_of(abbreviations.joining, abbreviations.closing, abbreviations.open)),
  pronoun_i = compile(lead .. 'I(?![\\p{L}\\p{N}.])'),
  digit = compile [=[\G[(\[]?\p{Nd}]=],
  number = compile [=[\G[(\[]?(?:\p{Nd}|(?:[IVXLC]{2,}|[VX])(?![\p{L}\p{N}]))]=],
  starter = compile(lead .. any_of(abbreviations.starters) .. "(?:(?<=['’])|(?![\\p{L}\\p{N}.]))"),
  counted = compile('\\G' .. any_of(abbreviations.counted) .. '(?!\\p{L})'),
  opener = compile '\\G[¿¡«„]',
  wide = compile('\\G[' .. CJK .. '「『（《〈【]'),
  hangul = compile [[\G\p{sc:Hangul}]],
  wide_decimal = compile [[\G(?<=\p{Nd})．\p{Nd}]],
  speaker = compile [[\G(?:\p{Lu}[\p{L}'’.-]*+\s++){1,3}(?:said|asked|replied|cried|answered)\b]],
  -- 「…」と言った, “…”他说: the sentence goes on behind its quotation.
  particle = compile '\\G(?:と|って|など|を|は|が|に|の|も|や|で|へ)',
  chinese_speaker = compile '\\G\\p{Han}{0,6}?(?:说|說|问|問|(?<!知)道|喊|叫|答|笑|想)',

  -- before the stop, in a window that ends there
  joining = before_stop(abbreviations.joining),
  joining_or_unit = before_stop(abbreviations.joining_or_unit),
  numbering = before_stop(abbreviations.numbering),
  closing = before_stop(abbreviations.closing),
  open = before_stop(abbreviations.open),
  initial = compile(ALONE .. [[(?:\p{Lu}|[\p{Lu}\p{Ll}]\.\s?[\p{Lu}\p{Ll}])\z]]),
  lonely_i = compile [[(?<=\p{Ll})\sI\z]],
  unit = compile [[\p{N}\s?\p{L}++\z]],
  short_number = compile [[(?<![\p{L}\p{N}.,])\p{Nd}{1,2}\z]],
  ordinal = compile([[(?<![\p{L}\p{N}])(?<!I )]] .. any_of(abbreviations.before_ordinal)
    .. [[\s\p{Nd}{1,3}\z]]),
  ordinal_number = compile [[(?<![\p{L}\p{N}.,])\p{Nd}{1,3}\z]],
  cjk_end = compile('[' .. CJK .. '\\p{sc:Hangul}]\\z'),

  -- a line that is an item of a list, or a turn of a dialogue
  bullet = compile([=[\G\h*+(?:[-*+•‣◦▪●○–—]\h|[—–]\p{L}|[（(]?(?:\p{Nd}{1,2}|\p{L})[)）]]=]
    .. '|[①-⑳]|[一二三四五六七八九十]{1,3}、)'),
  numbered = compile [[\G\h*+\p{Nd}{1,2}[.．]\h]],
}

local WINDOW = 48 -- bytes; no abbreviation is longer

local function window(text, last)
  local first = math.max(1, last - WINDOW + 1)
  while first <= last and text:find('^[\128-\191]', first) do first = first + 1 end
  return text:sub(first, last)
end

-- The stop of an abbreviation, an initial or a number, with white space behind it: does the
-- sentence end? `at` is the byte of the stop, `next_at` that of the next visible character.
local function full_stop_ends(text, at, next_at)
  local w = window(text, at - 1)
  local function is(name) return re[name]:find(w, 1) ~= nil end
  local function follows(name) return re[name]:find(text, next_at) ~= nil end
  if is 'joining' or follows 'rest' then return false end
  if is 'joining_or_unit' and not is 'unit' then return false end
  if is 'numbering' and follows 'number' then return false end
  if is 'closing' then return true end
  if is 'lonely_i' then return true end
  if is 'open' or is 'initial' then return follows 'starter' end
  if is 'short_number' and follows 'digit' then return false end
  if is 'ordinal_number' and follows 'counted' or is 'ordinal' then return false end
  return true
end

-- A stop with its quotes and brackets, and text behind it without a space.
local function ends_before_text(text, at, kind, closer, next_at)
  local function follows(name) return re[name]:find(text, next_at) ~= nil end
  if follows 'weaker_stop' then return false end
  if kind == 'wide' and not closer then
    return not re.wide_decimal:find(text, at)
  end
  if closer then
    if kind ~= 'wide' and not follows 'wide' then return kind == 'shout' and follows 'opener' end
    return closer ~= 'title' and not follows 'particle' and not follows 'chinese_speaker'
  end
  if kind == 'shout' then return follows 'opener' or follows 'wide' or follows 'hangul' end
  return kind == 'dot' and (follows 'wide' or follows 'hangul')
    and re.cjk_end:find(window(text, at - 1), 1) ~= nil
end

-- A stop with white space behind it; small: the text has no capitals to go by.
local function ends_before_space(text, at, kind, closer, next_at, small)
  local function follows(name) return re[name]:find(text, next_at) ~= nil end
  if follows 'weaker_stop' then return false end
  if kind == 'wide' then return true end
  if not small and follows 'small' then return false end
  if kind == 'ellipsis' then return not follows 'pronoun_i' and not follows 'digit' end
  if kind == 'shout' then return not (closer and follows 'speaker') end
  return full_stop_ends(text, at, next_at)
end

-- What a run of stops is, and whether quotes or brackets close behind it ('title': 》).
local function kind_of(run)
  local closer = run:find('[\1-\127]$') and not run:find '[.!?]$'
  for c in ('” ’ “ ‘ » « › ‹ 」 』 ） 】 〕 〗 〙 ＂ ］ ｝'):gmatch '%S+' do
    closer = closer or run:sub(-#c) == c
  end
  if run:sub(-3) == '》' or run:sub(-3) == '〉' then closer = 'title' end
  for c in ('。 ！ ？ ． ｡'):gmatch '%S+' do
    if run:find(c, 1, true) then return 'wide', closer end
  end
  if run:find '[!?]' or run:find('\226\128\188', 1, true) or run:find('\226\129[\135-\137]') then
    return 'shout', closer
  end
  if run:find('..', 1, true) or run:find('…', 1, true) then return 'ellipsis', closer end
  return run:find '^%.[^.]*$' and 'dot' or 'shout', closer
end

-- The state of a walk through a text.
local Walk = {}
Walk.__index = Walk

-- Whether an item of a list begins at byte `at`, the start of a line. A number is one where the
-- line before has ended, or where it counts on: in "am\n3. Oktober" it is not.
function Walk:item(at, line_ended)
  if re.bullet:find(self.text, at) then return true end
  if not re.numbered:find(self.text, at) then return false end
  local n = tonumber(self.text:match('^%s*(%d+)', at))
  if not (line_ended or n and n == self.item_number + 1) then return false end
  self.item_number = n or 0
  return true
end

function Walk:cut(last, paragraph)
  local n = #self.ends
  if n > 0 and self.ends[n] == last then return end
  self.ends[n + 1], self.paragraph[n + 1] = last, paragraph or false
  if paragraph then self.item_number = 0 end
end

-- A line break between words. Returns the byte to go on from.
function Walk:line_break(at)
  local _, last = re.space:find(self.text, at)
  self.line = last + 1
  if re.blank_line:find(self.text, at) then
    self:cut(last, true)
    self:item(last + 1, true)
  else
    local before = self.text:sub(math.max(1, at - 3), at - 1)
    if self:item(last + 1, before:find '[:;]%s*$' or before:find '：$') then self:cut(last) end
  end
  return last + 1
end

-- The number of an item, "2. " at the start of its line.
function Walk:is_marker(at)
  if at - self.line > 8 then return false end
  local start = self.text:sub(self.line, at - 1)
  return start:find '^%s*%d%d?%d?$' ~= nil or start:find '^%s*%a$' ~= nil
end

-- A run of stops. Returns the byte to go on from.
function Walk:stop(at)
  local text = self.text
  local _, run_last = re.run:find(text, at)
  local kind, closer = kind_of(text:sub(at, run_last))
  local next_at = run_last + 1
  if next_at > #text then return next_at end
  local _, last = re.space:find(text, next_at)
  if not last then
    if ends_before_text(text, at, kind, closer, next_at) then self:cut(run_last) end
    return next_at
  end
  if re.blank_line:find(text, next_at) then return self:line_break(next_at) end
  local new_line = re.newline:find(text, next_at) ~= nil
  local marker = kind == 'dot' and self:is_marker(at)
  if new_line then self.line = last + 1 end
  if new_line and self:item(last + 1, true)
    or not marker and last < #text
    and ends_before_space(text, at, kind, closer, last + 1, self.small) then
    self:cut(last)
  end
  return last + 1
end

--- Where sentences end.
---@param text string valid UTF-8
---@return integer[] ends the last bytes of the sentences, white space behind them included; the
---last is #text, none for the empty text
---@return boolean[] paragraph whether a paragraph ends there too
function M.scan(text)
  local self = setmetatable({text = text, ends = {}, paragraph = {}, line = 1, item_number = 0,
    small = not re.capital:find(text, 1)}, Walk)
  self:item(1, true)
  local _, blank = re.space:find(text, 1) -- in front of the first sentence
  local at = (blank or 0) + 1
  while true do
    at = re.candidate:find(text, at)
    if not at then break end
    local byte = text:byte(at)
    local visible = byte == 46 or byte == 33 or byte == 63 or byte >= 226
      and not text:find('^\226\128[\168\169]', at)
    at = visible and self:stop(at) or self:line_break(at)
    if at > #text then break end
  end
  if #text > 0 then self:cut(#text, true) end
  return self.ends, self.paragraph
end

return M
