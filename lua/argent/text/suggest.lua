-- "Did you mean ...?": the name in a list that a misspelt word most likely stands for. Compares
-- bytes without regard to ASCII case. It does not complete prefixes and knows nothing of meaning.

local check = require 'argent.check'

local M = {}

-- The work grows with the product of the lengths, and nobody mistypes a longer name.
local MAX_LENGTH = 64

--- The fewest insertions, deletions, replacements and swaps of neighbours that turn a into b.
local function distance(a, b)
  local before, last, row = {}, {}, {} -- rows i - 2, i - 1 and i of the table of prefixes
  for j = 0, #b do last[j] = j end
  for i = 1, #a do
    row[0] = i
    for j = 1, #b do
      local same = a:byte(i) == b:byte(j)
      local d = math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (same and 0 or 1))
      if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        d = math.min(d, before[j - 2] + 1)
      end
      row[j] = d
    end
    before, last, row = last, row, before
  end
  return last[#b]
end

--- The entry closest to `word`, or nil where none is close: at most one slip in three letters. The
--- first of several equally close entries wins.
---@param word string
---@param list string[]
---@return string? entry as spelt in the list
function M.closest(word, list)
  check.type(word, 'word', 'string')
  check.type(list, 'list', 'table')
  local best, best_distance
  for _, entry in ipairs(list) do
    local longer = math.max(#word, #entry)
    if longer <= MAX_LENGTH then
      local d = distance(word:lower(), entry:lower())
      if d <= math.floor(longer / 3) and (not best or d < best_distance) then
        best, best_distance = entry, d
      end
    end
  end
  return best
end

return M
