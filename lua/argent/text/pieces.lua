-- How byte-level BPE tokenizers cut a text into pieces before they merge: the regular expressions
-- of the released tokenizers, by the names that GGUF files give them.

local check = require 'argent.check'
local regex = require 'argent.text.regex'

local M = {}

-- White space is spelt out, because PCRE2's \s has U+180E, which Unicode took out of white space.
local SPACE = [[\t-\r \x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}]]
  .. [[\x{3000}]]
local LINES = [=[[{s}]*[\r\n]+|[{s}]+(?![^{s}])|[{s}]+]=]
local MARKS = [=[ ?[^{s}\p{L}\p{N}]+]=]
local UPPER, LOWER = [=[[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]]=], [=[[\p{Ll}\p{Lm}\p{Lo}\p{M}]]=]
local LEAD = [=[[^\r\n\p{L}\p{N}]?]=]
local SHORT = [=['s|'t|'re|'ve|'m|'ll|'d]=]
local ANY_SHORT = '(?i:' .. SHORT .. ')'

local PATTERNS = {
  gpt2 = SHORT .. [=[| ?\p{L}+| ?\p{N}+|]=] .. MARKS .. [=[|[{s}]+(?![^{s}])|[{s}]+]=],
  -- Digits are cut out one by one first, so a piece of white space ends before a digit as it does
  -- at the end.
  smollm = SHORT .. [=[| ?\p{L}+|\p{N}|]=] .. MARKS .. [=[|[{s}]+(?![^{s}\p{N}])|[{s}]+]=],
  qwen2 = ANY_SHORT .. '|' .. LEAD .. [=[\p{L}+|\p{N}|]=] .. MARKS .. [=[[\r\n]*|]=] .. LINES,
  ['llama-bpe'] = ANY_SHORT .. '|' .. LEAD .. [=[\p{L}+|\p{N}{1,3}|]=] .. MARKS .. [=[[\r\n]*|]=]
    .. LINES,
  -- What the official package of Qwen3-TTS uses when it loads a local directory: it takes the model
  -- for one with a faulty Mistral pattern and replaces the pattern.
  qwen2_replaced = LEAD .. UPPER .. '*' .. LOWER .. '+|' .. LEAD .. UPPER .. '+' .. LOWER
    .. [=[*|\p{N}|]=] .. MARKS .. [=[[\r\n/]*|]=] .. LINES,
}

--- White space, for the inside of a class.
M.SPACE = SPACE

--- The names of all patterns.
M.names = {}
for name in pairs(PATTERNS) do M.names[#M.names + 1] = name end
table.sort(M.names)

--- A pattern whose matches, one after the other, are the pieces of a text.
---@param name string one of `names`
---@return ag.Regex
function M.compile(name)
  local pattern = PATTERNS[check.one_of(name, 'pieces', M.names)]
  -- \G: the pattern covers every character, so the next piece starts where the last one ended.
  return assert(regex.compile([[\G(?:]] .. pattern:gsub('{s}', SPACE) .. ')'))
end

return M
