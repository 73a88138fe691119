-- argent chat: a conversation with a language model.

local common = require 'argent.cli.common'
local posix = require 'argent.posix'
local templates = require 'argent.decoder.templates'
local writing = require 'argent.cli.writing'

local M = {summary = 'talk with a language model'}

function M.parser(p)
  p:argument('text', 'One message; without it, messages are read, one a line.'):args '*'
  common.text_options(p)
  p:option('--system', 'What the model is told beforehand.'):argname '<text>'
  p:option('--template', "How messages become text, where the model's own way is not known.")
    :choices(templates.names)
  writing.options(p)
  p:flag('--json', 'Print a JSON object for each answer: text, ids, ended, seed, prompt_tokens, '
    .. 'seconds.')
  p:epilog [[
Without a message every line of standard input is one, and every answer is part of what the next one
knows. Ctrl-D ends the conversation.

Examples:
  argent chat 'What is the capital of France?' -m SmolLM2-135M-Instruct.Q4_1.gguf
  argent chat -m Qwen3-0.6B --system 'Answer in one sentence.'
  printf 'My name is Ada.\nWhat is my name?\n' | argent chat -m Qwen3-0.6B --greedy]]
end

-- The messages of a person, one after the other: the one that is given, or the lines of standard
-- input.
local function asked(args)
  if args.file or #args.text > 0 and not common.text_from_input(args) then
    local text, err, code = common.text(args)
    if not text then return nil, err, code end
    local given = false
    return function()
      if given then return nil end
      given = true
      return (text:gsub('[\r\n]+$', ''))
    end
  end
  local terminal = posix.isatty(0)
  return function()
    while true do
      if terminal then io.stderr:write '> ' end
      local line = io.stdin:read '*l'
      if not line or line:find '%S' then return line end
    end
  end
end

function M.run(args)
  local next_message, err, code = asked(args)
  if not next_message then return nil, err, code end
  local lm
  lm, err, code = common.open_model(args, 'text')
  if not lm then return nil, err, code end
  lm.template = args.template or lm.template
  if not lm.template then
    return nil, ('%s: its chat template is not one of those that are known; name one by '
      .. '--template: %s'):format(lm.path, table.concat(templates.names, ', ')), 'model'
  end
  local messages = {args.system and {role = 'system', content = args.system} or nil}
  for line in next_message do
    messages[#messages + 1] = {role = 'user', content = line}
    local opts = writing.of(args)
    opts.messages = messages
    local text
    text, err, code = writing.write(lm, opts, args.json)
    if not text then return nil, err, code end
    messages[#messages + 1] = {role = 'assistant', content = text}
  end
  return 0
end

return M
