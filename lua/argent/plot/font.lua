-- Letters as pen strokes, drawn for Argent: one pen, no font file. They scale, and stand upright or
-- turned, with the lines of the pictures themselves.
--
-- A glyph is strokes separated by commas; a stroke is points, each two base-36 digits: x to the
-- right, y down. Points after `~` are the control points of quadratic curves. Capitals reach from y
-- = 0 to the base line at i (18), small letters from 6, tails down to o (24). Uprights lie where
-- possible on multiples of 3: whole pixels at the usual size of 2/3 pixel a unit.

local M = {}

--- Units from the top of capitals to the base line, and from there to the end of tails.
M.CAPITAL, M.TAIL = 18, 6
-- Between letters; the width of a space; of every digit, so that columns of numbers stand still.
local SPACING, SPACE, DIGIT = 4, 7.5, 9
-- Letters start on multiples of it: whole pixels at the usual size.
local GRID = 1.5

local O_CAPITAL = '60 ~00 06 0c ~0i 6i ~ci cc c6 ~c0 60'
local P_CAPITAL = '0i 00 70 ~c0 c5 ~ca 7a 0a'
local LEFT_BOWL = '9b ~96 46 ~06 0b 0d ~0i 4i ~9i 9d'
local RIGHT_BOWL = '0b ~06 56 ~96 9b 9d ~9i 5i ~0i 0d'
local ARCH = '0b ~06 56 ~96 9a 9i'

local GLYPHS = {
  A = '0i 60 ci,2c ac', B = '0i 00 60 ~b0 b4 ~b9 69 09,69 ~c9 cd ~ci 6i 0i',
  C = 'c5 ~b0 60 ~00 06 0c ~0i 6i ~bi cd', D = '00 0i 5i ~ci ca c8 ~c0 50 00',
  E = '90 00 0i 9i,09 79', F = '90 00 0i,09 79',
  G = 'c5 ~b0 60 ~00 06 0c ~0i 6i ~ci cc c9 79', H = '00 0i,c0 ci,09 c9', I = '00 0i',
  J = '60 6d ~6i 3i ~0i 0e', K = '00 0i,b0 0b,47 ci', L = '00 0i 9i', M = '0i 00 6b c0 ci',
  N = '0i 00 ci c0', O = O_CAPITAL, P = P_CAPITAL, Q = O_CAPITAL .. ',8d dj',
  R = P_CAPITAL .. ',6a ci', S = 'c4 ~b0 60 ~00 04 ~08 69 ~ca ce ~ci 6i ~1i 0e',
  T = '00 c0,60 6i', U = '00 0c ~0i 6i ~ci cc c0', V = '00 6i c0', W = '00 4i 84 ci g0',
  X = '00 ci,c0 0i', Y = '00 69 c0,69 6i', Z = '00 c0 0i ci',

  a = '18 ~26 56 ~96 9a 9i,9b 4b ~0b 0e ~0i 4i ~8i 9e', b = '00 0i,' .. RIGHT_BOWL,
  c = '98 ~86 56 ~06 0b 0d ~0i 5i ~8i 9g', d = '90 9i,' .. LEFT_BOWL,
  e = '0c 9c 9b ~96 56 46 ~06 0b 0d ~0i 5i ~8i 9g', f = '70 60 ~30 33 3i,06 66',
  g = '96 9k ~9o 4o ~1o 0m,' .. LEFT_BOWL, h = '00 0i,' .. ARCH, i = '06 0i,01 02',
  j = '36 3k ~3o 0o,31 32', k = '00 0i,86 0e,3b 9i', l = '00 0e ~0i 3i',
  m = '06 0i,0a ~06 46 ~86 8a 8i,8a ~86 c6 ~f6 fa fi', n = '06 0i,' .. ARCH,
  o = '46 ~06 0b 0d ~0i 4i 5i ~9i 9d 9b ~96 56 46', p = '06 0o,' .. RIGHT_BOWL,
  q = '96 9o,' .. LEFT_BOWL, r = '06 0i,0b ~06 56 66',
  s = '88 ~76 46 ~06 09 ~0b 4c ~9d 9f ~9i 4i ~1i 0g', t = '32 3e ~3i 6i 7i,06 76',
  u = '06 0e ~0i 4i ~9i 9d,96 9i', v = '06 5i a6', w = '06 3i 79 bi e6', x = '06 9i,96 0i',
  y = '06 5i,a6 4k ~3o 0o', z = '06 96 0i 9i',

  ['0'] = '40 ~00 07 0b ~0i 4i 5i ~9i 9b 97 ~90 50 40', ['1'] = '23 60 6i',
  ['2'] = '05 ~00 50 ~90 95 ~99 5d 0i 9i',
  ['3'] = '04 ~00 40 50 ~90 94 ~98 58 38,58 ~98 9d ~9i 5i 4i ~0i 0e', ['4'] = '6i 60 0c 9c',
  ['5'] = '80 10 08 ~27 57 ~97 9c ~9i 4i ~1i 0f',
  ['6'] = '82 ~70 50 ~00 09 0c ~0i 4i 5i ~9i 9c ~97 57 47 ~07 0c', ['7'] = '00 90 3i',
  ['8'] = '40 ~00 04 ~08 48 58 ~98 94 ~90 50 40,48 ~08 0d ~0i 4i 5i ~9i 9d ~98 58',
  ['9'] = '1g ~2i 4i ~9i 99 96 ~90 50 40 ~00 06 ~0b 4b 5b ~9b 96',

  ['!'] = '00 0c,0h 0i', ['"'] = '00 05,40 45', ['#'] = '30 1i,90 7i,06 a6,0c ac',
  ['$'] = 'a5 ~93 53 ~03 06 ~09 59 ~a9 ac ~af 5f ~1f 0d,50 5i',
  ['%'] = '30 ~00 03 ~06 36 ~66 63 ~60 30,bc ~8c 8f ~8i bi ~ei ef ~ec bc,c0 2i',
  ['&'] = 'ci 26 ~10 50 ~91 84 ~77 3a ~0b 0e ~0i 4i ~9i bb', ["'"] = '00 05',
  ['('] = '40 ~04 0a ~0g 4k', [')'] = '00 ~44 4a ~4g 0k', ['*'] = '40 48,06 82,02 86',
  ['+'] = '0b cb,65 6h', [','] = '1h 0l', ['-'] = '0b 6b', ['.'] = '0h 0i', ['/'] = '0k 80',
  [':'] = '08 09,0h 0i', [';'] = '18 19,1h 0l', ['<'] = 'a5 0b ah', ['='] = '09 c9,0e ce',
  ['>'] = '05 ab 0h', ['?'] = '04 ~00 40 50 ~90 95 ~98 5a ~4b 4d,4h 4i',
  ['@'] = 'fh ~dk 8k ~0k 0b ~02 82 ~g2 ga ~gf df ~bf bc b7,bb ~b7 87 ~57 5b ~5f 8f ~bf bb',
  ['['] = '40 00 0k 4k', ['\\'] = '00 8k', [']'] = '00 40 4k 0k', ['^'] = '05 50 a5',
  _ = '0k ck', ['`'] = '00 33', ['{'] = '50 ~20 24 28 ~2a 0a ~2a 2c 2g ~2k 5k', ['|'] = '00 0k',
  ['}'] = '00 ~30 34 38 ~3a 5a ~3a 3c 3g ~3k 0k', ['~'] = '0c ~18 6a ~bc c8',
}

