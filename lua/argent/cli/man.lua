-- argent man: the manual page, from the table of verbs and options.

local common = require 'argent.cli.common'
local verbs = require 'argent.cli.table'

local M = {summary = 'print the manual page'}

function M.parser(p)
  p:epilog [[
Examples:
  argent man | man -l -
  argent man >~/.local/share/man/man1/argent.1]]
end

local EXIT = {
  {0, 'done'}, {1, 'internal error'}, {2, 'usage'}, {3, 'model missing or invalid'},
  {4, 'bad input text or audio'}, {5, 'out of memory'}, {6, 'input or output failed'},
  {7, 'speech that did not end was stopped'}, {130, 'interrupted'},
}

local ENVIRONMENT = {
  {'ARGENT_MODEL', 'The model where -m is not given: a directory or a name on the hub.'},
  {'ARGENT_ISA', 'The instruction set of the kernels: plain, or one that argent doctor lists.'},
  {'ARGENT_TRACE', 'When set, errors show the Lua stack.'},
  {'HF_HUB_CACHE, HF_HOME', 'Where the hub keeps the models it has fetched.'},
}

-- Text as roff: no line begins with a control character, hyphens are minus signs.
local function roff(text)
  return (text:gsub('\\', '\\e'):gsub('-', '\\-'):gsub('\n([.\'])', '\n\\&%1'):gsub('^([.\'])',
    '\\&%1'))
end

-- What stands before the description of an option or argument.
local function heading(element)
  local names = element._aliases and table.concat(element._aliases, ', ')
  if not names then return '\\fI' .. roff(element._name) .. '\\fR' end
  local values = table.concat(element:_get_argument_list(), ' ')
  return '\\fB' .. roff(names) .. '\\fR ' .. roff(values)
end

local function elements(out, list)
  for _, e in ipairs(list) do
    out[#out + 1] = '.TP'
    out[#out + 1] = heading(e)
    local text = e._description or ''
    if e._default then text = ('%s (default: %s)'):format(text, e._default) end
    out[#out + 1] = roff(text)
  end
end

--- The page, in roff.
---@return string
function M.page()
  local root = verbs.root()
  local out = {
    ('.TH ARGENT 1 "" "argent %s"'):format(require('argent').version),
    '.SH NAME', 'argent \\- speech models in LuaJIT', '.SH SYNOPSIS',
    '\\fBargent\\fR \\fIVERB\\fR [\\fIOPTIONS\\fR]', '.SH DESCRIPTION',
    roff('Text to speech with Qwen3-TTS, on the command line and for scripts. Text, ids and JSON '
      .. 'go to standard output, all else to standard error. No file appears under its final '
      .. 'name before it is complete.'), '.SH VERBS',
  }
  for _, c in ipairs(root._commands) do
    out[#out + 1] = ('.SS %s'):format(roff(c:get_usage():gsub('^Usage: ', ''):gsub('%s+', ' ')))
    out[#out + 1] = roff(c._description)
    elements(out, c._arguments)
    elements(out, c._options)
    local examples = c._epilog
    if examples then
      out[#out + 1] = '.PP'
      out[#out + 1] = '.nf'
      out[#out + 1] = roff(examples)
      out[#out + 1] = '.fi'
    end
  end
  out[#out + 1] = '.SH EXIT STATUS'
  for _, e in ipairs(EXIT) do out[#out + 1] = ('.TP\n%d\n%s'):format(e[1], roff(e[2])) end
  out[#out + 1] = '.SH ENVIRONMENT'
  for _, e in ipairs(ENVIRONMENT) do
    out[#out + 1] = ('.TP\n\\fB%s\\fR\n%s'):format(e[1], roff(e[2]))
  end
  out[#out + 1] = '.SH COPYRIGHT'
  out[#out + 1] = 'The authors of Argent. MIT License; the demo voice: Apache License 2.0.'
  return table.concat(out, '\n')
end

function M.run()
  return common.print(M.page())
end

return M
