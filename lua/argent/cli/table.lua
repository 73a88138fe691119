-- The table of the command: its verbs and their options. Help, completion files and the manual page
-- are made from it.

local argparse = require 'argparse'

local M = {}

--- In the order in which they are listed; each is a file beside this one with summary, parser(p)
--- and run(args).
M.VERBS = {
  'say', 'serve', 'clone', 'encode', 'decode', 'voices', 'generate', 'chat', 'embed', 'inspect',
  'quantize', 'tokenize', 'plot', 'bench', 'doctor', 'repl', 'run', 'pull', 'completion', 'man',
}

--- The module of a verb.
function M.verb(name)
  return require('argent.cli.' .. name)
end

local function title(verb)
  return verb.summary:gsub('^%l', string.upper) .. '.'
end

--- The parser of one verb.
---@param name string
---@return table
function M.parser(name)
  local verb = M.verb(name)
  local parser = argparse('argent ' .. name, title(verb)):add_help(false)
  parser:flag('-h --help', 'Show this help and exit.')
  parser:help_max_width(100)
  verb.parser(parser)
  return parser
end

--- The parser of the whole command, a command for each verb. Nothing is parsed with it: it loads
--- every verb.
---@return table
function M.root()
  local root = argparse('argent', 'Speech models in LuaJIT.'):add_help(false)
  root:flag('-h --help', 'Show the verbs and exit.')
  root:flag('--version', 'Show the version and exit.')
  for _, name in ipairs(M.VERBS) do
    local verb = M.verb(name)
    local command = root:command(name, title(verb)):add_help(false)
    command:flag('-h --help', 'Show this help and exit.')
    verb.parser(command)
  end
  return root
end

return M
