-- Curves: one or several numbers over another.

local check = require 'argent.check'
local colour = require 'argent.plot.colour'
local data = require 'argent.plot.data'
local figure = require 'argent.plot.figure'
local scale = require 'argent.plot.scale'
local strokes = require 'argent.plot.strokes'
local tensor = require 'argent.tensor'

local M = {}

local WIDTH, HEIGHT = 1000, 360
-- A log axis has at most so many decades.
local DECADES = 12

-- One curve: its n values, and where they stand (xs [n]; nil: at 1, 2, ..., n).
---@class argent.plot.Curve
---@field values ffi.cdata*
---@field xs ffi.cdata*|number[]?
---@field n integer

-- What f gives for all positions, or all values, of the curves: the least and the greatest.
local function range(curves, f)
  local lo, hi = math.huge, -math.huge
  for _, c in ipairs(curves) do
    for i = 0, c.n - 1 do
      local v = f(c, i)
      if v then lo, hi = math.min(lo, v), math.max(hi, v) end
    end
  end
  return lo, hi
end

local function position(c, i) return c.xs and c.xs[i] or i + 1 end

-- The y axis; nil where a logarithmic one has nothing to show.
local function y_scale(curves, opts)
  local lo, hi = range(curves, function(c, i)
    local v = c.values[i]
    return (not opts.log or v > 0) and v or nil
  end)
  if not opts.log then
    local a, b = scale.widen(opts.lo or lo, opts.hi or hi)
    return scale.linear(opts.lo or a, opts.hi or b)
  end
  if hi < 0 then return nil end
  hi = opts.hi or hi
  return scale.log(opts.lo or math.max(lo, hi * 10 ^ -DECADES), hi)
end

-- What stands for the curves in the legend.
local function legend_of(labels)
  if not labels then return nil end
  local legend = {}
  for i, label in ipairs(labels) do
    local c, dash = colour.curve(i)
    legend[i] = {label = label, colour = c, dash = dash, pen = strokes.PEN}
  end
  return legend
end

-- A picture of curves, from checked options.
local function draw(curves, opts, name)
  local y = y_scale(curves, opts)
  if not y then return nil, name .. ': nothing above 0 to draw on a log axis', 'value' end
  local first, last = range(curves, position)
  if first == last then last = first + 1 end
  local whole = true
  for _, c in ipairs(curves) do whole = whole and not c.xs end
  local spec = {
    title = opts.title, legend = legend_of(opts.labels),
    x = {label = opts.xlabel, scale = scale.linear(first, last, {integer = whole})},
    y = {label = opts.ylabel, scale = y},
  }
  local size, err, code = figure.size(spec, opts, name, WIDTH, HEIGHT, 2)
  if not size then return nil, err, code end
  return figure.draw(spec, size.area_width, size.area_height, function(page, area)
    figure.grid(page, area, spec)
    for k, c in ipairs(curves) do
      local px, py = {}, {}
      for i = 1, c.n do
        local v = c.values[i - 1]
        px[i] = area.x + 0.5 + spec.x.scale.at(position(c, i - 1)) * (area.width - 1)
        if not opts.log or v > 0 then
          py[i] = area.y + 0.5 + (1 - math.max(0, math.min(1, y.at(v)))) * (area.height - 1)
        end
      end
      local ink, dash = colour.curve(k)
      strokes.draw(page, area, px, py, c.n, ink, dash)
    end
  end, size)
end

-- Ascending positions along x, as many as there are values; `level` as in data.of.
local function positions(x, n, name, level)
  if x == nil then return nil end
  local xs, shape = data.of(x, name, {1}, level)
  if not xs then error(shape, level + 2) end
  if shape[1] ~= n then error(('%s: %d for %d values'):format(name, shape[1], n), level + 2) end
  for i = 1, n - 1 do
    if xs[i] < xs[i - 1] then error(name .. ': they must not go back', level + 2) end
  end
  return xs
end

-- Lists of lists, and a tensor's rows, are several.
local function parts(v)
  if tensor.is(v) then
    if #v.shape < 2 then return nil end
    local list = {}
    for i = 1, v.shape[1] do list[i] = v[i] end
    return list
  end
  return type(v) == 'table' and (type(v[1]) == 'table' or tensor.is(v[1])) and v or nil
