local Canvas = require 'argent.plot.canvas'
local colour = require 'argent.plot.colour'
local font = require 'argent.plot.font'

local BLACK, WHITE = {0, 0, 0}, {255, 255, 255}

local function grey(c, x, y) return c.data[(y * c.width + x) * 3] end

-- How much ink there is, in pixels.
local function ink(c)
  local sum = 0
  for i = 0, c.width * c.height - 1 do sum = sum + (255 - c.data[i * 3]) / 255 end
  return sum
end

describe('a canvas', function()
  it('draws a line of the pen\'s width, with smooth edges, whatever its direction', function()
    for _, to in ipairs {{50, 10}, {10, 50}, {38.3, 38.3}, {45, 30}} do
      local c = Canvas.new(60, 60, WHITE)
      c:stroke({{10, 10, to[1], to[2]}}, BLACK, 3)
      local length = math.sqrt((to[1] - 10) ^ 2 + (to[2] - 10) ^ 2)
      local expected = length * 3 + math.pi * 1.5 ^ 2 -- round ends
      assert.is_true(math.abs(ink(c) - expected) < 0.03 * expected)
    end
  end)

  it('covers whole pixels where a line of whole width lies on them', function()
    local c = Canvas.new(9, 9, WHITE)
    c:stroke({{-5, 4.5, 20, 4.5}}, BLACK, 1)
    for x = 0, 8 do
      assert.same({255, 0, 255}, {grey(c, x, 3), grey(c, x, 4), grey(c, x, 5)})
    end
  end)

  it('does not darken the joints of a stroke', function()
    local straight, bent = Canvas.new(40, 9, WHITE), Canvas.new(40, 9, WHITE)
    straight:stroke({{2, 4, 38, 4}}, {100, 100, 100}, 1.4)
    bent:stroke({{2, 4, 11, 4, 20, 4, 29, 4, 38, 4}}, {100, 100, 100}, 1.4)
    assert.equal(ink(straight), ink(bent))
  end)

  it('drops what is outside of it, or of a clip', function()
    local c = Canvas.new(5, 5, WHITE)
    c:fill(-3, -3, 4, 4, BLACK)
    c:stroke({{-9, -9, -2, -9}}, BLACK)
    c:stroke({{90, 2, 99, 2}, {3, -50, 3, 90}}, BLACK, 1, {x = 3, y = 3, width = 1, height = 1})
    c:stroke({}, BLACK)
    c:bar(70, -4, 90, BLACK)
    assert.equal(0, grey(c, 0, 0))
    assert.equal(255, grey(c, 1, 1))
    assert.equal(255, grey(c, 3, 2))
    assert.is_true(grey(c, 3, 3) < 255)
  end)

  it('draws a bar whose ends lie within pixels', function()
    local c = Canvas.new(3, 5, WHITE)
    c:bar(1, 1.25, 3.5, BLACK)
    assert.same({255, 64, 0, 128, 255}, {grey(c, 1, 0), grey(c, 1, 1), grey(c, 1, 2), grey(c, 1, 3),
      grey(c, 1, 4)})
  end)
end)

describe('text', function()
  it('has a shape of its own for every letter of ASCII', function()
    local seen = {}
    for code = 33, 126 do
      local letter = string.char(code)
      local c = Canvas.new(30, 30, WHITE)
      c:text(letter, 5, 5, BLACK)
      assert.is_true(ink(c) > 1, letter)
      local bytes = require('ffi').string(c.data, 30 * 30 * 3)
      assert.is_nil(seen[bytes], ('%s looks like %s'):format(letter, tostring(seen[bytes])))
      seen[bytes] = letter
    end
  end)

  it('fits into the size that is told, upright and turned', function()
    for _, up in ipairs {false, true} do
      local text = 'Hxm 0.25 (s)'
      local w, h = Canvas.text_size(text, 1.25)
      local c = Canvas.new(200, 200, WHITE)
      c:text(text, 50, up and 150 or 50, BLACK, {size = 1.25, up = up})
      local x0, x1, y0, y1 = 999, -1, 999, -1
      for y = 0, 199 do
        for x = 0, 199 do
          if grey(c, x, y) < 128 then
            x0, x1, y0, y1 = math.min(x0, x), math.max(x1, x), math.min(y0, y), math.max(y1, y)
          end
        end
      end
      if up then x0, x1, y0, y1 = 199 - y1, 199 - y0, x0, x1 end
      assert.is_true(x0 >= 49 and x0 <= 51 and math.abs(x1 - (x0 + w - 1)) <= 2)
      assert.is_true(y0 >= 49 and y0 <= 51 and y1 >= 50 + h - 2 and y1 <= 50 + 4 / 3 * h + 1)
    end
  end)

  it('keeps figures in columns', function()
    for digit = 0, 9 do assert.equal(font.width '000', font.width(digit .. '0' .. digit)) end
  end)

  it('draws a box for each letter that it has not, and typographic marks as plain ones', function()
    assert.equal(2 * #font.strokes '\228\189\160', #font.strokes '\228\189\160\229\165\189')
    assert.same({font.strokes '"a" - \'b\'...'},
      {font.strokes '\226\128\156a\226\128\157 \226\128\148 \226\128\152b\226\128\153\226\128\166'})
    assert.same({font.strokes 'a b'}, {font.strokes 'a\nb'})
    assert.same({{}, 0}, {font.strokes ''})
  end)
end)

describe('the colour map', function()
  local function hex(v) return ('#%02x%02x%02x'):format(unpack(colour.map(v))) end

  it('is viridis', function() -- Matplotlib's published colours
    assert.equal('#440154', hex(0))
    assert.equal('#414487', hex(0.2))
    assert.equal('#2a788e', hex(0.4))
    assert.equal('#22a884', hex(0.6))
    assert.equal('#7ad151', hex(0.8))
    assert.equal('#fde725', hex(1))
    local between = {[0.1] = {0x48, 0x25, 0x76}, [0.5] = {0x21, 0x91, 0x8c}, [0.9] = {0xbd, 0xdf,
      0x26}}
    for v, expected in pairs(between) do
      for i, c in ipairs(colour.map(v)) do assert.is_true(math.abs(c - expected[i]) <= 7) end
    end
  end)

  it('gets lighter all the way, and ends hold beyond the ends', function()
    local last = -1
    for i = 0, 100 do
      local c = colour.map(i / 100)
      local light = 0.2126 * c[1] + 0.7152 * c[2] + 0.0722 * c[3]
      assert.is_true(light > last)
      last = light
    end
    assert.same(colour.map(0), colour.map(-3))
    assert.same(colour.map(1), colour.map(7))
  end)
end)
