-- argent generate: a language model continues a text.

local common = require 'argent.cli.common'
local writing = require 'argent.cli.writing'

local M = {summary = 'continue a text with a language model'}

function M.parser(p)
  p:argument('text', 'The text to continue.'):args '*'
  common.text_options(p)
  writing.options(p)
  p:flag('--json', 'Print a JSON object: text, ids, ended, seed, prompt_tokens, seconds.')
  p:epilog [[
Special tokens in the text, such as <|im_start|>, are those tokens. Line breaks at the end of the
text, wherever it comes from, are left out.

Examples:
  argent generate 'Once upon a time' -m SmolLM2-135M-Instruct.Q4_1.gguf --max-tokens 60
  argent generate -f draft.txt -m Qwen3-0.6B --greedy --json | jq -r .text]]
end

function M.run(args)
  local text, lm, err, code
  text, err, code = common.text(args)
  if not text then return nil, err, code end
  lm, err, code = common.open_model(args, 'text')
  if not lm then return nil, err, code end
  local opts = writing.of(args)
  opts.prompt = text:gsub('[\r\n]+$', '')
  text, err, code = writing.write(lm, opts, args.json)
  if not text then return nil, err, code end
  return 0
end

return M
