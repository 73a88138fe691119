-- Sound files, and what is computed from samples.

return {
  read = require('argent.audio.read').read,
  write = require('argent.audio.sound').write,
  join = require('argent.audio.sound').join,
  sink = require('argent.audio.pcm').sink,
  resample = require('argent.audio.resample').resample,
  mel = require('argent.audio.mel').spectrogram,
}
