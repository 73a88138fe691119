-- The picture of a sound's samples.

local check = require 'argent.check'
local colour = require 'argent.plot.colour'
local data = require 'argent.plot.data'
local figure = require 'argent.plot.figure'
local scale = require 'argent.plot.scale'
local strokes = require 'argent.plot.strokes'

local WIDTH, HEIGHT = 1000, 300
-- Samples a column from which on their range is drawn and no longer the line through them.
local PER_COLUMN = 8

-- More samples than columns: each column's range, joined to the column before, and within it the
-- root mean square.
local function envelope(page, area, y_of, samples, n)
  local function bar(x, top, bottom, c) page:box(area.x + x, top, 1, bottom - top, c) end
  for x = 0, area.width - 1 do
    local first = math.max(0, math.floor(x * n / area.width) - 1)
    local last = math.floor((x + 1) * n / area.width) - 1
    local lo, hi, sum = math.huge, -math.huge, 0
    for i = first, last do
      local v = samples[i]
      lo, hi, sum = math.min(lo, v), math.max(hi, v), sum + v * v
    end
    local rms = math.sqrt(sum / (last - first + 1))
    local top, bottom = y_of(hi), y_of(lo)
    if bottom - top < 1 then -- silence is a line, too
      top = math.max(area.y, math.min(area.y + area.height - 1, (top + bottom - 1) / 2))
      bar(x, top, top + 1, colour.line)
    else
      bar(x, top, bottom, colour.pale)
      bar(x, y_of(math.min(rms, hi)), y_of(math.max(-rms, lo)), colour.line)
    end
  end
end

local M = {}

--- The waveform of a sound. Where a pixel holds many samples it shows their range (pale) and their
--- root mean square (dark).
---@param samples ag.Tensor|number[] [n]
---@param opts? {rate: integer?, title: string?, width: integer?, height: integer?, limit: number?}
---rate: samples a second, default 24000; width, height: of the picture, pixels; limit: the end of
---the amplitude axis, default the next round number above the peak
---@return ag.Image?
---@return string? err
---@return string? code 'value': no samples, or one that is not a number; 'usage': a size too small;
---'unsupported': cairo or a font is missing
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
  size, err, code = figure.size(spec, opts, 'plot.waveform', WIDTH, HEIGHT, 1)
  if not size then return nil, err, code end
  local w = size.area_width
  return figure.draw(spec, w, size.area_height, function(page, area)
    figure.grid(page, area, spec)
    local function y_of(v)
      return area.y + math.max(0, math.min(1, 1 - spec.y.scale.at(v))) * area.height
    end
    if n > PER_COLUMN * w then return envelope(page, area, y_of, values, n) end
    local xs, ys = {}, {}
    for i = 1, n do
      xs[i], ys[i] = area.x + (i - 0.5) / n * w, y_of(values[i - 1])
    end
    strokes.draw(page, area, xs, ys, n, colour.line)
  end, size)
end

return M
