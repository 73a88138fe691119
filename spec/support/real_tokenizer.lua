-- The released tokenizer as a directory, and small ones. The fixtures have the released merges.txt
-- and tokenizer_config.json; vocab.json is larger and follows from the merges: the 256 byte
-- symbols, printable bytes first, then what each merge makes, in order. That this gives the mapping
-- of the released file was checked when it was added.

local cjson = require 'cjson'
local lfs = require 'lfs'

local M = {}

local function read(path)
  local file = assert(io.open(path, 'rb'))
  local text = file:read('*a')
  file:close()
  return text
end

local function write(path, text)
  local file = assert(io.open(path, 'wb'))
  assert(file:write(text))
  assert(file:close())
end

local function utf8(code)
  if code < 128 then return string.char(code) end
  return string.char(192 + math.floor(code / 64), 128 + code % 64)
end

--- The byte symbols of GPT-2's alphabet in the order of their ids.
---@return string[]
function M.symbols()
  local list = {}
  for _, range in ipairs{{33, 126}, {161, 172}, {174, 255}, {256, 323}} do
    for code = range[1], range[2] do list[#list + 1] = utf8(code) end
  end
  return list
end

--- The text of a vocab.json that gives ids 0, 1, ... to words.
---@param words string[]
---@return string
function M.vocab_json(words)
  local entries = {}
  for i, word in ipairs(words) do entries[i] = ('%s: %d'):format(cjson.encode(word), i - 1) end
  return '{' .. table.concat(entries, ', ') .. '}'
end

--- A new directory with the given files. It disappears when the returned guard is collected.
---@param files table<string, string> name -> content
---@return string path
---@return userdata guard
function M.directory(files)
  local path = os.tmpname()
  assert(os.remove(path))
  assert(lfs.mkdir(path))
  for name, text in pairs(files) do write(path .. '/' .. name, text) end
  local guard = newproxy(true)
  getmetatable(guard).__gc = function()
    for name in pairs(files) do os.remove(path .. '/' .. name) end
    lfs.rmdir(path)
  end
  return path, guard
end

local dir, guard

--- A directory with the three files of the released tokenizer, written at the first call and there
--- as long as this module is loaded. Nobody may change it.
---@return string path
function M.dir()
  if guard then return dir end
  local fixtures = ARGENT_ROOT .. '/spec/fixtures/tokenizer/'
  local merges, words = read(fixtures .. 'merges.txt'), M.symbols()
  for left, right in merges:gmatch('([^ \n]+) ([^ \n]+)\n') do words[#words + 1] = left .. right end
  dir, guard = M.directory{
    ['merges.txt'] = merges,
    ['vocab.json'] = M.vocab_json(words),
    ['tokenizer_config.json'] = read(fixtures .. 'tokenizer_config.json'),
  }
  return dir
end

return M
