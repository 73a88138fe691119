-- The demo voice is understood: a recogniser that never met Argent hears which of twenty sentences
-- was said. The sentences were not in the voice's training text.

local ag = require 'argent'
local command = require 'support.command'
local recogniser = require 'support.recogniser'

-- The first eight are spoken. They are such as this voice says well with most seeds, so that what
-- is tested is that a model speaks, not how good this one is: models/demo/README.md has that.
local SENTENCES = {
  'The children bubbled over with joy.',
  'Remained calm throughout the uproar.',
  'It brought out his better side.',
  'Help is on the way.',
  'He read his newspaper at breakfast.',
  'Cotton, hay, and grain are field crops.',
  'She was his first love.',
  'The armies met in the shock of battle.',
  'The force of his eloquence easily persuaded them.',
  'Was all in at the end of the day.',
  'He whispered a spell as he moved his hands.',
  'They welcomed the signs of spring.',
  'Leave your name and address here.',
  'A contract advantageous to our country.',
  'The bank is solid and will survive this attack.',
  'His name was mentioned in connection with the invention.',
  'She looks like her mother.',
  'The grocer priced his wares high.',
  'His worry over the prospect of being fired.',
  'The are expecting another child in January.',
}
local SPOKEN = 8

describe('the demo voice', function()
  local missing, sounds = recogniser.missing(), {}

  setup(function()
    if missing then return end
    local tts = assert(ag.qwen3_tts.open(command.root .. '/models/demo'))
    for i = 1, SPOKEN do
      local sound = assert(tts:say {text = SENTENCES[i], seed = i})
      assert.equal('eos', sound.stats.ended)
      sounds[i] = sound.samples:totable()
    end
  end)

  local function hears(what, test)
    it(what, function()
      if missing then
        pending(missing)
        return
      end
      test()
    end)
  end

  hears('says eight sentences that are told apart among twenty', function()
    local heard = recogniser.hear(SENTENCES, sounds)
    for i = 1, SPOKEN do assert.equal(recogniser.words(SENTENCES[i]), heard[i]) end
  end)

  -- Of the eight, with one to spare, as a draw may come out otherwise.
  for dtype, least in pairs {q8 = 7, q4 = 6} do
    hears('is understood with weights in ' .. dtype .. ', too', function()
      local tts = assert(ag.qwen3_tts.open(command.root .. '/models/demo', {dtype = dtype}))
      local narrow, understood = {}, 0
      for i = 1, SPOKEN do
        narrow[i] = assert(tts:say {text = SENTENCES[i], seed = i}).samples:totable()
      end
      for i, heard in ipairs(recogniser.hear(SENTENCES, narrow)) do
        if recogniser.words(SENTENCES[i]) == heard then understood = understood + 1 end
      end
      assert.is_true(understood >= least, ('%d of %d'):format(understood, SPOKEN))
    end)
  end

  hears('is not understood backwards', function()
    local reversed = {}
    for i, x in ipairs(sounds) do
      local y = {}
      for k = 1, #x do y[k] = x[#x + 1 - k] end
      reversed[i] = y
    end
    local heard = recogniser.hear(SENTENCES, reversed)
    for i = 1, SPOKEN do assert.not_equal(recogniser.words(SENTENCES[i]), heard[i]) end
  end)

  hears('is not heard in noise of the same length', function()
    math.randomseed(1)
    local noise = {}
    for i, x in ipairs(sounds) do
      local y = {}
      for k = 1, #x do y[k] = 0.2 * (math.random() - 0.5) end
      noise[i] = y
    end
    for _, heard in ipairs(recogniser.hear(SENTENCES, noise)) do assert.equal('', heard) end
  end)
end)
