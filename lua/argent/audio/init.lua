-- Sound files and what is computed from samples.

local M = {write = require('argent.audio.sound').write}

return M
