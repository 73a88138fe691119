-- Pictures of one number over time: waveforms and curves.

local check = require 'argent.check'
local colour = require 'argent.plot.colour'
local data = require 'argent.plot.data'
local figure = require 'argent.plot.figure'
local scale = require 'argent.plot.scale'

local M = {}

local WIDTH, WAVE_HEIGHT, CURVE_HEIGHT = 1000, 300, 360
-- Up to so many points are marked one by one; a log axis has at most so many decades.
local DOTS, DECADES = 160, 12
-- Samples a column from which on their range is drawn and no longer the line through them.
local PER_COLUMN = 8
local PEN, DOT = 1.8, 5

-- More samples than columns: each column's range, joined to the column before, and within it the
-- root mean square.
local function envelope(c, area, y_of, samples, n)
  for column = 0, area.width - 1 do
    local first = math.max(0, math.floor(column * n / area.width) - 1)
    local last = math.floor((column + 1) * n / area.width) - 1
    local lo, hi, sum = math.huge, -math.huge, 0
    for i = first, last do
      local v = samples[i]
      lo, hi, sum = math.min(lo, v), math.max(hi, v), sum + v * v
    end
    local rms = math.sqrt(sum / (last - first + 1))
    local top, bottom = y_of(hi), y_of(lo)
    if bottom - top < 1 then -- silence is a line, too
      top = math.max(area.y, math.min(area.y + area.height - 1, (top + bottom - 1) / 2))
      c:bar(area.x + column, top, top + 1, colour.line)
    else
      c:bar(area.x + column, top, bottom, colour.pale)
      c:bar(area.x + column, y_of(math.min(rms, hi)), y_of(math.max(-rms, lo)), colour.line)
    end
  end
end

