-- The tokenizer of a language model: from tokenizer.json of a Hugging Face folder, from Qwen2's
-- three files, or from the metadata of a GGUF file; and the id that begins a text, where the model
-- is used to one. What is not known is refused, as other pieces would be other ids.

local SentencePiece = require 'argent.text.sentencepiece'
local Tokenizer = require 'argent.text.tokenizer'
local json = require 'argent.json'
local lfs = require 'lfs'
local vocabulary = require 'argent.text.vocabulary'

local M = {}

local LIMIT = 64 * 2 ^ 20

-- The parts of GPT-4's pattern that the names of pieces differ in.
local SPLIT = [[(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s|]]
  .. [[ ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+]]
local SPLITS = {
  [SPLIT:format [[\p{N}]]] = 'qwen2', [SPLIT:format [[\p{N}{1,3}]]] = 'llama-bpe',
}

local function kind_of(s, key)
  return s:object(key):string 'type'
end

-- The pieces of a pre_tokenizer: the steps that are known, in the order in which they stand.
local function pieces_of(s)
  local steps = {}
  local list = kind_of(s, 'pre_tokenizer') == 'Sequence' and s:object('pre_tokenizer')
    :get 'pretokenizers' or {s:get 'pre_tokenizer'}
  s:expect(type(list) == 'table' and #list <= 4, 'pre_tokenizer', 'a list of steps')
  for i, values in ipairs(list) do
    local where = ('pre_tokenizer[%d]'):format(i - 1)
    if type(values) ~= 'table' then s:fault(where, 'expected an object') end
    local step = json.object(values, s.file, where)
    local kind = step:string 'type'
    if kind == 'Split' then
      local found = SPLITS[step:object('pattern'):string 'Regex']
      steps[i] = found or step:fault('pattern', 'is none that is known')
    elseif kind == 'Digits' then
      steps[i] = step:boolean 'individual_digits' and 'digits' or 'runs'
    elseif kind == 'ByteLevel' then
      step:expect(not step:boolean('add_prefix_space', true), 'add_prefix_space', 'false')
      steps[i] = step:boolean('use_regex', true) and 'gpt2' or 'bytes'
    else
      step:fault('type', '%s is not supported', kind)
    end
  end
  local known = {
    ['gpt2'] = 'gpt2', ['digits gpt2'] = 'smollm', ['qwen2 bytes'] = 'qwen2',
    ['llama-bpe bytes'] = 'llama-bpe',
  }
  local found = known[table.concat(steps, ' ')]
  s:expect(found, 'pre_tokenizer', 'the steps of GPT-2, SmolLM, Qwen2 or LLaMA 3')
  return found
end

--- The added tokens of a tokenizer.json.
---@param s argent.json.Object
---@return ag.AddedToken[]
function M.added(s)
  local added = {}
  local list = s:get 'added_tokens' or {}
  s:expect(type(list) == 'table', 'added_tokens', 'a list')
  for i, values in ipairs(list) do
    local where = ('added_tokens[%d]'):format(i - 1)
    if type(values) ~= 'table' then s:fault(where, 'expected an object') end
    local t = json.object(values, s.file, where)
    if t:boolean('single_word', false) then t:fault('single_word', 'true is not supported') end
    added[i] = {id = t:int('id', 0, 2 ^ 24), content = t:string 'content',
      normalized = t:boolean('normalized', false), lstrip = t:boolean('lstrip', false),
      rstrip = t:boolean('rstrip', false)}
  end
  return added
end

-- Pieces that are words are not merged, where the tokenizer says so.
local function whole_words(v, ids)
  v.whole = {}
  for word, id in pairs(ids) do v.whole[vocabulary.bytes(word)] = id end
end

--- Reads a tokenizer.json of byte-level BPE; what is wrong is a fault of json.checked.
---@param values table the file, parsed
---@param path string for messages
---@return ag.Tokenizer
function M.of_json(values, path)
  local s = json.object(values, path)
  local model = s:object 'model'
  model:one_of('type', {'BPE'})
  local nfc = s:get 'normalizer' ~= nil
  if nfc then s:expect(kind_of(s, 'normalizer') == 'NFC', 'normalizer', 'NFC or null') end
  local ids, merges = model:get 'vocab', model:get 'merges'
  model:expect(type(ids) == 'table', 'vocab', 'an object')
  model:expect(type(merges) == 'table', 'merges', 'a list')
  local v, err = vocabulary.of(path, ids, merges, M.added(s))
  if not v then s:fault('model', '%s', err) end
  if model:boolean('ignore_merges', false) then whole_words(v, ids) end
  local tokenizer
  tokenizer, err = Tokenizer.new(v, {nfc = nfc, pieces = {native = pieces_of(s)}})
  if not tokenizer then s:fault('added_tokens', '%s', err) end
  return tokenizer
end

-- What the post_processor of a tokenizer.json puts before a text; nil for nothing.
local function begins(values)
  local steps = values.post_processor
  if type(steps) ~= 'table' then return nil end
  for _, step in ipairs(type(steps.processors) == 'table' and steps.processors or {steps}) do
    local single = type(step) == 'table' and step.type == 'TemplateProcessing' and step.single
    local first = type(single) == 'table' and type(single[1]) == 'table' and single[1].SpecialToken
    if type(first) == 'table' and type(first.id) == 'string' then return first.id end
  end
end

--- Reads the tokenizer of a Hugging Face folder.
---@param dir string
---@return ag.Tokenizer?
---@return string? err
---@return integer? first the id that begins a text
function M.open(dir)
  local path = dir .. '/tokenizer.json'
  if not lfs.attributes(path, 'mode') and lfs.attributes(dir .. '/merges.txt', 'mode') then
    local tokenizer, err = Tokenizer.open(dir)
    return tokenizer, err
  end
  local values, err = json.read(path, LIMIT)
  if not values then return nil, err end
  local tokenizer
  tokenizer, err = json.checked(M.of_json, values, path)
  if not tokenizer then return nil, err end
  local first = begins(values)
  return tokenizer, nil, first and tokenizer:id(first)
end

-- GGUF's kinds of tokens that are matched in texts as they are spelt.
local CONTROL, USER = 3, 4

-- GGUF's names of pre-tokenizers; those of models that cut alike differ.
local PRE = {
  ['gpt-2'] = 'gpt2', smollm = 'smollm', qwen2 = 'qwen2', ['llama-bpe'] = 'llama-bpe',
}

-- Lists of the metadata, each as long as the first where `alike`.
local function lists(s, names, alike)
  local out = {}
  for i, name in ipairs(names) do
    local key = 'tokenizer.ggml.' .. name
    out[i] = s:get(key)
    s:expect(type(out[i]) == 'table', key, 'a list')
    if i <= alike then s:expect(#out[i] == #out[1], key, 'a list of %d', #out[1]) end
  end
  return unpack(out)
end

local function sentencepiece(s)
  local words, kinds, scores = lists(s, {'tokens', 'token_type', 'scores'}, 3)
  for i, word in ipairs(words) do
    if type(word) ~= 'string' or type(kinds[i]) ~= 'number' or type(scores[i]) ~= 'number' then
      s:fault('tokenizer.ggml.tokens', 'expected texts, each with a type and a score')
    end
  end
  local tokenizer, err = SentencePiece.new {words = words, kinds = kinds, scores = scores,
    prefix = s:boolean('tokenizer.ggml.add_space_prefix', true)}
  if not tokenizer then s:fault('tokenizer.ggml', '%s', err) end
  return tokenizer
end

--- Makes the tokenizer of a GGUF file.
---@param metadata table
---@param path string for messages
---@return ag.Tokenizer|ag.SentencePiece|nil
---@return string? err
---@return integer? first the id that begins a text
function M.of_gguf(metadata, path)
  local first
  local tokenizer, err = json.checked(function()
    local s = json.object(metadata, path)
    local model = s:one_of('tokenizer.ggml.model', {'gpt2', 'llama'})
    if s:boolean('tokenizer.ggml.add_bos_token', model == 'llama') then
      first = s:int('tokenizer.ggml.bos_token_id', 0, 2 ^ 24)
    end
    if model == 'llama' then return sentencepiece(s) end
    local words, kinds, merges = lists(s, {'tokens', 'token_type', 'merges'}, 2)
    local pre = s:string 'tokenizer.ggml.pre'
    if not PRE[pre] then s:fault('tokenizer.ggml.pre', '%s is not supported', pre) end
    local ids, added = {}, {}
    for i, word in ipairs(words) do
      if type(word) ~= 'string' then s:fault('tokenizer.ggml.tokens', 'expected texts') end
      if ids[word] then
        s:fault('tokenizer.ggml.tokens', '%d and %d are the same', ids[word], i - 1)
      end
      ids[word] = i - 1
      if kinds[i] == CONTROL or kinds[i] == USER then
        added[#added + 1] = {id = i - 1, content = word, normalized = false}
      end
    end
    local v, err = vocabulary.of(path, ids, merges, added)
    if not v then s:fault('tokenizer.ggml', '%s', err) end
    if pre == 'llama-bpe' then whole_words(v, ids) end
    local found
    found, err = Tokenizer.new(v, {nfc = pre == 'qwen2', pieces = {native = PRE[pre]}})
    if not found then s:fault('tokenizer.ggml', '%s', err) end
    return found
  end)
  return tokenizer, err, tokenizer and first
end

return M
