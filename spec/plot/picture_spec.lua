-- Pictures, as a decoder sees them.

local ag = require 'argent'
local colour = require 'argent.plot.colour'
local lfs = require 'lfs'
local png = require 'support.png'
require 'support.near'

local plot = ag.plot
local be = assert(ag.backend('cpu', {threads = 1}))

local function decoded(image) return png.decode(assert(image:png())) end

local function hex(c) return ('#%02x%02x%02x'):format(c[1], c[2], c[3]) end

local function sine(n, hz, amplitude, rate)
  local t = {}
  for i = 1, n do t[i] = amplitude * math.sin(2 * math.pi * hz * (i - 1) / rate) end
  return t
end

-- The line of the caller is named, and the message matches.
local function misuse(pattern, fn)
  local ok, err = pcall(fn)
  assert.is_false(ok)
  assert.is_truthy(err:find('picture_spec.lua:', 1, true), err)
  assert.is_truthy(err:find(pattern), err)
end

local EXAMPLES = {
  waveform = function(o) return plot.waveform(sine(5000, 440, 0.5, 24000), o) end,
  mel = function(o) return plot.mel(sine(5000, 440, 0.5, 24000), o) end,
  attention = function(o) return plot.attention({{1, 0}, {0.5, 0.5}}, o) end,
  codes = function(o) return plot.codes({{1, 2}, {3, 0}}, o) end,
  line = function(o) return plot.line({1, 3, 2}, o) end,
  eos = function(o) return plot.eos({0, 0.1, 0.9}, o) end,
  heat = function(o) return plot.heat({{1, 2}, {3, 4}}, o) end,
  histogram = function(o) return plot.histogram({1, 2, 2, 3}, o) end,
}
local BARS = {mel = true, attention = true, codes = true, heat = true}

describe('every picture', function()
  for name, make in pairs(EXAMPLES) do
    it(('has a title, labels and ticks on both axes%s, and nothing cut off (%s)'):format(BARS[name]
      and ' and at its colours' or '', name),
      function()
        local image = assert(make {title = 'A title'})
        local p, a = decoded(image), image.area
        assert.same({image.width, image.height, 2}, {p.width, p.height, p.format})
        assert.is_true(p:ink(a.x, 4, 200, a.y - 6) > 50)                      -- title
        assert.is_true(p:ink(0, a.y, 34, a.height) > 30)                      -- label of y
        assert.is_true(p:ink(34, a.y - 8, a.x - 40, a.height + 16) > 10)      -- numbers of y
        assert.is_true(p:ink(a.x - 6, a.y, 5, a.height) >= 5)                 -- ticks of y
        local bottom = a.y + a.height
        assert.is_true(p:ink(a.x - 10, bottom + 12, a.width, 14) > 10)        -- numbers of x
        assert.is_true(p:ink(a.x, bottom + 32, a.width, 22) > 30)             -- label of x
        if BARS[name] then
          assert.is_true(p:ink(a.x + a.width + 48, a.y - 8, 30, a.height + 16) > 10)
          assert.is_true(p:ink(p.width - 40, a.y - 20, 30, a.height + 40) > 30)
        end
        for _, edge in ipairs {{0, 0, p.width, 5}, {0, p.height - 5, p.width, 5},
          {0, 0, 5, p.height}, {p.width - 5, 0, 5, p.height}} do
          assert.equal(0, p:ink(unpack(edge)))
        end
        assert.is_true(make().height < image.height) -- no title, no room for it
      end)

    it(('is made in the size that is asked for, or refused (%s)'):format(name), function()
      local image = assert(make {width = 641, height = 433})
      local p = decoded(image)
      assert.same({641, 433}, {p.width, p.height})
      local _, err, code = make {width = 100}
      assert.equal('usage', code)
      assert.is_truthy(err:find('^plot%.' .. name .. ': width: no room for the labels in 100 '))
      local least = tonumber(err:match 'at least (%d+)$')
      assert.is_truthy(make {width = least})
      _, err, code = make {height = 60}
      assert.equal('usage', code)
      assert.is_truthy(make {height = tonumber(err:match 'at least (%d+)$')})
    end)

    it(('is the same bytes each time (%s)'):format(name), function()
      assert.equal(make {title = 'x'}:png(), make {title = 'x'}:png())
    end)

    it(('refuses an option that it does not know at the caller\'s line (%s)'):format(name),
      function()
        misuse("unknown option string 'colour'", function()
          local x = make {colour = 'red'}
          return x
        end)
      end)
  end

  it('tells its pixels as a decoder sees them', function()
    local image = assert(plot.line {1, 2})
    local p = decoded(image)
    for y = 0, p.height - 1, 7 do
      for x = 0, p.width - 1, 5 do assert.equal(p:at(x, y), hex {image:pixel(x, y)}) end
    end
    misuse('pixel: %-1, 0 is outside', function() image:pixel(-1, 0) end)
    assert.equal(('picture: %d x %d'):format(image.width, image.height), tostring(image))
  end)

  it('shortens a title that is too long', function()
    local image = assert(plot.line({1, 2}, {title = ('word '):rep(300)}))
    assert.equal(0, decoded(image):ink(image.width - 10, 0, 10, 40))
  end)
end)

