-- The models that Argent runs: what `model_type` of a directory's config.json stands for. Commands,
-- the hub and `ag.open` ask here, so that a new family is a module and a line in this list.

local check = require 'argent.check'
local json = require 'argent.json'
local lfs = require 'lfs'
local suggest = require 'argent.text.suggest'

local M = {}

-- In this order they are listed, and asked whether a name on the hub is theirs.
local KINDS = {
  'argent.qwen3_tts.model', 'argent.qwen3_tts.codec_model', 'argent.decoder.model',
  'argent.encoder.model',
}
local MODULES = {
  qwen3_tts = KINDS[1], qwen3_tts_tokenizer_12hz = KINDS[2],
  llama = KINDS[3], mistral = KINDS[3], qwen2 = KINDS[3], qwen3 = KINDS[3],
  bert = KINDS[4], distilbert = KINDS[4], roberta = KINDS[4],
}

--- What models can be needed for, and how messages call it.
local NEEDS = {speech = 'speak', codec = 'encode and decode sound', text = 'write texts',
  embedding = 'make vectors of texts'}

---@class argent.Model a kind of model, as its module describes it. What is heavy is loaded by the
---functions, so that a list of models costs nothing.
---@field types string[] model_type of its directories; models that are open carry it as
---`model_type`
---@field name string for people
---@field handle string what the prompt calls an open one: 'tts'
---@field provides table<string, true> 'speech', 'codec', 'text', 'embedding'
---@field released string[] names on the hub
---@field files string[] what every directory has; weights may be behind an index
---@field matches fun(name: string): boolean whether a repository of that name, without its owner,
---is one of these; for directories that are incomplete
---@field open fun(dir: string, opts: table): table?, string?, string? the model, or nil, err, code
---@field summary fun(model: table): string an open model in one line
---@field describe fun(dir: string): {kind: string, size: string?}? from its configuration
---@field fault fun(dir: string, be: ag.Backend): string? what it lacks or keeps it from opening
---@field inspect fun(dir: string, be: ag.Backend): argent.Inspection?, string?
---@field tokenizer? fun(dir: string): table?, string? with `encode(text, opts)`
---@field voices? fun(dir: string): argent.VoiceList?, string?
---@field bench? fun(): table module with run(model, opts, rounds, rows) and lines(model, figures)
---@field sizes? string[] of which `random` makes models
---@field random? fun(size: string, opts: table): table a model of random weights, for measuring
---@field record? fun(): table module with attention and eos, see argent.plot.record

---@class argent.Inspection
---@field facts table goes into JSON
---@field lines string[] the same for people
---@field parts {name: string, prefix: string, weights: ag.Weights}[] sets of files
---@field missing string? what it lacks
---@field unused string[]? names of tensors that are not read

---@class argent.VoiceList
---@field kind string
---@field voices {name: string, dialect: string?}[]
---@field languages {name: string, code: string?}[] code: ISO 639-1

--- The kind of model of a `model_type`; nil for one that is not known.
---@param model_type string?
---@return argent.Model?
function M.get(model_type)
  return MODULES[model_type] and require(MODULES[model_type])
end

--- All kinds.
---@return argent.Model[]
function M.all()
  local list = {}
  for i, name in ipairs(KINDS) do list[i] = require(name) end
  return list
end

--- The kind that a repository of that name on the hub holds; nil when the name does not tell.
---@param name string without its owner
---@return argent.Model?
function M.named(name)
  for _, model in ipairs(M.all()) do
    if model.matches(name) then return model end
  end
end

--- Whether a path is that of a GGUF file: a language model, which says itself whether it is one of
--- a known kind.
---@param path string
---@return boolean
function M.is_gguf(path)
  return path:find '%.gguf$' ~= nil and lfs.attributes(path, 'mode') == 'file'
end

--- The kind of model in a directory, by its config.json, or in a GGUF file.
---@param dir string
---@return argent.Model?
---@return string? err names the file, what it says, and what is known
---@return string? code 'model', or 'unsupported' for a model that Argent does not run
function M.of(dir)
  if M.is_gguf(dir) then return M.get 'llama' end
  local path = dir .. '/config.json'
  if not lfs.attributes(path, 'mode') then
    return nil, ('%s: is no model: it holds no config.json; a model is a folder that argent pull '
      .. 'has made, or its name, as in -m %s'):format(dir, M.get('qwen3_tts').released[1]), 'model'
  end
  local s, err = json.checked(json.open, path, path)
  if not s then return nil, err, 'model' end
  local model_type = s:get 'model_type'
  local model = M.get(model_type)
  if model then return model end
  local known, types = {}, {}
  for _, m in ipairs(M.all()) do
    known[#known + 1] = ('%s (%s)'):format(table.concat(m.types, ', '), m.name)
    for _, name in ipairs(m.types) do types[#types + 1] = name end
  end
  local guess = type(model_type) == 'string' and suggest.closest(model_type, types)
  return nil, (('%s: model_type: %s is no model that Argent runs%s; it runs %s'):format(path,
    model_type == nil and 'nothing' or check.show(model_type):gsub('^string ', ''),
    guess and (', did you mean %s?'):format(guess) or '',
    table.concat(known, ', ')):gsub('%c', '?')), 'unsupported'
end

--- All sizes of which there are models of random weights, and the kind of each.
---@return string[] sizes
---@return table<string, argent.Model> kinds
function M.random_sizes()
  local sizes, kinds = {}, {}
  for _, model in ipairs(M.all()) do
    for _, size in ipairs(model.sizes or {}) do
      sizes[#sizes + 1] = size
      kinds[size] = model
    end
  end
  return sizes, kinds
end

--- The kinds that do what is needed.
---@param need string a key of `provides`
---@return argent.Model[]
function M.providing(need)
  local able = {}
  for _, m in ipairs(M.all()) do
    if m.provides[need] then able[#able + 1] = m end
  end
  return able
end

--- Refuses a model that does not do what is needed.
---@param model argent.Model
---@param need string a key of `provides`
---@param dir string for the message
---@return boolean? ok
---@return string? err
---@return string? code
function M.check(model, need, dir)
  if model.provides[need] then return true end
  local able = {}
  for i, m in ipairs(M.providing(need)) do able[i] = m.name end
  return nil, ('%s: is %s, which cannot %s; use %s'):format(dir:gsub('%c', '?'), model.name,
    NEEDS[need], table.concat(able, ' or ')), 'unsupported'
end

--- Opens a model of any kind that Argent runs.
---@param name? string a directory, a GGUF file, a name on the hub, or nil: see argent.hub.find
---@param opts? {backend: ag.Backend?, dtype: string?, codec: string?} as of the kind's own open
---@return table? model ag.Synthesizer, ag.CodecDecoder, ag.LM, ag.TextEncoder; its model_type says
---which
---@return string? err
---@return string? code 'model', 'unsupported', 'format', 'memory', 'io'
function M.open(name, opts)
  if name ~= nil then check.type(name, 'open: model', 'string') end
  local hub = require 'argent.hub' -- which asks this module what it finds
  local model
  local dir, err, code = hub.find(name)
  if not dir then return nil, err, code end
  model, err, code = M.of(dir)
  if not model then return nil, err, code end
  return model.open(dir, opts) -- a tail call: what it refuses is the caller's line
end

return M