-- The points as strokes; a point without a place (nil) interrupts the line.
local function curve(c, area, xs, ys, n)
  local strokes, stroke = {}, nil
  for i = 1, n do
    if ys[i] then
      if not stroke then
        stroke = {}
        strokes[#strokes + 1] = stroke
      end
      stroke[#stroke + 1], stroke[#stroke + 2] = xs[i], ys[i]
    else
      stroke = nil
    end
  end
  -- Marks on the edge are whole.
  local clip = {x = area.x - 3, y = area.y - 3, width = area.width + 6, height = area.height + 6}
  c:stroke(strokes, colour.line, PEN, clip)
  if n <= DOTS then
    local dots = {}
    for i = 1, n do
      if ys[i] then dots[#dots + 1] = {xs[i], ys[i]} end
    end
    c:stroke(dots, colour.line, DOT, clip)
  end
end

--- The waveform of a sound. Where a pixel holds many samples it shows their range (pale) and their
--- root mean square (dark).
---@param samples ag.Tensor|number[] [n]
---@param opts? {rate: integer?, title: string?, width: integer?, height: integer?, limit: number?}
---rate: samples a second, default 24000; width, height: of the picture, pixels; limit: the end of
---the amplitude axis, default the next round number above the peak
---@return ag.Image?
---@return string? err
---@return string? code 'value': no samples, or one that is not a number; 'usage': a size too small
function M.waveform(samples, opts)
  opts = check.options(opts, 'plot.waveform', {'rate', 'title', 'width', 'height', 'limit'})
  local rate = check.number(opts.rate or 24000, 'plot.waveform: rate', 1, 1e9)
  local values, shape, code = data.of(samples, 'plot.waveform: samples', {1})
  if not values then return nil, shape, code end
  local n, peak = shape[1], 0
  for i = 0, n - 1 do peak = math.max(peak, math.abs(values[i])) end
  local limit = opts.limit and check.number(opts.limit, 'plot.waveform: limit', 1e-9, 1e9)
    or select(2, scale.widen(0, math.max(peak, 1e-9)))
  local spec = {
    title = figure.title(opts, 'plot.waveform'),
    x = {label = 'time (s)', scale = scale.linear(0, n / rate)},
    y = {label = 'amplitude (1 = full scale)', scale = scale.linear(-limit, limit)},
  }
  local size, err
  size, err, code = figure.size(spec, opts, 'plot.waveform', WIDTH, WAVE_HEIGHT, 1)
  if not size then return nil, err, code end
  local w = size.area_width
  return figure.draw(spec, w, size.area_height, function(c, area)
    figure.grid(c, area, spec)
    local function y_of(v)
      return area.y + math.max(0, math.min(1, 1 - spec.y.scale.at(v))) * area.height
    end
    if n > PER_COLUMN * w then return envelope(c, area, y_of, values, n) end
    local xs, ys = {}, {}
    for i = 1, n do
      xs[i], ys[i] = area.x + (i - 0.5) / n * w, y_of(values[i - 1])
    end
    curve(c, area, xs, ys, n)
  end, size)
end

-- The y axis of a curve.
local function y_scale(values, n, opts)
  local lo, hi = math.huge, -math.huge
  for i = 0, n - 1 do
    if not opts.log or values[i] > 0 then
      lo, hi = math.min(lo, values[i]), math.max(hi, values[i])
    end
  end
  if not opts.log then
    local a, b = scale.widen(opts.lo or lo, opts.hi or hi)
    return scale.linear(opts.lo or a, opts.hi or b)
  end
  if hi < 0 then return nil end
  hi = opts.hi or hi
  return scale.log(opts.lo or math.max(lo, hi * 10 ^ -DECADES), hi)
end

-- A curve from checked options.
local function draw(values, n, xs, opts, name)
  local y = y_scale(values, n, opts)
  if not y then return nil, name .. ': nothing above 0 to draw on a log axis', 'value' end
  local first, last = xs and xs[0] or 0, xs and xs[n - 1] or n - 1
  if first == last then last = first + 1 end
  local spec = {
    title = opts.title,
    x = {label = opts.xlabel, scale = scale.linear(first, last, {integer = not xs})},
    y = {label = opts.ylabel, scale = y},
  }
  local size, err, code = figure.size(spec, opts, name, WIDTH, CURVE_HEIGHT, 2)
  if not size then return nil, err, code end
  return figure.draw(spec, size.area_width, size.area_height, function(c, area)
    figure.grid(c, area, spec)
    local px, py = {}, {}
    for i = 1, n do
      local v = values[i - 1]
      px[i] = area.x + 0.5 + spec.x.scale.at(xs and xs[i - 1] or i - 1) * (area.width - 1)
      if not opts.log or v > 0 then
        py[i] = area.y + 0.5 + (1 - math.max(0, math.min(1, y.at(v)))) * (area.height - 1)
      end
    end
    curve(c, area, px, py, n)
  end, size)
end

-- Ascending positions along x, as many as there are values.
local function positions(x, n, name)
  if x == nil then return nil end
  local xs, shape = data.of(x, name, {1}, 1)
  if not xs then error(shape, 3) end
  if shape[1] ~= n then error(('%s: %d for %d values'):format(name, shape[1], n), 3) end
  for i = 1, n - 1 do
    if xs[i] < xs[i - 1] then error(name .. ': they must not go back', 3) end
  end
  return xs
end

local LINE = {'x', 'xlabel', 'ylabel', 'title', 'width', 'height', 'log', 'lo', 'hi'}

--- A curve.
---@param values ag.Tensor|number[] [n]
---@param opts? {x: number[]?, xlabel: string?, ylabel: string?, title: string?, width: integer?,
---height: integer?, log: boolean?, lo: number?, hi: number?} x: where the values stand, ascending,
---default 0, 1, 2, ...; log: a logarithmic y axis, on which values of 0 and below are gaps; lo, hi:
---ends of the y axis
---@return ag.Image?
---@return string? err
---@return string? code 'value': no values, one that is not a number, or none above 0 with log;
---'usage': a size too small
function M.line(values, opts)
  opts = check.options(opts, 'plot.line', LINE)
  local host, shape, code = data.of(values, 'plot.line: values', {1})
  if not host then return nil, shape, code end
  local xs = positions(opts.x, shape[1], 'plot.line: x')
  local o = {
    title = figure.title(opts, 'plot.line'), width = opts.width, height = opts.height,
    log = opts.log, lo = opts.lo, hi = opts.hi,
    xlabel = check.type(opts.xlabel or 'index', 'plot.line: xlabel', 'string'),
    ylabel = check.type(opts.ylabel or 'value', 'plot.line: ylabel', 'string'),
  }
  if opts.log then
    if opts.lo then check.number(opts.lo, 'plot.line: lo', 1e-300) end
    if opts.hi then check.number(opts.hi, 'plot.line: hi', 1e-300) end
  end
  if opts.lo and opts.hi and check.number(opts.lo, 'plot.line: lo')
    >= check.number(opts.hi, 'plot.line: hi') then
    error('plot.line: lo must be below hi', 2)
  end
  local image, err
  image, err, code = draw(host, shape[1], xs, o, 'plot.line')
  return image, err, code
end

--- The probability of the end token over time, one value for each draw of a frame.
---@param probabilities ag.Tensor|number[] [n] 0 to 1; 0 (the end is not allowed yet) is a gap
---@param opts? {rate: number?, times: number[]?, title: string?, width: integer?, height: integer?}
---rate: frames a second, default 12.5; times: of the draws, in s, where they are not one a frame
---@return ag.Image?
---@return string? err
---@return string? code 'value', 'usage'
function M.eos(probabilities, opts)
  opts = check.options(opts, 'plot.eos', {'rate', 'times', 'title', 'width', 'height'})
  local rate = check.number(opts.rate or 12.5, 'plot.eos: rate', 1e-3, 1e6)
  local host, shape, code = data.of(probabilities, 'plot.eos: probabilities', {1})
  if not host then return nil, shape, code end
  local n = shape[1]
  for i = 0, n - 1 do check.number(host[i], 'plot.eos: probability', 0, 1 + 1e-5) end
  local times = positions(opts.times, n, 'plot.eos: times')
  if not times then
    times = {}
    for i = 0, n - 1 do times[i] = i / rate end
  end
  local image, err
  image, err, code = draw(host, n, times, {
    title = figure.title(opts, 'plot.eos'), width = opts.width, height = opts.height, log = true,
    hi = 1, xlabel = 'time (s)', ylabel = 'probability of the end token',
  }, 'plot.eos')
  return image, err, code
end

return M