-- What stands for letters that the font has not: a box. Its shape says "no glyph", not a letter.
local MISSING = '01 91 9i 0i 01'

-- Typographic marks that a text may well hold, as their plain forms.
local PLAIN = {
  ['\226\128\152'] = "'", ['\226\128\153'] = "'", ['\226\128\156'] = '"', ['\226\128\157'] = '"',
  ['\226\128\147'] = '-', ['\226\128\148'] = '-', ['\226\128\166'] = '...', ['\194\160'] = ' ',
}

-- Straight pieces of a quadratic curve: enough for letters up to some forty pixels.
local PIECES = 6

local function digits(token, at)
  return tonumber(token:sub(at, at), 36), tonumber(token:sub(at + 1, at + 1), 36)
end

local function parse(source)
  local glyph = {strokes = {}, width = 0}
  for stroke in source:gmatch '[^,]+' do
    local points, cx, cy = {}, nil, nil
    for token in stroke:gmatch '%S+' do
      if token:sub(1, 1) == '~' then
        cx, cy = digits(token, 2)
      else
        local x, y = digits(token, 1)
        glyph.width = math.max(glyph.width, x)
        if cx then
          local x0, y0 = points[#points - 1], points[#points]
          for i = 1, PIECES do
            local t = i / PIECES
            local a, b, c = (1 - t) * (1 - t), 2 * t * (1 - t), t * t
            points[#points + 1] = a * x0 + b * cx + c * x
            points[#points + 1] = a * y0 + b * cy + c * y
          end
          cx = nil
        else
          points[#points + 1], points[#points + 2] = x, y
        end
      end
    end
    glyph.strokes[#glyph.strokes + 1] = points
  end
  return glyph
end

local parsed = {}
local function glyph_of(letter)
  if not parsed[letter] then
    parsed[letter] = parse(GLYPHS[letter] or MISSING)
    if letter:find '%d' then parsed[letter].width = DIGIT end
  end
  return parsed[letter]
end

-- The characters of UTF-8 text that are drawn one by one.
local function letters(text)
  for mark, plain in pairs(PLAIN) do text = text:gsub(mark, plain) end
  return text:gsub('%c', ' '):gmatch '[%z\1-\127\192-\255][\128-\191]*'
end

--- The strokes of a line of text: lists of x, y, x, y, ..., in units, the first letter's left upper
--- corner at 0, 0.
---@param text string UTF-8; what is not ASCII is drawn as a box
---@return number[][] strokes
---@return number width in units
function M.strokes(text)
  local out, x, width = {}, 0, 0
  for letter in letters(text) do
    if letter == ' ' then
      x = x + SPACE
    else
      local glyph = glyph_of(letter)
      for _, points in ipairs(glyph.strokes) do
        local moved = {}
        for i = 1, #points, 2 do moved[i], moved[i + 1] = points[i] + x, points[i + 1] end
        out[#out + 1] = moved
      end
      width = x + glyph.width
      x = x + math.ceil((glyph.width + SPACING) / GRID) * GRID
    end
  end
  return out, width
end

--- How wide a line of text is.
---@param text string
---@return number units
function M.width(text)
  local _, width = M.strokes(text)
  return width
end

return M
