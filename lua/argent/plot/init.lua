-- ag.plot: pictures of what goes on in speech, and of a script's own numbers. Each function returns
-- an image with :save(path), :png() and :pixel(x, y).

local curves = require 'argent.plot.curves'
local grids = require 'argent.plot.grids'

return {
  waveform = require('argent.plot.waveform').waveform,
  line = curves.line,
  eos = curves.eos,
  mel = grids.mel,
  attention = grids.attention,
  alignment = require('argent.plot.alignment').alignment,
  codes = grids.codes,
  heat = require('argent.plot.matrix').heat,
  histogram = require('argent.plot.histogram').histogram,
  record = require 'argent.plot.record',
}
