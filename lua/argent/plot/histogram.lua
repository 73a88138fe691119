-- The picture of how often values occur.

local check = require 'argent.check'
local colour = require 'argent.plot.colour'
local data = require 'argent.plot.data'
local ffi = require 'ffi'
local figure = require 'argent.plot.figure'
local scale = require 'argent.plot.scale'
local tensor = require 'argent.tensor'

local M = {}

local WIDTH, HEIGHT = 1000, 360
-- Bars, where the caller does not say: about the square root of how many numbers there are.
local FEWEST, MOST = 10, 200
-- Bars that are narrower than this touch each other.
local GAP_FROM = 6

local HISTOGRAM = {'bins', 'lo', 'hi', 'xlabel', 'ylabel', 'title', 'width', 'height'}

-- How many numbers lie in each of `bins` equal parts of lo to hi; the last one holds hi, too. What
-- is outside is not counted.
local function count(host, n, lo, hi, bins)
  local counts = ffi.new('int32_t[?]', bins)
  for i = 0, n - 1 do
    local v = host[i]
    if v >= lo and v <= hi then
      local b = math.min(bins - 1, math.floor((v - lo) / (hi - lo) * bins))
      counts[b] = counts[b] + 1
    end
  end
  return counts
end

--- How often values occur: bars over equal ranges.
---@param values ag.Tensor|number[] of any shape; as a table [n]
---@param opts? {bins: integer?, lo: number?, hi: number?, xlabel: string?, ylabel: string?, title:
---string?, width: integer?, height: integer?} bins: bars, 1 to 1000, default by how many values
---there are; lo, hi: ends of the x axis, default those of the values; what is beyond is left out
---@return ag.Image?
---@return string? err
---@return string? code 'value': no values, or one that is not a number; 'usage': a size too small;
---'unsupported': cairo or a font is missing
function M.histogram(values, opts)
  opts = check.options(opts, 'plot.histogram', HISTOGRAM)
  if tensor.is(values) then values = values:contiguous():view(-1) end
  local host, shape, code = data.of(values, 'plot.histogram: values', {1})
  if not host then return nil, shape, code end
  local n, lo, hi = shape[1], math.huge, -math.huge
  for i = 0, n - 1 do lo, hi = math.min(lo, host[i]), math.max(hi, host[i]) end
  lo, hi = figure.ends(opts, 'plot.histogram', lo, hi)
  local bins = check.int(opts.bins or math.max(FEWEST, math.min(MOST, math.ceil(math.sqrt(n)))),
    'plot.histogram: bins', 1, 1000)
  local counts, most = count(host, n, lo, hi, bins), 1
  for b = 0, bins - 1 do most = math.max(most, counts[b]) end
  local spec = {
    title = figure.title(opts, 'plot.histogram'),
    x = {
      label = check.type(opts.xlabel or 'value', 'plot.histogram: xlabel', 'string'),
      scale = scale.linear(lo, hi),
    },
    y = {
      label = check.type(opts.ylabel or 'count', 'plot.histogram: ylabel', 'string'),
      scale = scale.linear(0, select(2, scale.widen(0, most)), {integer = true}),
    },
  }
  local size, err
  size, err, code = figure.size(spec, opts, 'plot.histogram', WIDTH, HEIGHT, 1)
  if not size then return nil, err, code end
  return figure.draw(spec, size.area_width, size.area_height, function(page, area)
    figure.grid(page, area, spec)
    local width = area.width / bins
    local gap = width >= GAP_FROM and 1 or 0
    for b = 0, bins - 1 do
      local height = spec.y.scale.at(counts[b]) * area.height
      page:box(area.x + b * width, area.y + area.height - height, width - gap, height, colour.line)
    end
  end, size)
end

return M