describe('a title', function()
  local TITLES = {
    chinese = '早上好。今天又下雨了。', english = 'Good morning. It is raining again.',
    french = 'Bonjour. Il pleut de nouveau, hélas.',
    german = 'Guten Morgen. Schon wieder Regenböen.',
    italian = 'Buongiorno. Piove di nuovo, perché?', japanese = 'おはようございます。また雨です。',
    korean = '안녕하세요. 또 비가 옵니다.', portuguese = 'Bom dia. Está a chover outra vez.',
    russian = 'Доброе утро. Опять идёт дождь.', spanish = '¡Buenos días! Llueve otra vez, señor.',
  }

  it('is drawn in each of the ten languages, every letter', function()
    local seen = {}
    for language, title in pairs(TITLES) do
      local image = assert(plot.line({1, 2}, {title = title}))
      assert.equal(0, image.missing, language)
      local p, a = decoded(image), image.area
      assert.is_true(p:ink(a.x, 4, 400, a.y - 6) > 100, language)
      local strip = p.data:sub(1, p.width * (a.y - 6) * 3)
      assert.is_nil(seen[strip], language)
      seen[strip] = true
    end
  end)

  it('tells how many of its letters no font has', function()
    -- Two of the private use area.
    local title = 'a\244\143\191\188\244\143\191\189'
    assert.equal(2, assert(plot.line({1, 2}, {title = title})).missing)
  end)

  it('takes any bytes', function()
    local image = assert(plot.line({1, 2}, {title = 'one\ntwo\0\255\27[31m'}))
    local plain = assert(plot.line({1, 2}, {title = 'one two \239\191\189 [31m'}))
    assert.equal(plain:png(), image:png())
  end)
end)

describe('without what draws', function()
  local command = require 'support.command'

  -- What plot.line returns in a process of its own.
  local function line(before, env)
    local path = os.tmpname()
    local f = assert(io.open(path, 'w'))
    f:write(before .. " print(require('argent').plot.line {1, 2})")
    f:close()
    local r = command.run({'run', path}, {env = env})
    os.remove(path)
    assert.equal('', r.err)
    return r.out
  end

  it('says which package to install where cairo and pango are missing', function()
    assert.equal('nil\tpictures need cairo and pango: apt install libpangocairo-1.0-0'
      .. '\tunsupported\n', line [[
        local ffi = require 'ffi'
        local load = ffi.load
        ffi.load = function(name)
          return name:find 'cairo' and error(name .. ': No such file') or load(name)
        end]])
  end)

  it('says which package to install where no font is', function()
    local path = os.tmpname()
    local f = assert(io.open(path, 'w'))
    f:write '<?xml version="1.0"?><fontconfig><dir>/nowhere</dir></fontconfig>'
    f:close()
    assert.equal('nil\tpictures need a font: apt install fonts-dejavu-core\tunsupported\n',
      line('', {FONTCONFIG_FILE = path}))
    os.remove(path)
  end)
end)

