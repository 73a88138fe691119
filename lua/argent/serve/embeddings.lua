-- POST /v1/embeddings: texts in, a vector for each out, as OpenAI's clients ask for it.

local cqueues = require 'cqueues'
local data_url = require 'argent.audio.data_url'
local ffi = require 'ffi'
local fields = require 'argent.serve.fields'
local json = require 'argent.json'
local limits = require 'argent.serve.limits'
local unicode = require 'argent.text.unicode'

local M = {}

local kinds = fields.kinds
local ALIASES = {['text-embedding-3-small'] = true, ['text-embedding-3-large'] = true,
  ['text-embedding-ada-002'] = true}

-- Texts between two looks at who else waits.
local TOGETHER = 8

local OPENAI = {
  model = kinds.text, encoding_format = kinds.one_of('float', 'base64'), user = kinds.text,
  dimensions = kinds.integer(1, 2 ^ 20),
  input = function(v) return type(v) == 'string' or type(v) == 'table', 'a text, or a list' end,
}

local function read(app, object)
  fields.known(object, fields.names(OPENAI), '')
  for name, valid in pairs(OPENAI) do fields.expect(object, name, valid) end
  fields.model(object.model, app.embeddings.name, ALIASES)
  local width = app.embeddings.enc.cfg.hidden_size
  local asked = fields.expect(object, 'dimensions', OPENAI.dimensions)
  if asked and asked ~= width then
    fields.refuse('dimensions', 'the vectors of this model have %d', width)
  end
  local input = object.input
  if input == nil or input == json.null then fields.refuse('input', 'is missing') end
  local texts = type(input) == 'string' and {input} or input
  if #texts == 0 then fields.refuse('input', 'there is no text') end
  if #texts > limits.vectors then
    fields.refuse('input', 'has %d texts; %d are the limit', #texts, limits.vectors)
  end
  for i, text in ipairs(texts) do
    local where = type(input) == 'string' and 'input' or ('input[%d]'):format(i - 1)
    if type(text) ~= 'string' then fields.refuse(where, 'expected a text') end
    if text == '' then fields.refuse(where, 'is empty') end
    local fault = unicode.fault(text)
    if fault then fields.refuse(where, 'is not valid UTF-8 at byte %d', fault) end
  end
  return {texts = texts, base64 = object.encoding_format == 'base64'}
end

local function encoded(row, base64)
  if not base64 then return json.array(row:totable()) end
  local host, n = row:host()
  return data_url.base64(ffi.string(host, n * 4))
end

--- Answers a request for vectors.
---@param app argent.App
---@param request argent.Request
function M.handle(app, request)
  local asked = fields.asked(app, request, limits.body, read)
  if not asked then return end
  local enc, data, tokens = app.embeddings.enc, {}, 0
  for first = 1, #asked.texts, TOGETHER do
    local some = {unpack(asked.texts, first, math.min(first + TOGETHER - 1, #asked.texts))}
    local vectors, why, code, counts = enc:embed(some)
    if not vectors then
      request:fail(code == 'value' and 400 or 500, why, {code = code})
      return
    end
    for i = 1, #some do
      tokens = tokens + counts[i]
      data[#data + 1] = {object = 'embedding', index = #data,
        embedding = encoded(vectors:select(1, i), asked.base64)}
    end
    cqueues.sleep(0) -- others have their turn
    if request.gone then return end
  end
  request.log.texts, request.log.tokens = #data, tokens
  request:reply(200, {object = 'list', data = data, model = app.embeddings.name,
    usage = {prompt_tokens = tokens, total_tokens = tokens}})
end

--- Adds the route to an app.
---@param app argent.App
---@param enc ag.TextEncoder
---@param opts {name: string}
---@return boolean ok
function M.install(app, enc, opts)
  app.embeddings = {enc = enc, name = opts.name}
  app.served[#app.served + 1] = opts.name
  app:route('POST', '/v1/embeddings', M.handle)
  return true
end

return M
