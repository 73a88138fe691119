-- The picture of a matrix of one's own.

local check = require 'argent.check'
local data = require 'argent.plot.data'
local figure = require 'argent.plot.figure'
local heat = require 'argent.plot.heat'
local scale = require 'argent.plot.scale'

local M = {}

-- Pixels of the longer side, and of the shorter one at least.
local LONG, SHORT = 700, 120
-- A logarithmic map shows at most so many decades.
local DECADES = 12

local HEAT = {'xlabel', 'ylabel', 'label', 'title', 'width', 'height', 'log', 'lo', 'hi', 'up'}

--- A matrix as colours, rows downwards, both counted from 1. Where cells are smaller than pixels, a
--- pixel shows their mean.
---@param values ag.Tensor|number[][] [rows, columns]
---@param opts? {xlabel: string?, ylabel: string?, label: string?, title: string?, width: integer?,
---height: integer?, log: boolean?, lo: number?, hi: number?, up: boolean?} label: what the colours
---mean; log: logarithmic colours, where values of 0 and below have the lowest; lo, hi: ends of the
---colours, default those of the values; up: rows upwards
---@return ag.Image?
---@return string? err
---@return string? code 'value': no values, one that is not a number, or none above 0 with log;
---'usage': a size too small; 'unsupported': cairo or a font is missing
function M.heat(values, opts)
  opts = check.options(opts, 'plot.heat', HEAT)
  local host, shape, code = data.of(values, 'plot.heat: values', {2})
  if not host then return nil, shape, code end
  local rows, columns, lo, hi = shape[1], shape[2], math.huge, -math.huge
  for i = 0, rows * columns - 1 do
    local v = host[i]
    if not opts.log or v > 0 then lo, hi = math.min(lo, v), math.max(hi, v) end
  end
  if lo > hi then return nil, 'plot.heat: nothing above 0 to draw with log', 'value' end
  lo, hi = figure.ends(opts, 'plot.heat', lo, hi)
  if opts.log then check.number(lo, 'plot.heat: lo', 1e-300) end
  local colours = opts.log and scale.log(math.max(lo, hi * 10 ^ -DECADES), hi)
    or scale.linear(lo, hi)
  local function text(name, default)
    return check.type(opts[name] or default, 'plot.heat: ' .. name, 'string', 1)
  end
  local spec = {
    title = figure.title(opts, 'plot.heat'),
    x = {label = text('xlabel', 'column'), scale = scale.cells(columns, 1)},
    y = {label = text('ylabel', 'row'), scale = scale.cells(rows, 1), down = not opts.up},
    bar = {label = text('label', 'value'), scale = colours},
  }
  local cell = LONG / math.max(rows, columns)
  local function side(n) return math.max(SHORT, math.floor(cell * n)) end
  local image, err
  image, err, code = heat.picture(spec, opts, 'plot.heat', side(columns), side(rows), {
    data = host, rows = rows, columns = columns, pool = 'mean', up = opts.up,
    at = function(v) return (not opts.log or v > 0) and colours.at(v) or 0 end,
  })
  return image, err, code
end

return M
