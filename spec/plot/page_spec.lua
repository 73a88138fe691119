-- What pictures are drawn on, by its pixels.

local Page = require 'argent.plot.page'
local colour = require 'argent.plot.colour'

local BLACK = {0, 0, 0}
local AREA = {x = 0, y = 0, width = 1, height = 1}

local function page(width, height)
  return assert(Page.new(width, height))
end

-- How much ink there is, in pixels; and a function that gives the grey of one.
local function look(p)
  local image, sum = p:finish(AREA), 0
  local function grey(x, y)
    local r, g, b = image:pixel(x, y)
    assert.is_true(r == g and g == b) -- no coloured fringes
    return r
  end
  for y = 0, image.height - 1 do
    for x = 0, image.width - 1 do sum = sum + (255 - grey(x, y)) / 255 end
  end
  return sum, grey, image
end

describe('a page', function()
  it('draws a line of the pen\'s width, with smooth edges, whatever its direction', function()
    for _, to in ipairs {{50, 10}, {10, 50}, {38.3, 38.3}, {45, 30}} do
      local p = page(60, 60)
      p:lines({{10, 10, to[1], to[2]}}, BLACK, {pen = 3})
      local length = math.sqrt((to[1] - 10) ^ 2 + (to[2] - 10) ^ 2)
      local expected = length * 3 + math.pi * 1.5 ^ 2 -- round ends
      assert.is_true(math.abs(look(p) - expected) < 0.03 * expected)
    end
  end)

  it('covers whole pixels where a line of whole width lies on them', function()
    local p = page(9, 9)
    p:lines({{-5, 4.5, 20, 4.5}}, BLACK, {pen = 1})
    local _, grey = look(p)
    for x = 0, 8 do
      assert.same({255, 0, 255}, {grey(x, 3), grey(x, 4), grey(x, 5)})
    end
  end)

  it('draws a line of one point as a dot, and leaves out what a dash leaves out', function()
    local p = page(20, 20)
    p:lines({{10, 10}}, BLACK, {pen = 8})
    assert.is_true(math.abs(look(p) - math.pi * 16) < 2)
    p = page(40, 9)
    p:lines({{0, 4.5, 40, 4.5}}, BLACK, {pen = 1, dash = {6, 6}})
    local _, grey = look(p)
    for x, want in pairs {[3] = 0, [9] = 255, [15] = 0, [21] = 255} do
      assert.equal(want, grey(x, 4))
    end
  end)

  it('drops what is outside of it, or of a clip', function()
    local p = page(5, 5)
    p:box(-3, -3, 4, 4, BLACK)
    p:lines({{-9, -9, -2, -9}}, BLACK, {pen = 1.4})
    p:lines({{90, 2, 99, 2}, {3, -50, 3, 90}}, BLACK,
      {pen = 1.4, clip = {x = 3, y = 3, width = 1, height = 1}})
    p:lines({}, BLACK, {pen = 1})
    p:box(70, -4, 1, 94, BLACK)
    local _, grey = look(p)
    assert.equal(0, grey(0, 0))
    assert.equal(255, grey(1, 1))
    assert.equal(255, grey(3, 2))
    assert.is_true(grey(3, 3) < 255)
  end)

  it('fills a box whose sides lie within pixels', function()
    local p = page(3, 5)
    p:box(1, 1.25, 1, 2.25, BLACK)
    local _, grey = look(p)
    for y, want in pairs {[0] = 255, 64, 0, 128, 255} do
      assert.is_true(math.abs(grey(1, y) - want) <= 1)
    end
    assert.equal(255, grey(0, 2))
  end)

  it('takes a colour for every pixel of an area', function()
    local p = page(7, 6)
    p:paint({x = 2, y = 1, width = 3, height = 4}, function(x, y) return {10 * x, 20 * y, 7} end)
    local image = p:finish(AREA)
    for y = 0, 3 do
      for x = 0, 2 do assert.same({10 * x, 20 * y, 7}, {image:pixel(x + 2, y + 1)}) end
    end
    assert.same({255, 255, 255}, {image:pixel(5, 1)})
    assert.same({255, 255, 255}, {image:pixel(2, 0)})
  end)

  it('is an error value where memory does not suffice', function()
    local p, err, code = Page.new(40000, 40000) -- more than cairo takes
    assert.same({nil, 'out of memory', 'memory'}, {p, err, code})
  end)
end)

describe('text', function()
  it('has a shape of its own for every letter of ASCII', function()
    local seen = {}
    for code = 33, 126 do
      local letter = string.char(code)
      local p = page(30, 30)
      p:text(letter, 5, 5, BLACK)
      local ink, _, image = look(p)
      assert.is_true(ink > 1, letter)
      local bytes = image:png()
      assert.is_nil(seen[bytes], ('%s looks like %s'):format(letter, tostring(seen[bytes])))
      seen[bytes] = letter
    end
  end)

  it('fits into the size that is told, upright and turned', function()
    for _, up in ipairs {false, true} do
      local text = 'Hxm 0.25 (H'
      local w, h = Page.text_size(text, 1.25)
      local p = page(200, 200)
      p:text(text, 50, up and 150 or 50, BLACK, {size = 1.25, up = up})
      local _, grey = look(p)
      local x0, x1, y0, y1 = 999, -1, 999, -1
      for y = 0, 199 do
        for x = 0, 199 do
          if grey(x, y) < 128 then
            x0, x1, y0, y1 = math.min(x0, x), math.max(x1, x), math.min(y0, y), math.max(y1, y)
          end
        end
      end
      if up then x0, x1, y0, y1 = 199 - y1, 199 - y0, x0, x1 end
      assert.is_true(x0 >= 49 and x0 <= 53 and math.abs(x1 - (50 + w - 1)) <= 3)
      assert.is_true(y0 >= 49 and y0 <= 51 and y1 >= 50 + h - 2 and y1 <= 50 + 4 / 3 * h + 1)
    end
  end)

  it('keeps figures in columns', function()
    for digit = 0, 9 do
      assert.equal(Page.text_size '000', (Page.text_size(digit .. '0' .. digit)))
    end
  end)

  it('ends in dots where it has less room than it needs', function()
    local p = page(300, 30)
    p:text(('word '):rep(50), 10, 8, BLACK, {room = 200})
    local _, grey = look(p)
    for x = 211, 299 do
      for y = 0, 29 do assert.equal(255, grey(x, y)) end
    end
    local function png(room)
      local q = page(300, 30)
      q:text('word', 10, 8, BLACK, {room = room})
      return q:finish(AREA):png()
    end
    assert.equal(png(nil), png(280))
    assert.are_not.equal(png(nil), png(20))
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

describe('the colours of curves', function()
  it('are as many looks as curves, up to 24', function()
    local seen = {}
    for i = 1, 24 do
      local c, dash = colour.curve(i)
      local look_ = ('%s %s'):format(table.concat(c, ','), dash and table.concat(dash, ',') or '')
      assert.is_nil(seen[look_])
      seen[look_] = true
    end
  end)
end)
