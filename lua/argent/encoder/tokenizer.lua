-- The tokenizer of a text encoder, from tokenizer.json, or from BERT's vocab.txt; and the ids that
-- begin and end a text.

local WordPiece = require 'argent.text.wordpiece'
local decoders = require 'argent.decoder.tokenizer'
local json = require 'argent.json'
local lfs = require 'lfs'

local M = {}

local LIMIT = 64 * 2 ^ 20

---@class ag.EncoderTokenizer
---@field words ag.WordPiece|ag.Tokenizer
---@field first integer the id that begins a text
---@field last integer the id that ends it
local Frame = {}
Frame.__index = Frame

local function framed(words, first, last, where)
  local self = setmetatable({words = words, first = words:id(first), last = words:id(last)}, Frame)
  if not (self.first and self.last) then
    return nil, ('%s: %s or %s is missing'):format(where, first, last)
  end
  return self
end

--- The ids of a text, with those that begin and end it; what is too long is cut off.
---@param text string UTF-8
---@param most integer
---@return integer[]? ids
---@return string? err
function Frame:encode(text, most)
  local ids, err = self.words:encode(text, self.options)
  if not ids then return nil, err end
  local out = {self.first}
  for i = 1, math.min(#ids, most - 2) do out[i + 1] = ids[i] end
  out[#out + 1] = self.last
  return out
end

local function wordpiece_json(s, model)
  local n = s:object 'normalizer'
  n:one_of('type', {'BertNormalizer'})
  s:object('pre_tokenizer'):one_of('type', {'BertPreTokenizer'})
  for _, flag in ipairs {'clean_text', 'handle_chinese_chars'} do
    n:expect(n:boolean(flag, true), flag, 'true')
  end
  model:expect(model:get 'continuing_subword_prefix' == '##', 'continuing_subword_prefix', "'##'")
  local ids = model:get 'vocab'
  model:expect(type(ids) == 'table', 'vocab', 'an object')
  local lower = n:boolean('lowercase', true)
  local strip = n:get 'strip_accents'
  if strip == nil then strip = lower end
  local words, err = WordPiece.new(ids, decoders.added(s),
    {lower = lower, accents = not strip, unknown = model:string 'unk_token'})
  if not words then s:fault('model', '%s', err) end
  return words
end

local function of_json(values, path)
  local s = json.object(values, path)
  local model = s:object 'model'
  -- Older files leave out the type, of which the fields tell.
  local kind = model:get 'type' or model:get 'merges' and 'BPE' or 'WordPiece'
  local words, err, frame
  if kind == 'WordPiece' then
    words = wordpiece_json(s, model)
    frame, err = framed(words, '[CLS]', '[SEP]', path)
  elseif kind == 'BPE' then
    words = decoders.of_json(values, path)
    frame, err = framed(words, '<s>', '</s>', path)
    if frame then frame.options = {special = true} end
  else
    model:fault('type', '%s is not supported', kind)
  end
  if not frame then s:fault('added_tokens', '%s', err) end
  return frame
end

-- A word a line, in the order of the ids.
local function of_lines(dir)
  local path, ids, n = dir .. '/vocab.txt', {}, 0
  local f, err = io.open(path, 'rb')
  if not f then return nil, err end
  for line in f:lines() do
    ids[line:gsub('\r$', '')] = n
    n = n + 1
  end
  f:close()
  local added = {}
  for _, content in ipairs {'[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'} do
    if ids[content] then added[#added + 1] = {id = ids[content], content = content} end
  end
  local config = json.read(dir .. '/tokenizer_config.json') or {}
  local lower = config.do_lower_case ~= false
  local words
  words, err = WordPiece.new(ids, added, {lower = lower, accents = not lower, unknown = '[UNK]'})
  if not words then return nil, ('%s: %s'):format(path, err) end
  return framed(words, '[CLS]', '[SEP]', path)
end

--- Reads the tokenizer of a folder.
---@param dir string
---@return ag.EncoderTokenizer?
---@return string? err
function M.open(dir)
  local path = dir .. '/tokenizer.json'
  if not lfs.attributes(path, 'mode') and lfs.attributes(dir .. '/vocab.txt', 'mode') then
    local frame, err = of_lines(dir)
    return frame, err
  end
  local values, err = json.read(path, LIMIT)
  if not values then return nil, err end
  return json.checked(of_json, values, path)
end

return M
