-- The lines of `say --each`: texts, or JSON objects with a text and options of their own (JSONL).

local argparse = require 'argparse'
local json = require 'argent.json'
local speech = require 'argent.cli.speech'
local suggest = require 'argent.text.suggest'

local M = {}

---@class argent.Line
---@field number integer of the line in its file, from 1
---@field id string? of a JSON object
---@field text string?
---@field given table<string, any> options of the line, as the command's parser has them
---@field err string? why the line cannot be spoken

-- The options of speech and nothing else, by the names that they have in a line.
local function options()
  local parser, known = argparse('line', ''):add_help(false), {}
  speech.options(parser)
  for _, o in ipairs(parser._options) do
    for _, alias in ipairs(o._aliases) do
      local name = alias:match '^%-%-(.+)$'
      if name then known[name:gsub('-', '_')] = {alias = alias, flag = o._maxargs == 0} end
    end
  end
  return parser, known
end

-- Only what concerns every line may be said once for all.
local function unknown(key, known)
  local names = {}
  for name in pairs(known) do names[#names + 1] = name end
  table.sort(names)
  local guess = suggest.closest(key, names)
  return ("unknown option '%s'%s"):format(key, guess and (', did you mean %s?'):format(guess)
    or '; a line has id, text, and options of speech')
end

-- The words that give an option on the command line; nil when it is switched off or left as it is.
local function words(key, value, option)
  local kind = type(value)
  if value == json.null then return nil end
  if option.flag then
    if kind ~= 'boolean' then return nil, key .. ': expected true or false' end
    return value and option.alias or nil
  elseif kind == 'number' then
    value = ('%.17g'):format(value)
  elseif kind ~= 'string' then
    return nil, key .. ': expected a text or a number'
  end
  return option.alias .. '=' .. value
end

-- Reads the object of a line into `line`; returns what is wrong with it.
local function read_object(line, text, parser, known)
  local object, err = json.decode(text, 'the line')
  if object == nil then return err end
  if type(object) ~= 'table' or #object > 0 then return 'expected a JSON object' end
  local argv, names = {}, {}
  for key, value in pairs(object) do
    if key == 'id' then
      local number = type(value) == 'number' and value % 1 == 0
      if not number and type(value) ~= 'string' then return 'id: expected a text or an integer' end
      line.id = number and ('%.0f'):format(value) or value
    elseif key == 'text' then
      if type(value) ~= 'string' then return 'text: expected a text' end
      line.text = value:gsub('[\r\n]+$', '')
    else
      local name = key:gsub('-', '_')
      if not known[name] then return unknown(key, known) end
      argv[#argv + 1], err = words(key, value, known[name])
      if err then return err end
      if value ~= json.null then names[#names + 1] = name end
    end
  end
  if not line.text then return 'it has no text' end
  local ok, parsed = parser:pparse(argv)
  if not ok then return parsed end
  -- A flag that is switched off is not there in `parsed`, but it is given all the same.
  for _, name in ipairs(names) do line.given[name] = parsed[name] or false end
end

--- The lines that hold something. When the first of them begins with a brace, every line is a JSON
--- object.
---@param text string
---@return argent.Line[] with err where a line cannot be spoken
function M.read(text)
  local list, number, parser, known = {}, 0, nil, nil
  for content in (text .. '\n'):gmatch '(.-)\r?\n' do
    number = number + 1
    if content:find '%S' then
      local line = {number = number, given = {}}
      if #list == 0 and content:find '^%s*{' then parser, known = options() end
      if parser then line.err = read_object(line, content, parser, known)
      else line.text = content end
      list[#list + 1] = line
    end
  end
  return list
end

-- How a voice can be given: what a line says of it replaces what the command says.
local VOICE = {'voice', 'ref_audio', 'ref_text'}

--- The options of a line: the command's, and in their place its own.
---@param args table parsed options of the command
---@param line argent.Line
---@return table
function M.merge(args, line)
  local merged = {}
  for k, v in pairs(args) do merged[k] = v end
  if line.given.voice or line.given.ref_audio then
    for _, name in ipairs(VOICE) do merged[name] = nil end
  end
  for k, v in pairs(line.given) do merged[k] = v or nil end
  return merged
end

return M
