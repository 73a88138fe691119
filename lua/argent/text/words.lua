-- The words of a text as somebody who follows it would count them: what stands between white space,
-- and each character of Chinese and Japanese, which have none.

local check = require 'argent.check'
local regex = require 'argent.text.regex'

local M = {}

local WORD = assert(regex.compile([=[[\p{Han}\p{Hiragana}\p{Katakana}][ーゃゅょャュョっッ]*+|]=]
  .. [=[[^\s\p{Han}\p{Hiragana}\p{Katakana}]++]=]))
local SPOKEN = assert(regex.compile [=[[\p{L}\p{M}\p{N}](?:.*[\p{L}\p{M}\p{N}])?]=])

---@class argent.Word
---@field text string as it stands there, with its punctuation
---@field first integer its first byte in the text, from 1
---@field last integer its last byte
---@field spoken integer the last byte that is a letter or a digit

--- Lists the words of a text. Punctuation that stands alone is none.
---@param text string valid UTF-8
---@return argent.Word[]
function M.list(text)
  check.type(text, 'text', 'string')
  local words, at = {}, 1
  while at <= #text do
    local first, last = WORD:find(text, at)
    if not first then break end
    local word = text:sub(first, last)
    local _, spoken = SPOKEN:find(word, 1)
    if spoken then
      words[#words + 1] = {text = word, first = first, last = last, spoken = first + spoken - 1}
    end
    at = last + 1
  end
  return words
end

return M
