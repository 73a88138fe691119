-- The normal form NFC and the checking of UTF-8.

local unicode = require 'argent.text.unicode'

-- Code points as UTF-8.
local function utf8(...)
  local out = {}
  for i, c in ipairs {...} do
    if c < 0x80 then
      out[i] = string.char(c)
    elseif c < 0x800 then
      out[i] = string.char(0xc0 + math.floor(c / 64), 0x80 + c % 64)
    elseif c < 0x10000 then
      out[i] = string.char(0xe0 + math.floor(c / 4096), 0x80 + math.floor(c / 64) % 64, 0x80
        + c % 64)
    else
      out[i] = string.char(0xf0 + math.floor(c / 262144), 0x80 + math.floor(c / 4096) % 64,
        0x80 + math.floor(c / 64) % 64, 0x80 + c % 64)
    end
  end
  return table.concat(out)
end

local function same(expected, given)
  if expected == given then return end
  local function hex(s) return (s:gsub('.', function(c) return ('%02X '):format(c:byte()) end)) end
  error(('expected %s, got %s'):format(hex(expected), hex(given)), 2)
end

describe('repaired', function()
  it('puts U+FFFD in place of each byte that is no UTF-8', function()
    local R = '\239\191\189'
    for text, want in pairs {[''] = '', ['a\195\169'] = 'a\195\169', ['\255'] = R,
      ['a\195'] = 'a' .. R, ['\240\159\152b\255c'] = R .. R .. R .. 'b' .. R .. 'c'} do
      assert.equal(want, unicode.repaired(text))
    end
  end)
end)

describe('nfc', function()
  it('composes every Korean syllable with every final consonant, and with nothing else', function()
    -- Unicode's arithmetic of Hangul: 28 syllables for each pair of first consonant and vowel; the
    -- final consonants are U+11A8 .. U+11C2.
    for lv = 0xac00, 0xd7a3, 28 do
      for jamo = 0x11a6, 0x11c4 do
        local final = jamo >= 0x11a8 and jamo <= 0x11c2
        same(final and utf8(lv + jamo - 0x11a7) or utf8(lv, jamo), unicode.nfc(utf8(lv, jamo)))
      end
    end
  end)

  it('keeps the vowel U+11A7 wherever it stands', function()
    -- Given, and what Python's unicodedata.normalize('NFC', ...) makes of it.
    for _, case in ipairs {
      {{0x11a7}, {0x11a7}},
      {{0x11a7, 0x11a7}, {0x11a7, 0x11a7}},
      {{0x1100, 0x1161, 0x11a7}, {0xac00, 0x11a7}},
      {{0xac00, 0x11a7, 0x11a8}, {0xac00, 0x11a7, 0x11a8}},
      {{0xac01, 0x11a7}, {0xac01, 0x11a7}},
      {{0xac00, 0x11a7, 0x1100, 0x1161, 0x11a8}, {0xac00, 0x11a7, 0xac01}},
      {{0x65, 0x301, 0x11a7, 0x65, 0x301}, {0xe9, 0x11a7, 0xe9}},
      {{0xac00, 0x11a7, 0x323, 0x302, 0x61}, {0xac00, 0x11a7, 0x323, 0x302, 0x61}},
      {{0x65, 0x302, 0x323, 0x11a7, 0x302, 0x323}, {0x1ec7, 0x11a7, 0x323, 0x302}},
    } do
      same(utf8(unpack(case[2])), unicode.nfc(utf8(unpack(case[1]))))
    end
  end)

  it('blames the byte of a text that is not UTF-8', function()
    local ok, err = pcall(function() local _ = unicode.nfc(utf8(0xac00, 0x11a7) .. 'a\255') end)
    assert.is_false(ok)
    assert.matches('unicode_spec.lua:%d+: text is not valid UTF%-8 at byte 8$', err)
  end)
end)
