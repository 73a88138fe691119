-- Strict UTF-8 checking and the normal form NFC, by utf8proc. Its one-call functions are not used,
-- because their sort of combining marks is quadratic: one long run of marks would hang.

local ffi = require 'ffi'
local check = require 'argent.check'
local library = require 'argent.library'
local status = require 'argent.status'

ffi.cdef [[
/* Only the first fields of the property. */
typedef struct { int16_t category, combining_class; } ag_utf8proc_property;
ptrdiff_t utf8proc_iterate(const uint8_t *text, ptrdiff_t size, int32_t *point);
ptrdiff_t utf8proc_decompose_char(int32_t point, int32_t *out, ptrdiff_t room, int options,
                                  int *boundary);
ptrdiff_t utf8proc_reencode(int32_t *points, ptrdiff_t count, int options);
const ag_utf8proc_property *utf8proc_get_property(int32_t point);
int32_t utf8proc_tolower(int32_t point);
]]

-- The runtime packages carry only a versioned name: 2 on Debian 12, 3 on Ubuntu 24.04.
local lib, missing, why = library.open({'libutf8proc.so.3', 'libutf8proc.so.2', 'utf8proc'},
  'cannot load utf8proc: install libutf8proc3 (libutf8proc2 on Debian 12)')
if not lib then status.throw(missing, why) end

local STABLE, COMPOSE, DECOMPOSE = 2, 8, 16 -- utf8proc's option bits

local M = {}

local point = ffi.new('int32_t[1]')

--- Where text stops being UTF-8: overlong forms, surrogates and values above U+10FFFF are faults,
--- NUL bytes are not.
---@param text string
---@param from? integer the first byte of a character, from 1 (default): what is before it is passed
---over
---@return integer? byte where the first ill-formed sequence begins, from 1; nil if there is none
function M.fault(text, from)
  check.type(text, 'text', 'string')
  local at, size = text:find('[\128-\255]', from), #text
  if not at then return nil end
  local bytes = ffi.cast('const uint8_t *', text)
  at = at - 1
  while at < size do
    local length = tonumber(lib.utf8proc_iterate(bytes + at, size - at, point))
    if length <= 0 then return at + 1 end
    at = at + length
  end
end

--- The general category of the character that begins at a byte, as utf8proc numbers them: letters 1
--- to 5, marks 6 to 8, numbers 9 to 11, punctuation 12 to 18, symbols 19 to 22, separators 23 to
--- 25, controls and the like 26 and up.
---@param text string
---@param at integer byte, from 1
---@return integer? category nil where no well-formed character begins
function M.category(text, at)
  local bytes = ffi.cast('const uint8_t *', text)
  if at < 1 or at > #text or lib.utf8proc_iterate(bytes + at - 1, #text - at + 1, point) <= 0 then
    return nil
  end
  return lib.utf8proc_get_property(point[0]).category
end

--- Sorts the marks points[first .. last - 1] by combining class; equal classes keep their order.
local function sort_marks(points, first, last, classes, scratch)
  local start = {} -- where the next mark of each class goes
  for class = 1, 255 do start[class] = 0 end
  for i = first, last - 1 do
    start[classes[i]] = start[classes[i]] + 1
    scratch[i] = points[i]
  end
  local at = first
  for class = 1, 255 do
    at, start[class] = at + start[class], at
  end
  for i = first, last - 1 do
    local class = classes[i]
    points[start[class]] = scratch[i]
    start[class] = start[class] + 1
  end
end

--- Puts every run of combining marks into canonical order.
local function order(points, count)
  local classes, scratch = ffi.new('uint8_t[?]', count), nil
  local first, sorted = 0, true -- the run that ends before i
  for i = 0, count do
    local class = i < count and lib.utf8proc_get_property(points[i]).combining_class or 0
    if i < count then classes[i] = class end
    if class == 0 then
      if not sorted then
        scratch = scratch or ffi.new('int32_t[?]', count)
        sort_marks(points, first, i, classes, scratch)
      end
      first, sorted = i + 1, true
    elseif i > first and class < classes[i - 1] then
      sorted = false
    end
  end
end

