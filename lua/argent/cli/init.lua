-- The `argent` command: finds the verb, parses its options, runs it, and turns what comes back into
-- one line and an exit code.

local common = require 'argent.cli.common'
local lib = require 'argent.ffi'
local status = require 'argent.status'
local suggest = require 'argent.text.suggest'
local verbs = require 'argent.cli.table'

local M = {}

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
  for _, name in ipairs(verbs.VERBS) do
    lines[#lines + 1] = ('  %-10s %s'):format(name, verbs.verb(name).summary)
  end
  lines[#lines + 1] = [[

`argent VERB --help` lists the options of a verb.

Examples:
  argent say 'Good morning.' --voice ryan -o morning.wav
  argent say --help]]
  return table.concat(lines, '\n')
end

-- What was given to an option.
local function given(argv, option)
  for i, word in ipairs(argv) do
    if word == option then return argv[i + 1] end
    if word:sub(1, #option + 1) == option .. '=' then return word:sub(#option + 2) end
  end
end

-- What people call a choice that has another name here.
local MEANT = {
  gpu = 'cuda', nvidia = 'cuda', card = 'cuda', spectrogram = 'mel', spectrum = 'mel',
  wave = 'waveform',
}

-- The choice that a word stands for, or nil.
local function guess_choice(word, choices)
  for _, choice in ipairs(choices) do
    if MEANT[word:lower()] == choice then return choice end
  end
  return suggest.closest(word, choices)
end

-- Adds a guess to argparse's message about a choice that it does not know.
local function improve_choice(message, parser, argv)
  local guess
  local option = message:match "^argument for option '([^']+)'"
  for _, o in ipairs(parser._options) do
    for _, alias in ipairs(o._aliases) do
      local value = alias == option and given(argv, option)
      guess = guess or value and guess_choice(value, o._choices)
    end
  end
  local argument = message:match "^argument '([^']+)'"
  for _, a in ipairs(parser._arguments) do
    for _, word in ipairs(a._name == argument and argv or {}) do
      guess = guess or word:sub(1, 1) ~= '-' and guess_choice(word, a._choices)
    end
  end
  return guess and ('%s, did you mean %s?'):format(message, guess) or message
end

-- Adds to argparse's message what it does not say: how many arguments there may be, what may have
-- been meant.
local function improve(message, name, parser, argv)
  if message:find 'must be one of' then return improve_choice(message, parser, argv) end
  if message == 'too many arguments' then
    local takes = parser._arguments[1]
    return ('%s: %s takes %s'):format(message, name, takes and 'one ' .. takes._name .. ' at a time'
      or 'options only')
  end
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

-- A negative number behind an option is its value and not an option of its own, as argparse would
-- have it.
local function join_negatives(parser, argv)
  local takes, joined = {}, {}
  for _, o in ipairs(parser._options) do
    for _, alias in ipairs(o._aliases) do takes[alias] = o._maxargs > 0 end
  end
  local ended = false
  for i, word in ipairs(argv) do
    local before = joined[#joined]
    ended = ended or before == '--'
    if not ended and word:find '^%-' and tonumber(word) and takes[before]
      and before == argv[i - 1] then
      joined[#joined] = before .. (before:find '^%-%-' and '=' or '') .. word
    else
      joined[#joined + 1] = word
    end
  end
  return joined
end

-- The parsed options, or nil and an exit code when there is nothing to run.
local function parse(name, verb, argv)
  if verb.raw and argv[1] ~= '--help' and argv[1] ~= '-h' then return argv end
  local parser = verbs.parser(name)
  for _, word in ipairs(argv) do
    if word == '--' then break end
    if word == '--help' or word == '-h' then
      return nil, common.print((parser:get_help())) or common.exit.io
    end
  end
  local ok, args = parser:pparse(join_negatives(parser, argv))
  if ok then return args end
  local message = ('%s (see argent %s --help)'):format(improve(args, name, parser, argv), name)
  return nil, fail(name, message, 'usage')
end

-- How errors begin, after the place they name, that LuaJIT and `require` raise by themselves.
local LOADING = {
  '^not enough memory', "%f[%a]error loading module '", "%f[%a]module '[^']*' not found:",
}

local function no_memory(text)
  for _, pattern in ipairs(LOADING) do
    if text:find(pattern) then return lib.ag_out_of_memory(text) ~= 0 end
  end
end

-- What was raised, as text and a code. After Ctrl-C any error counts as the interrupt: it passes
-- through code that may wrap it.
local function raised(e)
  if lib.ag_interrupted() ~= 0 then return 'interrupted', 'interrupted' end
  if status.is_fault(e) then return e.message, e.code end
  if type(e) ~= 'string' and not getmetatable(e) then
    return ("the error is not a text but %s: use error('text'), or return nil, 'text', code")
      :format(require('argent.show').show(e)), 'internal'
  end
  local text = tostring(e)
  if no_memory(text) then return 'out of memory', 'memory' end
  return text, 'internal'
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
  if name == 'help' then -- argent help say
    argv = {[0] = argv[0], argv[2] or '--help', argv[2] and '--help'}
    return M.main(argv)
  end
  local known = false
  for _, v in ipairs(verbs.VERBS) do known = known or v == name end
  if not known then
    local guess = suggest.closest(name, verbs.VERBS)
    return fail(nil, ("unknown verb '%s'%s (argent --help lists them)"):format(name,
      guess and ', did you mean ' .. guess .. '?' or ''), 'usage')
  end
  local rest = {}
  for i = 2, #argv do rest[i - 1] = argv[i] end
  local verb = verbs.verb(name)
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
