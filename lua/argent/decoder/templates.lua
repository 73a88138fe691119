-- Chat templates: how messages become the text that a model was taught to answer. Models carry
-- theirs as a program in Jinja, which is not run: it is known by its text, and rendered here. One
-- that is not known is refused, since a chat in another form is answered badly without a sign.

local check = require 'argent.check'
local json = require 'argent.json'
local lfs = require 'lfs'

local M = {}

local LIMIT = 64 * 2 ^ 20

-- Messages between <|im_start|> and <|im_end|>; `system` is said where the first message is none.
local function chatml(system)
  return function(messages)
    local out = {}
    if system and messages[1].role ~= 'system' then
      out[1] = ('<|im_start|>system\n%s<|im_end|>\n'):format(system)
    end
    for _, m in ipairs(messages) do
      out[#out + 1] = ('<|im_start|>%s\n%s<|im_end|>\n'):format(m.role, m.content)
    end
    return table.concat(out) .. '<|im_start|>assistant\n'
  end
end

-- What Jinja's trim takes away: Python's white space in ASCII.
local function trim(text)
  return text:match '^[%s\28-\31]*(.-)[%s\28-\31]*$'
end

local function llama3(messages)
  local out = {'<|begin_of_text|>'}
  for _, m in ipairs(messages) do
    out[#out + 1] = ('<|start_header_id|>%s<|end_header_id|>\n\n%s<|eot_id|>'):format(m.role,
      trim(m.content))
  end
  return table.concat(out) .. '<|start_header_id|>assistant<|end_header_id|>\n\n'
end

local QWEN2 = 'You are a helpful assistant.'
local SMOLLM2 = 'You are a helpful AI assistant named SmolLM, trained by Hugging Face'
local RENDER = {
  chatml = chatml(), llama3 = llama3, qwen2 = chatml(QWEN2), smollm2 = chatml(SMOLLM2),
}

-- The Jinja texts, with line ends in strings as \n.
local PLAIN = [[{{'<|im_start|>' + message['role'] + '\n' + message['content'] + ]]
  .. [['<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}]]
  .. [[{{ '<|im_start|>assistant\n' }}{% endif %}]]
local function first(system)
  return [[{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}]]
    .. [[{{ '<|im_start|>system\n]] .. system .. [[<|im_end|>\n' }}{% endif %}]] .. PLAIN
end
local TEXTS = {
  ['{% for message in messages %}' .. PLAIN] = 'chatml',
  [first(QWEN2)] = 'qwen2', [first(SMOLLM2)] = 'smollm2',
  [ [[{% set loop_messages = messages %}{% for message in loop_messages %}]]
    .. [[{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ ]]
    .. [[message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}]]
    .. [[{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}]]
    .. [[{% if add_generation_prompt %}]]
    .. [[{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}]] ] = 'llama3',
}

--- The names of the templates that are known.
M.names = {}
for name in pairs(RENDER) do M.names[#M.names + 1] = name end
table.sort(M.names)

--- The name of a template; nil for none, and for one that is not known.
---@param text string? in Jinja
---@return string?
function M.name(text)
  return type(text) == 'string' and TEXTS[(text:gsub('\n', '\\n'))] or nil
end

--- The template of a Hugging Face folder: chat_template.jinja, or of tokenizer_config.json.
---@param dir string
---@return string? text nil where there is none
---@return string? err
function M.of_folder(dir)
  local f = io.open(dir .. '/chat_template.jinja', 'rb')
  if f then
    local text = f:read(2 ^ 20)
    f:close()
    return text
  end
  local path = dir .. '/tokenizer_config.json'
  if not lfs.attributes(path, 'mode') then return nil end
  local values, err = json.read(path, LIMIT)
  if not values then return nil, err end
  return type(values.chat_template) == 'string' and values.chat_template or nil
end

--- The text of a chat whose next answer is wanted.
---@param name string? one of `names`; nil is an error value
---@param messages {role: string, content: string}[]
---@param level? integer levels up to the line to blame
---@return string? text
---@return string? err
function M.render(name, messages, level)
  level = level or 0
  if not name then
    return nil, 'the model has no chat template that is known (' .. table.concat(M.names, ', ')
      .. '); give the text itself as prompt, or name one: lm.template = ...'
  end
  check.one_of(name, 'template', M.names, level)
  check.type(messages, 'messages', 'table', level)
  if #messages == 0 then error('messages: expected at least one', level + 2) end
  for i, m in ipairs(messages) do
    local where = ('messages[%d]'):format(i)
    check.options(check.type(m, where, 'table', level), where, {'role', 'content'}, level)
    check.one_of(m.role, where .. '.role', {'system', 'user', 'assistant'}, level)
    check.type(m.content, where .. '.content', 'string', level)
  end
  return RENDER[name](messages)
end

return M