-- The normal form of bytes first .. last of text.
local function compose(text, first, last)
  -- No character decomposes into more than 1.5 code points a byte, but 2 is simple; one more takes
  -- the final NUL of reencode.
  local room = 2 * (last - first + 1) + 4
  local bytes, points = ffi.cast('const uint8_t *', text), ffi.new('int32_t[?]', room + 1)
  local at, count = first - 1, 0
  while at < last do
    local length = tonumber(lib.utf8proc_iterate(bytes + at, last - at, point))
    if length <= 0 then error(('text is not valid UTF-8 at byte %d'):format(at + 1), 3) end
    at = at + length
    if point[0] < 0x80 then
      points[count], count = point[0], count + 1
    else
      local n = lib.utf8proc_decompose_char(point[0], points + count, room - count,
        DECOMPOSE + STABLE, nil)
      assert(n >= 0 and n <= room - count, 'utf8proc: a decomposition longer than Unicode has')
      count = count + tonumber(n)
    end
  end
  order(points, count)
  local length = tonumber(lib.utf8proc_reencode(points, count, COMPOSE + STABLE))
  assert(length >= 0, 'utf8proc: cannot encode what it decoded')
  return ffi.string(points, length)
end

-- U+11A7 is a vowel that composes with nothing. Its number is one below that of the first final
-- consonant, and utf8proc takes it for a final consonant of no sound: it would vanish behind a
-- syllable. So texts are composed up to it and behind it.
local O_YAE = '\225\134\167'

--- The text with U+FFFD in place of each byte that is no UTF-8.
---@param text string
---@return string
function M.repaired(text)
  local parts, first = {}, 1
  while true do
    local at = M.fault(text:sub(first))
    if not at then break end
    parts[#parts + 1] = text:sub(first, first + at - 2) .. '\239\191\189'
    first = first + at
  end
  return first == 1 and text or table.concat(parts) .. text:sub(first)
end

--- The normal form NFC (canonical, not the compatibility form NFKC).
---@param text string valid UTF-8 (`fault` finds nothing), NUL bytes allowed
---@return string
function M.nfc(text)
  check.type(text, 'text', 'string')
  if not text:find '[\128-\255]' then return text end
  local parts, first = {}, 1
  while true do
    local at = text:find(O_YAE, first, true)
    parts[#parts + 1] = compose(text, first, at and at - 1 or #text)
    if not at then return table.concat(parts) end
    parts[#parts + 1] = O_YAE
    first = at + #O_YAE
  end
end

local NONSPACING_MARK = 6 -- as utf8proc numbers categories

--- A text in small letters (each code point by itself), without accents (decomposed, and without
--- its nonspacing marks), or both: the accents go first.
---@param text string valid UTF-8
---@param how {lower: boolean?, accents: boolean?} accents: false takes them away
---@return string
function M.fold(text, how)
  check.type(text, 'text', 'string')
  check.options(how, 'how', {'lower', 'accents'})
  if not text:find '[\128-\255]' then return how.lower and text:lower() or text end
  local strip, size = how.accents == false, #text
  -- A letter may become longer: two bytes for one at most, as U+0130 does.
  local room = 2 * size + 4
  local bytes, points = ffi.cast('const uint8_t *', text), ffi.new('int32_t[?]', room + 1)
  local at, count = 0, 0
  while at < size do
    at = at + tonumber(lib.utf8proc_iterate(bytes + at, size - at, point))
    local n = 1
    if strip then
      n = tonumber(lib.utf8proc_decompose_char(point[0], points + count, room - count,
        DECOMPOSE + STABLE, nil))
    else
      points[count] = point[0]
    end
    local first = count
    for i = first, first + n - 1 do
      local c = points[i]
      if not strip or lib.utf8proc_get_property(c).category ~= NONSPACING_MARK then
        points[count], count = how.lower and lib.utf8proc_tolower(c) or c, count + 1
        if how.lower and c == 0x130 then -- the one letter whose small form is two code points
          points[count - 1], points[count], count = 0x69, 0x307, count + 1
        end
      end
    end
  end
  if strip then order(points, count) end
  local length = tonumber(lib.utf8proc_reencode(points, count, STABLE))
  assert(length >= 0, 'utf8proc: cannot encode what it decoded')
  return ffi.string(points, length)
end

return M
