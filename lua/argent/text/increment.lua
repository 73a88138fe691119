-- Text that comes piece by piece, from a pipe or a language model: how much of it can be tokenized
-- already, so that the ids are those of the whole text at once.

local check = require 'argent.check'
local unicode = require 'argent.text.unicode'

local M = {}

-- Stops of scripts without spaces: a word never goes on past them.
local STOPS = {}
for stop in ('。 ！ ？ ， 、 ； ： … 「 」 『 』 （ ） 《 》'):gmatch '%S+' do STOPS[stop] = true end

-- The byte where the character before byte `at` begins.
local function before(text, at)
  at = at - 1
  while at > 1 and text:byte(at) >= 128 and text:byte(at) < 192 do at = at - 1 end
  return at
end

--- How many bytes at the start of the text are settled: whatever comes behind them, their ids stay
--- as they are. The pre-tokenizer looks forward only, and these are places where every piece ends:
--- a space after something visible, and a line end or a stop after a letter or a digit.
---@param text string
---@return integer bytes
function M.settled(text)
  check.type(text, 'text', 'string')
  for at = #text, 2, -1 do
    local byte = text:byte(at)
    local space = byte == 32
    if space or byte == 10 or byte >= 224 and STOPS[text:sub(at, at + 2)] then
      local category = unicode.category(text, before(text, at)) or 30
      local word = category >= 1 and category <= 5 or category >= 9 and category <= 11
      if word or space and category <= 22 and category >= 1 then return at - 1 end
    end
  end
  return 0
end

return M
