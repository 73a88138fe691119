-- The models that Argent runs: what `model_type` of a directory's config.json stands for. Commands,
-- the hub and `ag.open` ask here, so that a new family is a module and a line in this list.

local check = require 'argent.check'
local json = require 'argent.json'
local lfs = require 'lfs'
local suggest = require 'argent.text.suggest'

local M = {}

-- In this order they are listed, and asked whether a name on the hub is theirs.
local TYPES = {'qwen3_tts', 'qwen3_tts_tokenizer_12hz'}
local MODULES = {
  qwen3_tts = 'argent.qwen3_tts.model',
  qwen3_tts_tokenizer_12hz = 'argent.qwen3_tts.codec_model',
}

--- What models can be needed for, and how messages call it.
local NEEDS = {speech = 'speak', codec = 'encode and decode sound'}

---@class argent.Model a kind of model, as its module describes it. What is heavy is loaded by the
---functions, so that a list of models costs nothing.
---@field type string model_type; models that are open carry it as `model_type`
---@field name string for people
---@field provides table<string, true> 'speech', 'codec'
---@field released string[] names on the hub
---@field files string[] what every directory has; weights may be behind an index
---@field matches fun(name: string): boolean whether a repository of that name, without its owner,
---is one of these; for directories that are incomplete
---@field open fun(dir: string, opts: table): table?, string?, string? the model, or nil, err, code
---@field summary fun(model: table): string an open model in one line
---@field describe fun(dir: string): {kind: string, size: string?}? from its configuration
---@field fault fun(dir: string, be: ag.Backend): string? what it lacks or keeps it from opening
---@field inspect fun(dir: string, be: ag.Backend): argent.Inspection?, string?
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
  for i, name in ipairs(TYPES) do list[i] = M.get(name) end
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

--- The kind of model in a directory, by its config.json.
---@param dir string
---@return argent.Model?
---@return string? err names the file, what it says, and what is known
---@return string? code 'model', or 'unsupported' for a model that Argent does not run
function M.of(dir)
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
  local known = {}
  for _, m in ipairs(M.all()) do known[#known + 1] = ('%s (%s)'):format(m.type, m.name) end
  local guess = type(model_type) == 'string' and suggest.closest(model_type, TYPES)
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
  for _, m in ipairs(M.all()) do
    if m.provides[need] then able[#able + 1] = m.name end
  end
  return nil, ('%s: is %s, which cannot %s; use %s'):format(dir:gsub('%c', '?'), model.name,
    NEEDS[need], table.concat(able, ' or ')), 'unsupported'
end

--- Opens a model of any kind that Argent runs.
---@param name? string a directory, a name on the hub, or nil: see argent.hub.find
---@param opts? {backend: ag.Backend?, dtype: string?, codec: string?} as of the kind's own open
---@return table? model ag.Synthesizer, ag.CodecDecoder, ...; its model_type says which
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
