-- Pictures of matrices: mel spectrograms, attention maps, codes.

local Page = require 'argent.plot.page'
local backend = require 'argent.backend'
local check = require 'argent.check'
local colour = require 'argent.plot.colour'
local data = require 'argent.plot.data'
local ffi = require 'ffi'
local figure = require 'argent.plot.figure'
local heat = require 'argent.plot.heat'
local mel = require 'argent.audio.mel'
local resample = require 'argent.audio.resample'
local scale = require 'argent.plot.scale'
local tensor = require 'argent.tensor'

local M = {}

local WIDTH = 1000
local MEL_ROW, CODE_ROW, SQUARE = 3, 24, 700
-- What a picture of sound shows below the loudest cell.
local RANGE_DB = 80
-- Decades that a logarithmic map of attention shows.
local DECADES = 4
local DB = 20 / math.log(10)
local HZ = {100, 250, 500, 1000, 1500, 2000, 3000, 4000, 6000, 8000, 12000}

-- Labels for the frequencies: band b (from 0) peaks at b + 1 of the BANDS + 1 steps that the mel
-- scale is cut into, and that is the middle of its row.
local function frequency_ticks()
  local ticks = {}
  for _, hz in ipairs(HZ) do
    local step = mel.from_hz(hz) / mel.from_hz(mel.HIGHEST) * (mel.BANDS + 1)
    ticks[#ticks + 1] = {at = math.min(1, (step - 0.5) / mel.BANDS), text = ('%d'):format(hz)}
  end
  return ticks
end

-- Log magnitudes [T, bands] of a sound of any rate.
local function analyse(samples, rate)
  if not tensor.is(samples) then
    samples = tensor.from(assert(backend.open('cpu', {threads = 1})), samples)
  end
  local err, code
  if rate ~= mel.RATE then
    samples, err, code = resample.resample(samples, rate, mel.RATE)
    if not samples then return nil, err, code end
  end
  return mel.spectrogram(samples)
end

--- The mel spectrogram of a sound, as the speaker encoder hears it: 128 bands up to 12 kHz, a
--- column every 256 samples at 24 kHz; down to 80 dB below the loudest.
---@param samples ag.Tensor|number[] f32 [n], more than 384 at 24 kHz
---@param opts? {rate: integer?, title: string?, width: integer?, height: integer?} rate: samples a
---second, 8000 to 192000, default 24000; others are resampled
---@return ag.Image?
---@return string? err
---@return string? code 'value': too short, or a sample that is not a number; 'usage': a size too
---small; 'unsupported': a library is missing
function M.mel(samples, opts)
  opts = check.options(opts, 'plot.mel', {'rate', 'title', 'width', 'height'})
  local rate = check.int(opts.rate or mel.RATE, 'plot.mel: rate', 8000, 192000)
  local values, shape, code = data.of(samples, 'plot.mel: samples', {1})
  if not values then return nil, shape, code end
  local logs, err
  logs, err, code = analyse(samples, rate)
  if not logs then return nil, err, code end
  local host, n = logs:host()
  local frames, bands, top = #logs, mel.BANDS, -math.huge
  local rows = ffi.new('float[?]', n) -- the picture has bands as rows
  for t = 0, frames - 1 do
    for b = 0, bands - 1 do
      local v = host[t * bands + b] * DB
      rows[b * frames + t] = v
      top = math.max(top, v)
    end
  end
  top = math.ceil(top / 10) * 10
  local range = scale.linear(top - RANGE_DB, top)
  local spec = {
    title = figure.title(opts, 'plot.mel'),
    x = {label = 'time (s)', scale = scale.linear(0, frames * mel.HOP / mel.RATE)},
    y = {label = 'frequency (Hz)', ticks = frequency_ticks()},
    bar = {label = 'magnitude (dB)', scale = range},
  }
  local image
  image, err, code = heat.picture(spec, opts, 'plot.mel', WIDTH, bands * MEL_ROW,
    {data = rows, rows = bands, columns = frames, at = range.at, pool = 'mean', up = true})
  return image, err, code
end

-- Whether no query gives weight to a key after itself: the map of a causal network.
local function is_causal(values, rows, columns, first)
  for r = 0, rows - 1 do
    for c = r + first + 1, columns - 1 do
      if values[r * columns + c] ~= 0 then return false end
    end
  end
  return true
end

-- One head of [heads, rows, columns], or their mean.
local function choose_head(values, heads, size, head)
  if head then return values + (head - 1) * size end
  local mean = ffi.new('float[?]', size)
  for h = 0, heads - 1 do
    for i = 0, size - 1 do mean[i] = mean[i] + values[h * size + i] / heads end
  end
  return mean
end

-- Where the prompt ends and speech begins: lines and a word.
local function mark_boundary(c, area, boundary, first, rows, columns)
  local x = area.x + math.floor(boundary / columns * area.width + 0.5)
  c:box(x, area.y, 1, area.height, colour.mark)
  if boundary > first and boundary < first + rows then
    c:box(area.x, area.y + math.floor((boundary - first) / rows * area.height + 0.5), area.width,
      1, colour.mark)
  end
  local words = 'speech from ' .. boundary
  local width, height = Page.text_size(words)
  local at = x + 6
  if at + width > area.x + area.width then at = x - 6 - width end
  c:box(at - 3, area.y + 6, width + 6, height + 9, colour.white)
  c:text(words, at, area.y + 9, colour.mark)
end

--- An attention map: which positions (across) each position (down) looks at.
---@param probs ag.Tensor|table [T, P], [heads, T, P] or, as watchers see it, [1, heads, T, P]: the
---weights that T queries give to P keys; the queries are the last T of the positions
---@param opts? {head: integer?, title: string?, boundary: integer?, log: boolean?, width: integer?,
---height: integer?} head: 1 .. heads, default the mean of all; boundary: the first position of
---speech (positions count from 0), which is marked; log: logarithmic colours, over four decades
---(default), or false
---@return ag.Image?
---@return string? err
---@return string? code 'value': numbers that cannot be drawn; 'usage': a size too small
function M.attention(probs, opts)
  opts = check.options(opts, 'plot.attention',
    {'head', 'title', 'boundary', 'log', 'width', 'height'})
  local values, shape, code = data.of(probs, 'plot.attention: probs', {2, 3, 4})
  if not values then return nil, shape, code end
  local rank = #shape
  local rows, columns, heads = shape[rank - 1], shape[rank], shape[rank - 2] or 1
  if rank == 4 and shape[1] ~= 1 then
    error(('plot.attention: probs: %d utterances, choose one'):format(shape[1]), 2)
  end
  local head = opts.head and check.int(opts.head, 'plot.attention: head', 1, heads)
  local boundary = opts.boundary and check.int(opts.boundary, 'plot.attention: boundary', 0,
    columns)
  local map = choose_head(values, heads, rows * columns, head)
  local first, most = columns - rows, 0
  for i = 0, rows * columns - 1 do most = math.max(most, map[i]) end
  if most <= 0 then return nil, 'plot.attention: probs: all of it is 0', 'value' end
  local range
  if opts.log ~= false then
    range = scale.log(10 ^ (math.ceil(math.log10(most) - 1e-9) - DECADES), most)
  else
    range = scale.linear(0, most)
  end
  local causal = first >= 0 and is_causal(map, rows, columns, first)
  local weight = heads > 1 and not head and ('attention weight, mean of %d heads'):format(heads)
    or head and ('attention weight of head %d'):format(head) or 'attention weight'
  local spec = {
    title = figure.title(opts, 'plot.attention'),
    x = {label = 'key position (0 = first token)', scale = scale.cells(columns)},
    y = {label = 'query position', scale = scale.cells(rows, math.max(0, first)), down = true},
    bar = {label = weight, scale = range},
  }
  local cell = SQUARE / math.max(rows, columns)
  local image, err
  image, err, code = heat.picture(spec, opts, 'plot.attention',
    math.max(200, math.floor(cell * columns)), math.max(200, math.floor(cell * rows)), {
      data = map, rows = rows, columns = columns, pool = 'max',
      at = function(v) return v > 0 and range.at(v) or 0 end,
      blank = causal and function(r, c) return c > r + first end or nil,
    }, boundary and boundary < columns and function(c, area)
      mark_boundary(c, area, boundary, first, rows, columns)
    end)
  return image, err, code
end

--- Codes as a grid: time across, the code groups down.
---@param codes ag.Tensor|integer[][] i32 [frames, groups]
---@param opts? {rate: number?, book: integer?, title: string?, width: integer?, height: integer?}
---rate: frames a second, default 12.5; book: codes that there are, for the colours, default the
---power of two above the greatest
---@return ag.Image?
---@return string? err
---@return string? code 'value': no codes, or one that is not an integer of at least 0; 'usage': a
---size too small
function M.codes(codes, opts)
  opts = check.options(opts, 'plot.codes', {'rate', 'book', 'title', 'width', 'height'})
  local rate = check.number(opts.rate or 12.5, 'plot.codes: rate', 1e-3, 1e6)
  local values, shape, code = data.of(codes, 'plot.codes: codes', {2})
  if not values then return nil, shape, code end
  local frames, groups, most = shape[1], shape[2], 1
  local rows = ffi.new('int32_t[?]', frames * groups)
  for f = 0, frames - 1 do
    for g = 0, groups - 1 do
      local v = tonumber(values[f * groups + g])
      if v < 0 or v % 1 ~= 0 or v >= 2 ^ 31 then
        return nil, ('plot.codes: codes[%d][%d]: %g is not a code'):format(f + 1, g + 1, v), 'value'
      end
      rows[g * frames + f] = v
      most = math.max(most, v)
    end
  end
  local book = opts.book and check.int(opts.book, 'plot.codes: book', 2)
    or 2 ^ math.floor(math.log(most) / math.log(2) + 1 + 1e-9)
  local range = scale.linear(0, book - 1, {integer = true})
  local spec = {
    title = figure.title(opts, 'plot.codes'),
    x = {label = 'time (s)', scale = scale.linear(0, frames / rate)},
    y = {label = 'code group', scale = scale.cells(groups), down = true,
      every = CODE_ROW},
    bar = {label = 'code', scale = range},
  }
  local image, err
  image, err, code = heat.picture(spec, opts, 'plot.codes', WIDTH,
    math.max(120, groups * CODE_ROW),
    {data = rows, rows = groups, columns = frames, at = range.at, pool = 'first'})
  return image, err, code
end

return M
