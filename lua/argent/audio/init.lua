-- Sound files, and what is computed from samples.

return {
  read = require('argent.audio.read').read,
  write = require('argent.audio.sound').write,
  resample = require('argent.audio.resample').resample,
  mel = require('argent.audio.mel').spectrogram,
}
