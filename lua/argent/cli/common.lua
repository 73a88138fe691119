-- What the verbs of the command share: exit codes, text and model arguments, messages, output.

local Backend = require 'argent.backend'
local Session = require 'argent.nn.session'
local dtypes = require 'argent.dtype'
local files = require 'argent.files'
local hub = require 'argent.hub'
local lfs = require 'lfs'
local models = require 'argent.models'
local paths = require 'argent.cli.paths'
local posix = require 'argent.posix'

local M = {}

--- Exit codes of the command, by the code names that `nil, err, code` returns carry.
M.exit = {
  done = 0, internal = 1, usage = 2, model = 3, format = 3, unsupported = 3, value = 4,
  capacity = 4, memory = 5, io = 6, runaway = 7, interrupted = 130,
}

local TEXT_LIMIT = 2 ^ 20

--- A line for a person, on standard error. What names and other people's texts bring into it must
--- not steer a terminal, so control characters are escaped.
function M.note(line)
  line = line:gsub('[^\n\t]+', paths.shown) -- a stack has lines and tabs of its own
  io.stderr:write(line, '\n')
end

--- Writes a line to standard output, where text, ids and JSON go.
---@return integer? exit_code
---@return string? err
---@return string? code
function M.print(line)
  local ok, err = io.stdout:write(line, '\n')
  if ok then ok, err = io.stdout:flush() end
  if not ok then return nil, 'standard output: ' .. tostring(err), 'io' end
  return 0
end

--- Writes a file whole or not at all.
M.write_file = files.write

--- A function that rewrites one progress line on a terminal and is silent elsewhere; called without
--- text it clears the line.
function M.progress()
  local terminal = posix.isatty(2)
  return function(text)
    if terminal then io.stderr:write('\r\27[K', text or '') end
  end
end

-- ---- option values ----

local function ranged(p, name, argname, help, valid, expected, instead)
  p:option(name, help):argname(argname):convert(function(s)
    local v = tonumber(s)
    if v and valid(v) then return v end
    return nil, ("%s: expected %s, got '%s'%s"):format(name, expected, s,
      v == 0 and instead and '; ' .. instead or '')
  end)
end

--- An option that takes an integer from lo to hi.
function M.integer_option(p, name, lo, hi, help)
  ranged(p, name, '<n>', help, function(v) return v % 1 == 0 and v >= lo and v <= hi end,
    ('an integer from %.0f to %.0f'):format(lo, hi))
end

--- An option that takes a number from lo to hi; `instead` is what to do who gives 0.
function M.number_option(p, name, lo, hi, help, instead)
  ranged(p, name, '<x>', help, function(v) return v >= lo and v <= hi end,
    ('a number from %g to %g'):format(lo, hi), instead)
end

-- ---- text ----

function M.text_options(p)
  p:option('-f --file', 'Read the text from a file (- for standard input).'):argname '<file>'
end

--- How a text is split before it is tokenized.
function M.pattern_option(p)
  p:option('--pattern', 'How text is split before merging; local_directory is what the official '
    .. 'package does with a local directory.', 'native'):choices {'native', 'local_directory'}
end

--- Everything in a file, or in standard input for '-'.
function M.read_input(path, limit)
  local name = path == '-' and 'standard input' or path
  local f, err, errno
  if path == '-' then
    f = io.stdin
  else
    f, err, errno = io.open(path, 'rb')
    if not f then return nil, err, posix.code(errno) end
    if lfs.attributes(path, 'mode') == 'directory' then
      f:close()
      return nil, path .. ': is a directory', 'io'
    end
  end
  local text
  text, err = f:read(limit + 1)
  if path ~= '-' then f:close() end
  if err then return nil, ('%s: %s'):format(name, err), 'io' end
  text = text or ''
  if #text > limit then return nil, ('%s: more than %d bytes'):format(name, limit), 'value' end
  return text
end

-- Standard input may hold a text when it is a pipe or a file, but not when it is a terminal,
-- /dev/null or closed.
local INPUT = {['named pipe'] = true, file = true, socket = true}

--- Whether the text is that of standard input: asked for by `-`, or because no text is given and
--- a pipe or a file stands there.
---@return boolean
function M.text_from_input(args)
  local words = type(args.text) == 'table' and args.text or {args.text}
  if args.file then return args.file == '-' and #words == 0 end
  if #words == 0 then return INPUT[posix.kind '/dev/stdin'] or false end
  return #words == 1 and words[1] == '-'
end

--- The text of `-f FILE`, of standard input, or of the arguments joined by spaces, byte for byte.
---@param args table
---@param limit? integer bytes, default 1 MB
---@return string? text
---@return string? err
---@return string? code
function M.text(args, limit)
  limit = limit or TEXT_LIMIT
  local words = type(args.text) == 'table' and args.text or {args.text}
  if args.file and #words > 0 then
    return nil, 'the text is given twice: as arguments and by --file', 'usage'
  end
  if M.text_from_input(args) then return M.read_input('-', limit) end
  if args.file then return M.read_input(args.file, limit) end
  if #words == 0 then
    return nil, 'no text: give it as an argument, with -f FILE, or - for standard input', 'usage'
  end
  return table.concat(words, ' ')
end

-- ---- model ----

function M.model_option(p)
  p:option('-m --model', 'Model directory, or name on the hub (default: $ARGENT_MODEL, else the '
    .. "only model in the hub's cache, else the demo voice)."):argname '<model>'
end

--- The same for verbs of models that work with texts, of which none comes with Argent.
---@param p table
---@param what string
function M.text_model_option(p, what)
  p:option('-m --model', ('%s, or name on the hub (default: $ARGENT_MODEL, else the only one in '
    .. "the hub's cache)."):format(what)):argname '<model>'