end

-- The curves among the arguments of plot.line.
local function curves_of(values, x)
  local several, places, curves = parts(values), parts(x), {}
  for i = 1, several and #several or 1 do
    local v = values
    if several then v = several[i] end
    local name = several and ('plot.line: values[%d]'):format(i) or 'plot.line: values'
    local host, shape, code = data.of(v, name, {1}, 1)
    if not host then return nil, shape, code end
    local at, at_name = x, 'plot.line: x'
    if places then at, at_name = places[i], ('plot.line: x[%d]'):format(i) end
    curves[i] = {values = host, n = shape[1], xs = positions(at, shape[1], at_name, 2)}
  end
  return curves
end

-- Names for the legend: those given, else numbers where there are several curves.
local function labels_of(labels, n)
  if labels == nil and n == 1 then return nil end
  local list = {}
  if labels ~= nil then
    check.type(labels, 'plot.line: labels', 'table', 1)
    if #labels ~= n then
      error(('plot.line: labels: %d for %d curves'):format(#labels, n), 3)
    end
  end
  for i = 1, n do
    list[i] = labels and check.type(labels[i], 'plot.line: labels', 'string', 1) or tostring(i)
  end
  return list
end

local LINE = {'x', 'labels', 'xlabel', 'ylabel', 'title', 'width', 'height', 'log', 'lo', 'hi'}

--- One curve or several.
---@param values ag.Tensor|number[]|(ag.Tensor|number[])[] [n], or a list of such, of any lengths,
---or [curves, n]
---@param opts? {x: number[]?, labels: string[]?, xlabel: string?, ylabel: string?, title: string?,
---width: integer?, height: integer?, log: boolean?, lo: number?, hi: number?} x: where the values
---stand, ascending, default 1, 2, 3, ...: for all curves, or a list for each; labels: the curves'
---names in the legend, default their numbers where there are several; log: a logarithmic y axis, on
---which values of 0 and below are gaps; lo, hi: ends of the y axis
---@return ag.Image?
---@return string? err
---@return string? code 'value': no values, one that is not a number, or none above 0 with log;
---'usage': a size too small; 'unsupported': cairo or a font is missing
function M.line(values, opts)
  opts = check.options(opts, 'plot.line', LINE)
  local curves, err, code = curves_of(values, opts.x)
  if not curves then return nil, err, code end
  local o = {
    title = figure.title(opts, 'plot.line'), width = opts.width, height = opts.height,
    log = opts.log, lo = opts.lo, hi = opts.hi, labels = labels_of(opts.labels, #curves),
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
  local image
  image, err, code = draw(curves, o, 'plot.line')
  return image, err, code
end

--- The probability of the end token over time, one value for each draw of a frame.
---@param probabilities ag.Tensor|number[] [n] 0 to 1; 0 (the end is not allowed yet) is a gap
---@param opts? {rate: number?, times: number[]?, title: string?, width: integer?, height: integer?}
---rate: frames a second, default 12.5; times: of the draws, in s, where they are not one a frame
---@return ag.Image?
---@return string? err
---@return string? code 'value', 'usage', 'unsupported'
function M.eos(probabilities, opts)
  opts = check.options(opts, 'plot.eos', {'rate', 'times', 'title', 'width', 'height'})
  local rate = check.number(opts.rate or 12.5, 'plot.eos: rate', 1e-3, 1e6)
  local host, shape, code = data.of(probabilities, 'plot.eos: probabilities', {1})
  if not host then return nil, shape, code end
  local n = shape[1]
  for i = 0, n - 1 do check.number(host[i], 'plot.eos: probability', 0, 1 + 1e-5) end
  local times = positions(opts.times, n, 'plot.eos: times', 1)
  if not times then
    times = {}
    for i = 0, n - 1 do times[i] = i / rate end
  end
  local image, err
  image, err, code = draw({{values = host, n = n, xs = times}}, {
    title = figure.title(opts, 'plot.eos'), width = opts.width, height = opts.height, log = true,
    hi = 1, xlabel = 'time (s)', ylabel = 'probability of the end token',
  }, 'plot.eos')
  return image, err, code
end

return M
