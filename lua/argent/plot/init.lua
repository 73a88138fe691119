-- ag.plot: pictures of what goes on in speech. Each function returns an image with :save(path),
-- :png() and :pixel(x, y).

local curves = require 'argent.plot.curves'
local grids = require 'argent.plot.grids'

return {
  waveform = curves.waveform,
  line = curves.line,
  eos = curves.eos,
  mel = grids.mel,
  attention = grids.attention,
  codes = grids.codes,
  record = require 'argent.plot.record',
}
