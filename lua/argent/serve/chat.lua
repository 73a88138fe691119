-- POST /v1/chat/completions: a chat in, its next answer out, whole or while it is written, as
-- OpenAI's clients ask for it.

local Texts = require 'argent.serve.texts'
local fields = require 'argent.serve.fields'
local json = require 'argent.json'
local limits = require 'argent.serve.limits'
local templates = require 'argent.decoder.templates'
local unicode = require 'argent.text.unicode'

local M = {}

local kinds = fields.kinds
local ALIASES = {['gpt-4o'] = true, ['gpt-4o-mini'] = true, ['gpt-3.5-turbo'] = true}
local ROLES = kinds.one_of('system', 'developer', 'user', 'assistant')

-- What cannot be had here may be asked for only as what is had anyway.
local function only(value, said)
  return function(v) return v == value, said end
end

local function empty(v) return type(v) == 'table' and next(v) == nil, 'nothing' end

local OPENAI = {
  model = kinds.text, messages = kinds.list, max_tokens = kinds.integer(1, 2 ^ 31 - 1),
  max_completion_tokens = kinds.integer(1, 2 ^ 31 - 1), stream = kinds.boolean,
  stream_options = kinds.object, temperature = kinds.number(0, 2), top_p = kinds.number(0, 1),
  seed = kinds.integer(0, 2 ^ 53), user = kinds.text, n = only(1, '1'),
  logprobs = only(false, 'false'), frequency_penalty = only(0, '0'),
  presence_penalty = only(0, '0'), logit_bias = empty, tools = empty, store = only(false, 'false'),
  metadata = kinds.object, response_format = kinds.object, argent = kinds.object,
  stop = function(v)
    local list = type(v) == 'string' and {v} or v
    local fine = type(list) == 'table' and #list <= 4
    for _, s in ipairs(fine and list or {}) do fine = fine and type(s) == 'string' and s ~= '' end
    return fine, 'a text, or a list of at most 4'
  end,
}

--- Our own fields, under `argent`, by their names in the library.
M.OWN = {
  greedy = kinds.boolean, temperature = kinds.number(1e-3, 1e3), top_k = kinds.integer(0, 2 ^ 20),
  min_p = kinds.number(0, 1), repetition_penalty = kinds.number(1e-3, 1e3),
  stream = kinds.integer(0, 2 ^ 32 - 1),
}

-- The text of a message: a string, or parts that are texts.
local function content_of(message, where)
  local content = message.content
  if content == json.null then content = nil end
  if type(content) == 'table' then
    local parts = {}
    for i, part in ipairs(content) do
      local at = ('%s.content[%d]'):format(where, i - 1)
      if type(part) ~= 'table' or part.type ~= 'text' or type(part.text) ~= 'string' then
        fields.refuse(at, 'expected {"type": "text", "text": "..."}')
      end
      parts[i] = part.text
    end
    content = table.concat(parts)
  end
  if type(content) ~= 'string' then fields.refuse(where .. '.content', 'expected a string') end
  local fault = unicode.fault(content)
  if fault then
    fields.refuse(where .. '.content', 'is not valid UTF-8 at byte %d', fault)
  end
  return content
end

local function messages_of(object)
  local list = {}
  for i, message in ipairs(fields.expect(object, 'messages', kinds.list) or {}) do
    local where = ('messages[%d]'):format(i - 1)
    if type(message) ~= 'table' then fields.refuse(where, 'expected an object') end
    fields.known(message, {'role', 'content', 'name', 'refusal'}, where .. '.')
    local role = fields.expect(message, 'role', ROLES, where .. '.')
    if not role then fields.refuse(where .. '.role', 'is missing') end
    list[i] = {role = role == 'developer' and 'system' or role,
      content = content_of(message, where)}
  end
  if #list == 0 then fields.refuse('messages', 'there is no message to answer') end
  return list
end

local function read(app, object)
  fields.known(object, fields.names(OPENAI), '')
  for name, valid in pairs(OPENAI) do fields.expect(object, name, valid) end
  fields.model(object.model, app.chat.name, ALIASES)
  local function get(name)
    local v = object[name]
    if v ~= json.null then return v end
  end
  local format = get 'response_format'
  if format and format.type ~= 'text' then
    fields.refuse('response_format.type', 'expected text, which is all there is here')
  end
  local temperature = get 'temperature'
  local opts = {
    messages = messages_of(object), seed = get 'seed', top_p = get 'top_p', stop = get 'stop',
    max_tokens = get 'max_completion_tokens' or get 'max_tokens' or limits.tokens,
  }
  -- OpenAI's temperature of 0 is the likeliest token; any other means that there is to be drawn.
  if temperature == 0 then opts.greedy = true
  elseif temperature then opts.greedy, opts.temperature = false, math.max(temperature, 1e-3) end
  local own = get 'argent' or {}
  fields.known(own, fields.names(M.OWN), 'argent.')
  for name, valid in pairs(M.OWN) do
    local v = fields.expect(own, name, valid, 'argent.')
    if v ~= nil then opts[name] = v end
  end
  opts.seed = opts.seed or app:seed()
  local shown = get 'stream_options' or {}
  return {opts = opts, stream = get 'stream' == true, usage = shown.include_usage == true}