describe('a waveform', function()
  it('reaches as high and as low as the samples, where they are', function()
    local samples = sine(48000, 1000, 0.5, 24000)
    for i = 1, 24000 do samples[i] = 0 end
    local image = assert(plot.waveform(ag.tensor(be, samples), {limit = 1}))
    local p, a = decoded(image), image.area
    local middle = a.y + a.height / 2
    for x = a.x + 5, a.x + a.width / 2 - 5, 10 do -- silence: one line in the middle
      local first, last = p:extent(x, a)
      assert.is_true(first >= middle - 1 and last <= middle)
    end
    for x = a.x + a.width / 2 + 5, a.x + a.width - 5, 10 do
      local first, last = p:extent(x, a)
      assert.is_true(math.abs(first - (a.y + a.height / 4)) <= 2)
      assert.is_true(math.abs(last - (a.y + a.height * 3 / 4)) <= 2)
    end
  end)

  it('is a line through the samples where there are few', function()
    local samples = {}
    for i = 1, 101 do samples[i] = i <= 50 and -0.5 or 0.75 end
    local image = assert(plot.waveform(samples, {limit = 1}))
    local p, a = decoded(image), image.area
    local function middle(x)
      local first, last = p:extent(x, a)
      return (first + last + 1) / 2 - a.y
    end
    assert.is_true(math.abs(middle(a.x + 100) - a.height * 0.75) <= 1)
    assert.is_true(math.abs(middle(a.x + a.width - 100) - a.height * 0.125) <= 1)
  end)

  it('clips what is beyond the limit, and draws a single sample', function()
    local image = assert(plot.waveform(sine(30000, 1000, 0.9, 24000), {limit = 0.1}))
    local first, last = decoded(image):extent(image.area.x + 100, image.area)
    assert.is_true(first <= image.area.y + 1)
    assert.is_true(last >= image.area.y + image.area.height - 2)
    for _, y in ipairs {image.area.y - 3, image.area.y + image.area.height + 2} do
      assert.equal('#ffffff', decoded(image):at(image.area.x + 110, y))
    end
    assert.is_truthy(plot.waveform {0.3})
    assert.is_truthy(plot.waveform {0})
  end)

  it('refuses what is no sound', function()
    local _, err, code = plot.waveform {0, 0 / 0, 1}
    assert.same({'plot.waveform: samples[2] is not a number', 'value'}, {err, code})
    _, err = plot.waveform {0, 0, math.huge}
    assert.equal('plot.waveform: samples[3] is infinite', err)
    _, err = plot.waveform {}
    assert.equal('plot.waveform: samples: nothing to draw', err)
    misuse('samples: expected 1 dimensions', function()
      local x = plot.waveform(ag.zeros(be, {2, 3}))
      return x
    end)
    misuse('samples: expected a table, got 3', function()
      local x = plot.waveform(3)
      return x
    end)
    misuse("samples: expected numbers, got string 'a'", function()
      local x = plot.waveform {1, 'a'}
      return x
    end)
    misuse('rate: expected a number', function()
      local x = plot.waveform({1}, {rate = 0})
      return x
    end)
  end)
end)

describe('a mel spectrogram', function()
  -- The row in which a frequency's band lies, by the definition of the Slaney scale: 130 equal
  -- steps, whose inner 128 ends are the peaks of the bands.
  local function row_of(hz, area)
    local mel = hz < 1000 and hz * 3 / 200 or 15 + 27 * math.log(hz / 1000) / math.log(6.4)
    local top = 15 + 27 * math.log(12) / math.log(6.4)
    local band = mel / top * 129 - 1
    return area.y + area.height * (1 - (band + 0.5) / 128)
  end

  local function brightest(p, x, area)
    local best, most
    for y = area.y, area.y + area.height - 1 do
      local r, g = p.data:byte((y * p.width + x) * 3 + 1, (y * p.width + x) * 3 + 2)
      if not most or r + g > most then best, most = y, r + g end
    end
    return best
  end

  it('shows a tone in the row of its frequency, at any rate', function()
    for _, case in ipairs {{440, 24000}, {1000, 24000}, {3000, 16000}, {6000, 44100}} do
      local hz, rate = unpack(case)
      local image = assert(plot.mel(sine(rate, hz, 0.5, rate), {rate = rate}))
      local p, a = decoded(image), image.area
      local y = brightest(p, a.x + math.floor(a.width / 2), a)
      assert.is_true(math.abs(y - row_of(hz, a)) <= a.height / 128 + 1, hz .. ' Hz')
    end
  end)

  it('shows when a tone begins, and its label is where the tone is', function()
    local samples = sine(48000, 1000, 0.5, 24000)
    for i = 1, 24000 do samples[i] = 0 end
    local image = assert(plot.mel(ag.tensor(be, samples)))
    local p, a = decoded(image), image.area
    local y = math.floor(row_of(1000, a))
    assert.equal('#440154', p:at(a.x + math.floor(a.width * 0.4), y))
    local r, g = image:pixel(a.x + math.floor(a.width * 0.6), y)
    assert.is_true(r > 150 and g > 200)
    local tick
    for row = y - 2, y + 2 do tick = tick or p:ink(a.x - 5, row, 3, 1) == 3 end
    assert.is_true(tick)
  end)

  it('needs more than 384 samples', function()
    local _, err, code = plot.mel(sine(384, 100, 1, 24000))
    assert.same({'the sound is too short: 384 samples, 385 are needed', 'value'}, {err, code})
    assert.is_truthy(plot.mel(sine(385, 100, 1, 24000)))
  end)
end)

