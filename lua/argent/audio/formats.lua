-- The sound formats that are written, as libsndfile knows them.

local pcm = require 'argent.audio.pcm'

-- How a block of floats becomes what libsndfile takes; without `convert` it goes as it is.
local S16 = {id = 2, bytes = 2, block = 'int16_t[?]', convert = pcm.to_int16, put = 'short'}
local S24 = {id = 3, bytes = 3, block = 'int32_t[?]', convert = pcm.to_int24, put = 'int'}
local FLOAT = {id = 6, bytes = 4, put = 'float'}
local CODED = {id = 0, block = 'float[?]', convert = pcm.clip, put = 'float'}

-- By extension: the container and its codec; what it makes of each choice of bits (a lossy codec
-- has no choice); the most bytes of samples, as a wav counts them in 32 bits; whether the length is
-- put into the header at the end, so that a sound through a FIFO would be cut; how libsndfile
-- writes a file without samples, where that takes care: on demand, or not so that it can read it.
return {
  wav = {id = 0x010000, bits = {['16'] = S16, ['24'] = S24, float = FLOAT}, rewinds = true,
    limit = 2 ^ 32 - 4096},
  flac = {id = 0x170000, bits = {['16'] = S16, ['24'] = S24}, empty = 'on demand'},
  ogg = {id = 0x200060, bits = {['16'] = CODED}},
  opus = {id = 0x200064, bits = {['16'] = CODED}, empty = 'never'},
  mp3 = {id = 0x230082, bits = {['16'] = CODED}, rewinds = true, empty = 'on demand'},
}
