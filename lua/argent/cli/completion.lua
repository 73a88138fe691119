-- argent completion: what a shell needs to complete verbs and options.

local common = require 'argent.cli.common'
local verbs = require 'argent.cli.table'

local M = {summary = 'print a completion file for a shell'}

function M.parser(p)
  p:argument('shell', 'bash, zsh or fish.'):choices {'bash', 'zsh', 'fish'}
  p:epilog [[
Examples:
  argent completion bash >~/.local/share/bash-completion/completions/argent
  argent completion fish >~/.config/fish/completions/argent.fish]]
end

function M.run(args)
  local root = verbs.root()
  local text = root['get_' .. args.shell .. '_complete'](root)
  return common.print((text:gsub('%s+$', '')))
end

return M
