-- The `argent` command: finds the verb, parses its options, runs it, and turns what comes back into
-- one line and an exit code.

local argparse = require 'argparse'
local common = require 'argent.cli.common'
local lib = require 'argent.ffi'
local status = require 'argent.status'
local suggest = require 'argent.text.suggest'

local M = {}

local VERBS = {'say', 'decode', 'voices', 'inspect', 'tokenize', 'bench', 'run'}

-- With it set, errors carry the stack, and so run over more than one line.
local trace = os.getenv 'ARGENT_TRACE'

local function fail(verb, err, code)
  local text = tostring(err)
  if not trace then text = text:gsub('%s*\n%s*', '; ') end
  common.note(('argent: %s%s'):format(verb and verb .. ': ' or '', text))
  return common.exit[code] or common.exit.internal
end

local function overview()
  local lines = {'Usage: argent VERB [OPTIONS]', '', 'Verbs:'}
  for _, name in ipairs(VERBS) do
    lines[#lines + 1] = ('  %-10s %s'):format(name, require('argent.cli.' .. name).summary)
  end
  lines[#lines + 1] = '\n`argent VERB --help` lists the options of a verb.'
  return table.concat(lines, '\n')
end

-- Adds a guess to argparse's message about an option it does not know.
local function improve(message, parser)
  local option = message:match "unknown option '([^']+)'"
  if not option then return message end
  local known = {}
  for _, o in ipairs(parser._options) do
    for _, alias in ipairs(o._aliases) do known[#known + 1] = alias end
  end
  local guess = suggest.closest(option, known)
  return guess and ("unknown option '%s', did you mean %s?"):format(option, guess)
    or ("unknown option '%s'"):format(option)
end

-- The parsed options, or nil and an exit code when there is nothing to run.
local function parse(name, verb, argv)
  if verb.raw and argv[1] ~= '--help' and argv[1] ~= '-h' then return argv end
  local title = verb.summary:gsub('^%l', string.upper) .. '.'
  local parser = argparse('argent ' .. name, title):add_help(false)
  parser:flag('-h --help', 'Show this help and exit.')
  parser:help_max_width(100)
  verb.parser(parser)
  for _, word in ipairs(argv) do
    if word == '--' then break end
    if word == '--help' or word == '-h' then
      return nil, common.print((parser:get_help())) or common.exit.io
    end
  end
  local ok, args = parser:pparse(argv)
  if ok then return args end
  local message = ('%s (see argent %s --help)'):format(improve(args, parser), name)
  return nil, fail(name, message, 'usage')
end

-- What was raised, as text and a code. After Ctrl-C any error counts as the interrupt: it passes
-- through code that may wrap it.
local function raised(e)
  if lib.ag_interrupted() ~= 0 then return 'interrupted', 'interrupted' end
  if status.is_fault(e) then return e.message, e.code end
  if type(e) ~= 'string' and not getmetatable(e) then
    return 'the error is not a text but a ' .. type(e), 'internal'
  end
  local text = tostring(e)
  if text:find '^not enough memory' then return 'out of memory', 'memory' end
  return text, text:find 'out of memory' and 'memory' or 'internal'
end

--- Runs the command line and returns the exit code.
---@param argv string[] with the program's name at 0
---@return integer
function M.main(argv)
  local name = argv[1]
  if name == '--version' then
    return common.print('argent ' .. require('argent').version) or common.exit.io
  end
  if name == '--help' or name == '-h' then return common.print(overview()) or common.exit.io end
  if not name then
    common.note(overview())
    return common.exit.usage
  end
  local known = false
  for _, v in ipairs(VERBS) do known = known or v == name end
  if not known then
    local guess = suggest.closest(name, VERBS)
    return fail(nil, ("unknown verb '%s'%s (argent --help lists them)"):format(name,
      guess and ', did you mean ' .. guess .. '?' or ''), 'usage')
  end
  local rest = {}
  for i = 2, #argv do rest[i - 1] = argv[i] end
  local verb = require('argent.cli.' .. name)
  local args, code = parse(name, verb, rest)
  if not args then return code end
  local ok, result, err, kind = xpcall(verb.run, function(e)
    return trace and type(e) == 'string' and debug.traceback(e, 2) or e
  end, args)
  if not ok then return fail(name, raised(result)) end
  if result then return result end
  return fail(name, err, kind)
end

return M
