-- The way of a voice through its text: which token was spoken when.

local check = require 'argent.check'
local colour = require 'argent.plot.colour'
local data = require 'argent.plot.data'
local ffi = require 'ffi'
local figure = require 'argent.plot.figure'
local heat = require 'argent.plot.heat'
local scale = require 'argent.plot.scale'

local M = {}

local WIDTH, ROW = 1000, 18
local DECADES = 3

-- The way as a mark in each frame's cell.
local function mark(page, area, path, rows)
  local w, h = area.width / #path, area.height / rows
  local size = math.max(2, math.floor(math.min(w, h) / 2))
  for f, token in ipairs(path) do
    page:box(math.floor(area.x + (f - 0.5) * w - size / 2),
      math.floor(area.y + (token - 0.5) * h - size / 2), size, size, colour.mark)
  end
end

--- What a talker attended to in its text while it spoke, frame by frame (across), and the way that
--- word times are read from.
---@param way {weights: number[][], path: integer[], words: {text: string, token: integer}[]} an
---entry of ag.Alignment.paths: attention [frames, tokens], the token of each frame from 1, and
---where each word begins
---@param opts? {rate: number?, title: string?, width: integer?, height: integer?} rate: frames a
---second, default 12.5
---@return ag.Image?
---@return string? err
---@return string? code 'value': nothing to draw; 'usage': a size too small
function M.alignment(way, opts)
  opts = check.options(opts, 'plot.alignment', {'rate', 'title', 'width', 'height'})
  check.type(way, 'plot.alignment: way', 'table')
  local rate = check.number(opts.rate or 12.5, 'plot.alignment: rate', 1e-3, 1e6)
  local values, shape, code = data.of(way.weights, 'plot.alignment: weights', {2})
  if not values then return nil, shape, code end
  local frames, tokens = shape[1], shape[2]
  local turned = ffi.new('float[?]', frames * tokens) -- the picture has tokens as rows
  for f = 0, frames - 1 do
    for j = 0, tokens - 1 do turned[j * frames + f] = values[f * tokens + j] end
  end
  local ticks = {}
  for i = #way.words, 1, -1 do
    ticks[#ticks + 1] = {at = 1 - (way.words[i].token - 0.5) / tokens, text = way.words[i].text}
  end
  local range = scale.log(10 ^ -DECADES, 1)
  local spec = {
    title = figure.title(opts, 'plot.alignment'),
    x = {label = 'time (s)', scale = scale.linear(0, frames / rate)},
    y = {label = 'text', ticks = ticks},
    bar = {label = 'attention to the token', scale = range},
  }
  local image, err
  image, err, code = heat.picture(spec, opts, 'plot.alignment', WIDTH, tokens * ROW, {
    data = turned, rows = tokens, columns = frames, pool = 'max',
    at = function(v) return v > 0 and range.at(v) or 0 end,
  }, function(page, area) mark(page, area, way.path, tokens) end)
  return image, err, code
end

return M