end

--- Of the linear weights.
---@param p table
---@param default? string default 'bf16'
function M.dtype_option(p, default)
  p:option('--dtype', ('Of the linear weights (default: %s): f32 is the reference mode, q8 and q4 '
    .. 'have 8 and 4 bits, on the CPU. A model that is stored in q8 or q4 is used so.'):format(
    default or 'bf16')):choices(dtypes.weights)
end

--- Of keys and values.
function M.cache_option(p)
  p:option('--cache-dtype', 'Of the keys and values that are kept: bf16 takes half the memory of '
    .. 'f32 (default: f32 where the weights are f32 or bf16).'):choices(Session.DTYPES)
end

--- Options of every verb that runs a model that speaks.
function M.model_options(p)
  M.model_option(p)
  M.dtype_option(p)
  M.cache_option(p)
  p:option('--codec', 'How sound is made of codes: fast, near f32 (the default), bf16, so with '
    .. 'rounded weights (the default with --dtype q8 and q4), or f32 (the default with --dtype '
    .. 'f32; a card has no other).'):choices {'fast', 'bf16', 'f32'}
  M.device_options(p)
end

--- Where a model runs.
function M.device_options(p)
  p:option('--device', 'Where to run: cpu (the default), cuda, or auto: a card where one can be '
    .. 'used, else the cpu.'):choices {'cpu', 'cuda', 'auto'}
  M.integer_option(p, '--threads', 1, 256, 'CPU threads (default: one per core, or as many as '
    .. 'a container may use).')
  p:flag('--pin', 'Keep each CPU thread on a core of its own. For machines where nothing else is '
    .. 'busy on those cores.')
  p:flag('-v --verbose', 'Say what was chosen: model, instruction set, threads, dtype, plan.')
end

--- The model's directory, by its option; see argent.hub. That the demo voice stands in for a model
--- is worth a line, as a person may have hoped for another.
---@param option? string
---@param need? string what a model that is not named has to do: 'speech' (default), 'codec',
---'text', 'embedding'
---@return string? dir
---@return string? err
---@return string? code
function M.find_model(option, need)
  local dir, err, code = hub.find(option, '-m', need)
  if dir and not option and hub.is_demo(dir) then
    M.note('no model is given or found: the demo voice is used (argent say --help: how to get a '
      .. 'released model)')
  end
  return dir, err, code
end

--- The same, and of which kind the model is; refuses one that does not do what is needed.
---@param option? string
---@param need? string nil: any kind will do
---@return argent.Model? kind
---@return string dir_or_err
---@return string? code
function M.find_kind(option, need)
  local dir, err, code = M.find_model(option, need)
  if not dir then return nil, err, code end
  local kind, ok
  kind, err, code = models.of(dir)
  if not kind then return nil, err, code end
  if need then
    ok, err, code = models.check(kind, need, dir)
    if not ok then return nil, err, code end
  end
  return kind, dir
end

-- Threads that share a processor wait for each other at every op. A few are harmless.
local MOST_THREADS_EACH = 4

local function check_threads(threads)
  local processors = posix.processors()
  local most = MOST_THREADS_EACH * processors
  if not threads or threads <= most then return true end
  return nil, ('--threads %d: there %s here, and more than %d threads would only wait for each '
    .. 'other'):format(threads, processors == 1 and 'is 1 processor' or ('are %d processors')
    :format(processors), most), 'usage'
end

-- The backend that --device names. With auto, why there is none on a card is worth a line, as the
-- person hoped for one.
local function open_device(args)
  local opts, device = {threads = args.threads, pin = args.pin}, args.device or 'cpu'
  if device == 'auto' then
    local be, err = Backend.open('cuda')
    if be then return be end
    M.note('going on with the cpu: ' .. err)
  end
  return Backend.open(device == 'cuda' and 'cuda' or 'cpu', opts)
end

--- Opens the backend that the options of model_options name.
---@param args table parsed options
---@return ag.Backend?
---@return string? err
---@return string? code
function M.open_backend(args)
  local ok, err, code = check_threads(args.threads)
  if not ok then return nil, err, code end
  local be
  be, err, code = open_device(args)
  return be, err, code
end

--- Opens the model that the options name.
---@param args table parsed options
---@param need? string|false what it has to do: 'speech' (default), 'codec', 'text', 'embedding';
---false: anything
---@return table? model ag.Synthesizer where it speaks
---@return argent.Model|string|nil kind_or_err
---@return string? code
function M.open_model(args, need)
  if need == nil then need = 'speech' end
  local kind, dir, code = M.find_kind(args.model, need or nil)
  if not kind then return nil, dir, code end
  local be, model, err
  be, err, code = M.open_backend(args)
  if not be then return nil, err, code end
  model, err, code = kind.open(dir,
    {backend = be, dtype = args.dtype, cache = args.cache_dtype, codec = args.codec})
  -- A model that cannot be read is a model that is missing or invalid, whatever the system's
  -- reason.
  if not model then return nil, err, code == 'memory' and code or 'model' end
  if args.verbose then
    if not args.device and Backend.open 'cuda' then
      M.note 'a CUDA device is here; --device cuda uses it'
    end
    M.note('model: ' .. kind.summary(model))
    M.note(be.kind == 'cpu' and ('device: cpu, %d threads, instruction set %s'):format(be.threads,
      be.isa) or ('device: %s, %s'):format(be.kind, be.isa))
  end
  return model, kind
end

--- Opens the codec of the model that the options name, which may be a codec alone.
---@return ag.CodecDecoder?
---@return string? err
---@return string? code
function M.open_codec(args)
  local model, err, code = M.open_model(args, 'codec')
  if not model then return nil, err, code end
  return model.codec or model
end

return M