-- The colour in the middle of cell r, c of rows x columns.
local function cell(p, area, r, c, rows, columns)
  return p:at(area.x + math.floor((c + 0.5) / columns * area.width),
    area.y + math.floor((r + 0.5) / rows * area.height))
end

describe('an attention map', function()
  local probs = {{{1, 0, 0}, {0.25, 0.75, 0}, {0.2, 0.3, 0.5}},
    {{1, 0, 0}, {0.75, 0.25, 0}, {0.6, 0.3, 0.1}}}

  local function expect(image, rows, at)
    local p = decoded(image)
    for r, row in ipairs(rows) do
      for c, v in ipairs(row) do
        local got = cell(p, image.area, r - 1, c - 1, #rows, #row)
        if c > r then
          assert.equal(hex(colour.faint), got)
        else -- tensors hold 0.3 as the nearest float, and so may round to the neighbour
          for i, want in ipairs(colour.map(at(v))) do
            assert.is_true(math.abs(want - tonumber(got:sub(2 * i, 2 * i + 1), 16)) <= 1)
          end
        end
      end
    end
  end

  it('colours each cell by its weight, and leaves the future blank', function()
    local function linear(v) return v end
    expect(assert(plot.attention(probs, {head = 1, log = false})), probs[1], linear)
    expect(assert(plot.attention(ag.tensor(be, probs), {head = 2, log = false})), probs[2], linear)
    expect(assert(plot.attention(ag.tensor(be, {probs}), {log = false})),
      {{1, 0, 0}, {0.5, 0.5, 0}, {0.4, 0.3, 0.3}}, linear)
    expect(assert(plot.attention(probs[2], {log = false})), probs[2], linear)
  end)

  it('has logarithmic colours over four decades unless told otherwise', function()
    local weights = {{1, 0, 0}, {0.01, 0.99, 0}, {1e-6, 0.001, 0.999}}
    expect(assert(plot.attention(weights)), weights, function(v) return 1 + math.log10(v) / 4 end)
  end)

  it('gives a weight of its own to each cell where some look ahead', function()
    local image = assert(plot.attention({{0, 1}, {1, 0}}, {log = false}))
    assert.equal('#440154', cell(decoded(image), image.area, 0, 0, 2, 2))
    assert.equal('#fde725', cell(decoded(image), image.area, 0, 1, 2, 2))
  end)

  it('marks where speech begins', function()
    local image = assert(plot.attention(probs, {boundary = 1}))
    local p, a = decoded(image), image.area
    local x, y = a.x + math.floor(a.width / 3 + 0.5), a.y + math.floor(a.height / 3 + 0.5)
    for i = 0, a.width - 1, 3 do
      assert.equal('#d62728', p:at(x, a.y + i))
      assert.equal('#d62728', p:at(a.x + i, y))
    end
  end)

  it('takes the last queries alone, and their keys', function()
    local image = assert(plot.attention({{0.25, 0.25, 0.5, 0}, {0.25, 0.25, 0, 0.5}},
      {log = false}))
    local p = decoded(image)
    assert.equal('#fde725', cell(p, image.area, 0, 2, 2, 4))
    assert.equal(hex(colour.faint), cell(p, image.area, 0, 3, 2, 4))
    assert.equal('#440154', cell(p, image.area, 1, 2, 2, 4))
  end)

  it('shows the largest weight where cells are smaller than pixels', function()
    local big = ag.zeros(be, {1500, 1500})
    big:narrow(1, 1201, 1):narrow(2, 601, 1):fill(1)
    local image = assert(plot.attention(big, {log = false}))
    assert.equal(700, image.area.width)
    local p, found = decoded(image), 0
    for y = 0, 699 do
      for x = 0, 699 do
        if p:at(image.area.x + x, image.area.y + y) == '#fde725' then
          found = found + 1
          assert.same({math.floor(600 / 1500 * 700), math.floor(1200 / 1500 * 700)}, {x, y})
        end
      end
    end
    assert.equal(1, found)
  end)

  it('refuses a head that is not there, and what is no matrix', function()
    misuse('head: expected an integer from 1 to 2, got 3', function()
      local x = plot.attention(probs, {head = 3})
      return x
    end)
    misuse('2 utterances, choose one', function()
      local x = plot.attention(ag.zeros(be, {2, 1, 3, 3}))
      return x
    end)
    misuse('rows of 2 and 1 values', function()
      local x = plot.attention {{1, 2}, {1}}
      return x
    end)
    misuse('boundary: expected an integer from 0 to 3', function()
      local x = plot.attention(probs, {boundary = 4})
      return x
    end)
    local _, err, code = plot.attention {{0, 0}, {0, 0}}
    assert.same({'plot.attention: probs: all of it is 0', 'value'}, {err, code})
  end)
end)

describe('a grid of codes', function()
  it('has time across, groups down, and a colour for each code', function()
    local codes = {{0, 15, 3}, {7, 1, 15}, {2, 2, 0}, {15, 0, 5}}
    for _, given in ipairs {codes, ag.tensor(be, codes, 'i32')} do
      local image = assert(plot.codes(given, {book = 16}))
      local p = decoded(image)
      for f, frame in ipairs(codes) do
        for g, v in ipairs(frame) do
          assert.equal(hex(colour.map(v / 15)), cell(p, image.area, g - 1, f - 1, 3, 4))
        end
      end
    end
  end)

  it('ends its colours at the power of two above the greatest code', function()
    local image = assert(plot.codes {{0, 40}})
    assert.equal(hex(colour.map(40 / 63)), cell(decoded(image), image.area, 1, 0, 2, 1))
    image = assert(plot.codes {{0, 64}})
    assert.equal(hex(colour.map(64 / 127)), cell(decoded(image), image.area, 1, 0, 2, 1))
  end)

  it('refuses what is no code', function()
    local _, err, code = plot.codes {{1, 2}, {3, -1}}
    assert.same({'plot.codes: codes[2][2]: -1 is not a code', 'value'}, {err, code})
    _, err = plot.codes {{1.5}}
    assert.equal('plot.codes: codes[1][1]: 1.5 is not a code', err)
    _, err, code = plot.codes {}
    assert.same({'plot.codes: codes: nothing to draw', 'value'}, {err, code})
  end)
end)

describe('a curve', function()
  -- The middle of the line in the column of position `at` of n - 1, from the top, as a fraction.
  local function height(p, area, at)
    local first, last = p:extent(area.x + math.floor(at * (area.width - 1) + 0.5), area)
    return first and ((first + last + 1) / 2 - area.y) / area.height
  end

  it('goes through its values', function()
    local values = {}
    for i = 1, 401 do values[i] = math.sin((i - 1) / 40) end
    local image = assert(plot.line(values, {lo = -2, hi = 2}))
    local p = decoded(image)
    for i = 1, 401, 25 do
      local want = 0.5 - values[i] / 4
      assert.is_true(math.abs(height(p, image.area, (i - 1) / 400) - want) < 0.01)
    end
  end)

  it('stands at the positions it is given', function()
    local image = assert(plot.line({0, 0, 1, 1}, {x = {0, 8, 8.001, 10}, lo = -1, hi = 3}))
    local p = decoded(image)
    assert.is_true(math.abs(height(p, image.area, 0.7) - 0.75) < 0.01)
    assert.is_true(math.abs(height(p, image.area, 0.9) - 0.5) < 0.01)
    misuse('x: 1 for 2 values', function()
      local x = plot.line({1, 2}, {x = {1}})
      return x
    end)
    misuse('x: they must not go back', function()
      local x = plot.line({1, 2}, {x = {2, 1}})
      return x
    end)
    misuse('lo must be below hi', function()
      local x = plot.line({1, 2}, {lo = 2, hi = 1})
      return x
    end)
  end)

  it('counts its values from 1, with whole numbers along x', function()
    local image = assert(plot.line({5, 6, 7}))
    local p, a = decoded(image), image.area
    local ticks = {}
    for x = a.x - 2, a.x + a.width + 1 do
      if p:ink(x, a.y + a.height + 2, 1, 3) == 3 then ticks[#ticks + 1] = x - a.x end
    end
    assert.same({0, a.width / 2, a.width - 1}, ticks)
    local values, x = {}, {}
    for i = 1, 50 do values[i], x[i] = i % 7, i end
    assert.equal(plot.line(values, {x = x}):png(), plot.line(values):png())
    local _, err = plot.line {1, 2, 0 / 0}
    assert.equal('plot.line: values[3] is not a number', err)
  end)

  it('is as high where many values share a column', function()
    local values = {}
    for i = 1, 100000 do values[i] = math.sin(i) * (i > 50000 and 0.5 or 1) end
    local image = assert(plot.line(values, {lo = -2, hi = 2}))
    local p, a = decoded(image), image.area
    for at, want in pairs {[0.25] = 1, [0.75] = 0.5} do
      local first, last = p:extent(a.x + math.floor(at * a.width), a)
      assert.is_true(math.abs((first - a.y) / a.height - (0.5 - want / 4)) < 0.01)
      assert.is_true(math.abs((last - a.y) / a.height - (0.5 + want / 4)) < 0.01)
    end
  end)

  describe('of several', function()
    local curves = {{0, 0, 0, 0, 0}, {1, 1, 1}, {2, 2, 2, 2, 2}}
    local options = {lo = -1, hi = 3, labels = {'first', 'second', '第三'}}

    -- The colours between two rows of pixels in one column: other than background.
    local function colours(p, x, y0, y1)
      local found = {}
      for y = y0, y1 do
        local r, g, b = p.data:byte((y * p.width + x) * 3 + 1, (y * p.width + x) * 3 + 3)
        for i = 1, 3 do
          local c = colour.curve(i) -- a line's pixels hold at least 0.9 of its colour
          if math.abs(c[1] - r) + math.abs(c[2] - g) + math.abs(c[3] - b) < 60 then found[i] = y end
        end
      end
      return found
    end

    it('has a colour for each, at its place', function()
      for _, given in ipairs {curves, {ag.tensor(be, curves[1]), curves[2], curves[3]}} do
        local image = assert(plot.line(given, options))
        local p, a = decoded(image), image.area
        local left = colours(p, a.x + math.floor(a.width * 0.3), a.y, a.y + a.height - 1)
        local right = colours(p, a.x + math.floor(a.width * 0.8), a.y, a.y + a.height - 1)
        for i = 1, 3 do
          local want = a.y + a.height * (1 - i / 4)
          assert.is_true(math.abs(left[i] - want) <= 2)
          if i == 2 then
            assert.is_nil(right[2]) -- a shorter one ends earlier
          else
            assert.is_true(math.abs(right[i] - want) <= 2)
          end
        end
      end
      local rows = assert(plot.line(ag.tensor(be, {{0, 1}, {2, 0}})))
      assert.equal(decoded(plot.line {{0, 1}, {2, 0}}).data, decoded(rows).data)
    end)

    it('has a legend with line and name of each, by default numbers', function()
      local image = assert(plot.line(curves, options))
      local p, a = decoded(image), image.area
      local found = {}
      for x = a.x, a.x + a.width - 1 do
        for i in pairs(colours(p, x, 0, a.y - 3)) do found[i] = found[i] or x end
      end
      assert.is_true(found[1] < found[2] and found[2] < found[3])
      for i = 1, 3 do assert.is_true(p:ink(found[i] + 26, 4, 40, a.y - 8) > 20) end
      local one = assert(plot.line({1, 2}, {labels = {'alone'}}))
      assert.is_true(one.area.y > assert(plot.line {1, 2}).area.y)
      assert.is_true(assert(plot.line(curves)).area.y > assert(plot.line {1, 2}).area.y)
    end)

    it('has a row more of legend where one is full, and cuts what is too long', function()
      local many, labels = {}, {}
      for i = 1, 12 do many[i], labels[i] = {i, i + 1}, ('curve number %d'):format(i) end
      local short = assert(plot.line(many))
      local tall = assert(plot.line(many, {labels = labels}))
      assert.is_true(tall.area.y > short.area.y)
      labels[1] = ('long '):rep(200)
      local cut = assert(plot.line(many, {labels = labels}))
      assert.equal(0, decoded(cut):ink(cut.width - 8, 0, 8, cut.area.y - 4))
    end)

    it('stands at its own positions each, or at common ones', function()
      local image = assert(plot.line({{0, 0}, {1, 1}}, {x = {{0, 4}, {6, 10}}, lo = -1, hi = 2}))
      local p, a = decoded(image), image.area
      local left = colours(p, a.x + math.floor(a.width * 0.2), a.y, a.y + a.height - 1)
      local right = colours(p, a.x + math.floor(a.width * 0.8), a.y, a.y + a.height - 1)
      assert.is_true(left[1] ~= nil and left[2] == nil and right[1] == nil and right[2] ~= nil)
      assert.is_truthy(plot.line({{0, 0}, {1, 1}}, {x = {0, 4}}))
    end)

    it('tells which curve is wrong', function()
      local _, err = plot.line {{1, 2}, {1, 0 / 0}}
      assert.equal('plot.line: values[2][2] is not a number', err)
      misuse('labels: 1 for 3 curves', function()
        local x = plot.line(curves, {labels = {'a'}})
        return x
      end)
      misuse('x%[2%]: 1 for 2 values', function()
        local x = plot.line({{1, 2}, {1, 2}}, {x = {{1, 2}, {1}}})
        return x
      end)
      misuse("values%[2%]: expected numbers, got string 'a'", function()
        local x = plot.line {{1, 2}, {'a'}}
        return x
      end)
    end)
  end)

  it('of the end token has a decade in equal steps up to 1, and gaps where it is impossible',
    function()
      local probabilities = {}
      for i = 1, 401 do probabilities[i] = i <= 100 and 0 or 10 ^ (-4 + (i - 1) / 100) end
      local image = assert(plot.eos(probabilities))
      local p = decoded(image)
      assert.is_nil(height(p, image.area, 0.1))
      for i = 121, 381, 20 do -- from 1e-3 at 1/4 to 1 at the end
        local want = (4 - (i - 1) / 100) / 3
        assert.is_true(math.abs(height(p, image.area, (i - 1) / 400) - want) < 0.01)
      end
    end)

  it('refuses a logarithm of nothing, and what is no probability', function()
    local _, err, code = plot.line({0, -1}, {log = true})
    assert.same({'plot.line: nothing above 0 to draw on a log axis', 'value'}, {err, code})
    _, err, code = plot.eos {0, 0}
    assert.same({'plot.eos: nothing above 0 to draw on a log axis', 'value'}, {err, code})
    misuse('probability: expected a number from 0 to', function()
      local x = plot.eos {0.5, 1.5}
      return x
    end)
  end)
end)

describe('a heat map', function()
  local values = {{0, 1, 2}, {3, 4, 5}}

  it('colours each cell between the least and the greatest value, rows downwards', function()
    for _, given in ipairs {values, ag.tensor(be, values), ag.tensor(be, values, 'i32')} do
      local image = assert(plot.heat(given))
      local p = decoded(image)
      for r, row in ipairs(values) do
        for c, v in ipairs(row) do
          assert.equal(hex(colour.map(v / 5)), cell(p, image.area, r - 1, c - 1, 2, 3))
        end
      end
    end
    local image = assert(plot.heat(values, {up = true}))
    assert.equal(hex(colour.map(0)), cell(decoded(image), image.area, 1, 0, 2, 3))
  end)

  it('has the ends and the logarithm that it is given', function()
    local image = assert(plot.heat(values, {lo = -5, hi = 10}))
    assert.equal(hex(colour.map(8 / 15)), cell(decoded(image), image.area, 1, 0, 2, 3))
    image = assert(plot.heat({{1, 10}, {1000, 0}}, {log = true}))
    local p = decoded(image)
    assert.equal(hex(colour.map(1 / 3)), cell(p, image.area, 0, 1, 2, 2))
    assert.equal(hex(colour.map(0)), cell(p, image.area, 1, 1, 2, 2))
    assert.is_truthy(plot.heat {{7, 7}})
  end)

  it('shows the mean where cells are smaller than pixels', function()
    local big = ag.zeros(be, {1400, 2})
    for r = 2, 1400, 2 do big[r] = 1 end
    local image = assert(plot.heat(big))
    assert.equal(700, image.area.height)
    assert.equal(hex(colour.map(0.5)), decoded(image):at(image.area.x + 9, image.area.y + 300))
  end)

  it('refuses what is no matrix', function()
    misuse('expected 2 dimensions', function()
      local x = plot.heat(ag.zeros(be, {2}))
      return x
    end)
    misuse('lo must be below hi', function()
      local x = plot.heat(values, {lo = 9})
      return x
    end)
    local _, err, code = plot.heat({{0, -1}}, {log = true})
    assert.same({'plot.heat: nothing above 0 to draw with log', 'value'}, {err, code})
    _, err = plot.heat {{1, 2}, {3, 1 / 0}}
    assert.equal('plot.heat: values[2][2] is infinite', err)
  end)
end)

describe('a histogram', function()
  -- Heights of the bars, as parts of the greatest.
  local function bars(image, n)
    local p, a, list, most = decoded(image), image.area, {}, 0
    for b = 1, n do
      local first, last = p:extent(a.x + math.floor((b - 0.5) / n * a.width), a)
      list[b] = first and last - first + 1 or 0
      most = math.max(most, list[b])
    end
    for b = 1, n do list[b] = list[b] / most end
    return list
  end

  it('has bars as high as their values are many; the last one has the end, too', function()
    local given = {0, 0.1, 0.2, 1.5, 2, 3, 3.5, 4}
    local x = ag.tensor(be, given)
    for _, values in ipairs {given, x, x:view(2, 4)} do
      assert.near({1, 1 / 3, 1 / 3, 1}, bars(assert(plot.histogram(values, {bins = 4})), 4), 0.01)
    end
    assert.near({0, 1, 0.5}, bars(assert(plot.histogram({1, 1, 2, 9}, {bins = 3, lo = 0.5,
      hi = 2})), 3), 0.01) -- 9 is beyond
  end)

  it('chooses its bars by how many values there are', function()
    local values = {}
    for i = 1, 900 do values[i] = i end
    local image = assert(plot.histogram(values))
    assert.equal(decoded(plot.histogram(values, {bins = 30})).data, decoded(image).data)
    assert.is_truthy(plot.histogram {5})
  end)

  it('refuses what it cannot count', function()
    local _, err, code = plot.histogram {1, 0 / 0}
    assert.same({'plot.histogram: values[2] is not a number', 'value'}, {err, code})
    _, err = plot.histogram {}
    assert.equal('plot.histogram: values: nothing to draw', err)
    misuse('bins: expected an integer from 1 to 1000, got 0', function()
      local x = plot.histogram({1}, {bins = 0})
      return x
    end)
  end)
end)

describe('saving a picture', function()
  local dir

  before_each(function()
    dir = os.tmpname()
    os.remove(dir)
    assert(lfs.mkdir(dir))
  end)

  after_each(function() os.execute('rm -rf ' .. dir) end)

  local function names()
    local list = {}
    for name in lfs.dir(dir) do
      if name:sub(1, 1) ~= '.' then list[#list + 1] = name end
    end
    table.sort(list)
    return table.concat(list, ' ')
  end

  it('writes one PNG file, in the place of what was there', function()
    local image = assert(plot.line {1, 2, 3})
    local f = assert(io.open(dir .. '/a.PNG', 'w'))
    f:write 'old'
    f:close()
    assert(image:save(dir .. '/a.PNG'))
    assert.equal('a.PNG', names())
    assert.equal(image.width, png.read(dir .. '/a.PNG').width)
    assert(lfs.link('a.PNG', dir .. '/link.png', true))
    assert(plot.line {2, 1}:save(dir .. '/link.png'))
    assert.equal('link', lfs.symlinkattributes(dir .. '/link.png', 'mode'))
  end)

  it('refuses another format, and a place that cannot be written', function()
    local image = assert(plot.line {1, 2})
    local _, err, code = image:save(dir .. '/a.jpg')
    assert.equal('usage', code)
    assert.equal(dir .. "/a.jpg: unknown picture format '.jpg'; pictures are .png", err)
    _, err = image:save(dir .. '/a')
    assert.equal(dir .. '/a: no extension says the picture format; pictures are .png', err)
    _, err, code = image:save(dir .. '/no/a.png')
    assert.equal('io', code)
    assert.equal(dir .. '/no/a.png: cannot write: No such file or directory', err)
    assert(lfs.mkdir(dir .. '/dir.png'))
    _, err, code = image:save(dir .. '/dir.png')
    assert.equal('io', code)
    assert.is_truthy(err:find('is a directory', 1, true))
    _, err, code = image:save('a\0b.png')
    assert.equal('io', code)
    assert.is_truthy(err:find('zero byte', 1, true))
    misuse('save: path: expected a string, got nil', function() image:save() end)
    assert.equal('dir.png', names())
  end)
end)
