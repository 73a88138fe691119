-- argent tokenize: text to ids, as a JSON array, without the chat template.

local Tokenizer = require 'argent.text.tokenizer'
local common = require 'argent.cli.common'
local json = require 'argent.json'
local models = require 'argent.models'

local M = {summary = 'print the token ids of a text'}

function M.parser(p)
  p:argument('text', 'The text.'):args '*'
  common.text_options(p)
  common.model_option(p)
  p:flag('--special', 'Recognise added tokens such as <|im_end|> in the text.')
  common.pattern_option(p)
  p:epilog [[
Examples:
  argent tokenize 'Hello, world!'
  argent tokenize -f chapter.txt | jq length
  argent tokenize 'Hello' -m SmolLM2-135M-Instruct.Q4_1.gguf]]
end

-- Models that speak share one tokenizer; the others say which is theirs.
local function tokenizer_of(dir)
  local kind = models.of(dir)
  local tok, err
  if kind and kind.tokenizer then tok, err = kind.tokenizer(dir)
  else tok, err = Tokenizer.open(dir) end
  return tok, err
end

-- Whether the tokenizer has the pattern that was asked for.
local function has(tok, pattern)
  for _, name in ipairs(tok.names) do
    if name == pattern then return true end
  end
  return false
end

function M.run(args)
  local text, err, code = common.text(args)
  if not text then return nil, err, code end
  local dir
  dir, err, code = common.find_model(args.model)
  if not dir then return nil, err, code end
  local tok
  tok, err = tokenizer_of(dir)
  if not tok then return nil, err, 'model' end
  if not has(tok, args.pattern) then
    return nil, ('--pattern %s: this tokenizer splits in one way only'):format(args.pattern),
      'usage'
  end
  local ids
  ids, err = tok:encode(text, {special = args.special, pattern = args.pattern})
  if not ids then return nil, err, 'value' end
  return common.print(json.encode(json.array(ids)))
end

return M