end

local REFUSED = {busy = 429, value = 400, capacity = 400, memory = 400, stopping = 503}

local function refuse(app, request, err, code)
  local status = REFUSED[code] or 500
  request:fail(status, tostring(err), {
    code = code == 'capacity' and 'context_length_exceeded' or code, headers = {
      ['retry-after'] = status == 429 and ('%d'):format(app:wait_time()) or nil,
      ['x-should-retry'] = status ~= 429 and 'false' or nil,
    },
  })
end

local REASONS = {limit = 'length', eos = 'stop', stop = 'stop', stopped = 'stop'}

local function usage_of(g)
  return {prompt_tokens = #g.prompt_ids, completion_tokens = #g.ids,
    total_tokens = #g.prompt_ids + #g.ids}
end

local function event(object)
  return 'data: ' .. (type(object) == 'string' and object or json.encode(object)) .. '\n\n'
end

-- The answer in events, from the first piece on.
local function stream(app, request, ticket, asked, head)
  local piece, err, code = ticket:next()
  if err then return nil, err, code end
  if not request:start(200, {['content-type'] = 'text/event-stream',
    ['x-argent-seed'] = ('%.0f'):format(asked.opts.seed)}) then return true end
  local function send(choices, usage)
    local o = {object = 'chat.completion.chunk', choices = json.array(choices), usage = usage}
    for k, v in pairs(head) do o[k] = v end
    return request:send(event(o))
  end
  local function delta(d, reason)
    return send {{index = 0, delta = d, logprobs = json.null, finish_reason = reason or json.null}}
  end
  delta {role = 'assistant', content = ''}
  while piece and not request.gone do
    if not delta {content = unicode.repaired(piece)} then return true end
    piece, err, code = ticket:next()
  end
  if err then
    request:send(event {error = {message = err, code = code or json.null}})
    request.log.error = err
    request:cut()
    return true
  end
  delta({}, REASONS[ticket.g.ended])
  if asked.usage then send({}, usage_of(ticket.g)) end
  request:send(event '[DONE]')
  request:finish()
  app.metrics:add('argent_tokens_total', #ticket.g.ids)
  return true
end

local function whole(app, request, ticket, asked, head)
  while true do
    local piece, err, code = ticket:next()
    if err then return nil, err, code end
    if not piece then break end
  end
  local g = ticket.g
  local o = {object = 'chat.completion', usage = usage_of(g), choices = {{
    index = 0, message = {role = 'assistant', content = unicode.repaired(g:text()),
      refusal = json.null},
    logprobs = json.null, finish_reason = REASONS[g.ended],
  }}}
  for k, v in pairs(head) do o[k] = v end
  app.metrics:add('argent_tokens_total', #g.ids)
  request:reply(200, o, {['x-argent-seed'] = ('%.0f'):format(asked.opts.seed)})
  return true
end

--- Answers a chat.
---@param app argent.App
---@param request argent.Request
function M.handle(app, request)
  local asked = fields.asked(app, request, limits.body, read)
  if not asked then return end
  if app.stopping then
    refuse(app, request, 'the server is stopping', 'stopping')
    return
  end
  if asked.stream and request.stream.peer_version == 1.0 then
    request:fail(400, 'stream: needs HTTP/1.1', {param = 'stream'})
    return
  end
  local ticket, err, code = app.chat.texts:submit(asked.opts)
  if not ticket then
    refuse(app, request, err, code)
    return
  end
  request:watch(function() ticket:cancel() end)
  local head = {id = 'chatcmpl-' .. request.id, created = os.time(), model = app.chat.name}
  local done, ok
  done, ok, err, code = pcall(asked.stream and stream or whole, app, request, ticket, asked, head)
  ticket:cancel()
  local g = ticket.g
  if g then request.log.ended, request.log.tokens = g.ended, #g.ids end
  if not done then error(ok, 0) end
  if not ok then refuse(app, request, err, code) end
end

--- Adds the route to an app.
---@param app argent.App
---@param lm ag.LM
---@param opts {name: string, rows: integer?, queue: integer?}
---@return boolean? ok
---@return string? err where the model has no chat template that is known
---@return string? code
function M.install(app, lm, opts)
  if not lm.template then
    return nil, ('%s: its chat template is not one of those that are known: %s'):format(lm.path,
      table.concat(templates.names, ', ')), 'model'
  end
  app.chat = {lm = lm, name = opts.name,
    texts = Texts.new(lm, opts.rows or limits.texts, opts.queue or 64)}
  app.others[#app.others + 1] = app.chat.texts
  app.served[#app.served + 1] = opts.name
  app:route('POST', '/v1/chat/completions', M.handle)
  return true
end

return M
