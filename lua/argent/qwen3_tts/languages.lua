-- The languages of a talker, by name and by ISO 639-1 code.

local M = {}

local CODES = {
  chinese = 'zh', english = 'en', french = 'fr', german = 'de', italian = 'it', japanese = 'ja',
  korean = 'ko', portuguese = 'pt', russian = 'ru', spanish = 'es',
}
local NAMES = {}
for name, code in pairs(CODES) do NAMES[code] = name end

--- The keys of a table, sorted.
---@return string[]
function M.sorted_keys(t)
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

--- What can be asked for: 'auto' first, then by name. Dialects come with their voices.
---@param talker argent.TalkerConfig
---@return {name: string, code: string?}[]
function M.list(talker)
  local list = {{name = 'auto'}}
  for _, name in ipairs(M.sorted_keys(talker.languages)) do
    if not name:find('dialect', 1, true) then
      list[#list + 1] = {name = name, code = CODES[name]}
    end
  end
  return list
end

--- The talker's name of a language.
---@param talker argent.TalkerConfig
---@param asked string a name or a code, in any letter case
---@return string? name 'auto' or a key of talker.languages; nil for what it does not have
function M.resolve(talker, asked)
  local name = asked:lower()
  if not talker.languages[name] then name = NAMES[name] or name end
  if name == 'auto' or talker.languages[name] then return name end
end

return M
