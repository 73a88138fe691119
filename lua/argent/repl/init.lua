-- The prompt: reads lines, runs them, prints what they give. A line that is not finished is
-- continued; an error shows its place and the session goes on. The same input through a pipe gives
-- the same output.

local doc = require 'argent.doc'
local editor = require 'argent.repl.editor'
local interpreted = require 'argent.interpreted'
local lib = require 'argent.ffi'
local names = require 'argent.repl.names'
local player = require 'argent.audio.player'
local posix = require 'argent.posix'
local show = require('argent.show').show
local status = require 'argent.status'
local tensor = require 'argent.tensor'
local trace = require 'argent.repl.trace'

local M = {}

local PROMPT, MORE = '> ', '. '

---@class ag.Repl
---@field env table the session's names
local Repl = {}
Repl.__index = Repl

local function print_line(text)
  io.stdout:write(text, '\n')
  io.stdout:flush()
end

local function complain(text)
  io.stdout:flush()
  io.stderr:write(text, '\n')
end

-- What a line gave: values on one line, or one below the other where they are long.
local function print_values(n, values)
  if n == 0 then return end
  local texts, long = {}, false
  for i = 1, n do
    texts[i] = show(values[i])
    long = long or texts[i]:find '\n' ~= nil
  end
  print_line(table.concat(texts, long and '\n' or ', '))
end

-- `local x = 1` would be gone with its line, so at the start of an entry it makes a name of the
-- session.
local function keep_locals(code)
  if code:find '^%s*local%s+[%a_][%w_%s,]*=' then return (code:gsub('^(%s*)local%s+', '%1', 1)) end
  return (code:gsub('^(%s*)local%s+function%s', '%1function ', 1))
end

-- A chunk from an entry: an expression, or statements. nil, err, and whether more lines may help.
local function compile(code, line, env)
  local pad = ('\n'):rep(line - 1) -- so that messages count the session's lines
  code = code:gsub('^%s*=', '', 1)
  -- Not `return f()`: a tail call would lose the line that errors are blamed on. After a comment
  -- the bracket needs a line of its own, on which some errors are blamed then.
  local close = code:find('--', 1, true) and '\n)' or ')'
  local chunk = loadstring(('%slocal values = ... return values(%s%s'):format(pad, code, close),
    '=repl')
  local err
  if not chunk then
    chunk, err = loadstring(pad .. keep_locals(code), '=repl')
    if not chunk then
      local _, other = loadstring('return ' .. code)
      local unfinished = "near '<eof>'"
      return nil, err, (err:find(unfinished, 1, true) or other and other:find(unfinished, 1, true))
        ~= nil
    end
  end
  return setfenv(interpreted.off(chunk), env)
end

local function values_of(...) return ... end

-- Whether the session is to end, by SIGTERM or SIGHUP.
local function ending() return lib.ag_interrupted() == 2 end

local function clear_interrupt()
  -- The hook that stops interpreted code may still be there, and then fires in here, once.
  for _ = 1, 3 do pcall(debug.sethook) end
  if not ending() then lib.ag_interrupt(0) end
end

-- Runs a chunk; its values, or nil after the error has been told.
local function run(self, chunk)
  local lines = {}
  local function pack(ok, ...) return ok, select('#', ...), {...} end
  local ok, n, values = pack(xpcall(chunk, function(e)
    if not status.is_fault(e) then lines = trace.frames(2) end
    return e
  end, values_of))
  if ok then return n, values end
  local e = values[1]
  if lib.ag_interrupted() ~= 0 then
    clear_interrupt()
    self.was_interrupted = true
    complain 'interrupted'
    return nil
  end
  local text = type(e) == 'string' and e or (getmetatable(e) and tostring(e)) or show(e)
  -- Where the message says it all, the frames add nothing.
  local frames = 0
  for _, line in ipairs(lines) do frames = frames + (line:find '%[C%]' and 0 or 1) end
  if frames <= 1 then lines = {} end
  complain(table.concat({text, unpack(lines)}, '\n  '))
  return nil
end

-- ---- commands ----

local COMMANDS = {}
local ORDER = {'help', 'doc', 'time', 'mem', 'play', 'quit'}

COMMANDS.help = {'', 'this list', function()
  for _, name in ipairs(ORDER) do
    local c = COMMANDS[name]
    print_line(('  :%-12s %s'):format(name .. (c[1] ~= '' and ' ' .. c[1] or ''), c[2]))
  end
  print_line '  An expression prints its value, with or without = before it; _ is the last one.'
end}

COMMANDS.doc = {'NAME', 'what is written about it: ag.plot, tts, tts.say, tts.say.seed, linear',
  function(self, name)
    if name == '' then return complain ':doc needs a name, as in :doc ag.load' end
    local d, err = doc.find(name, self.env)
    if not d then return complain(err) end
    print_line(doc.text(d))
  end}

-- Evaluates an expression of a command.
local function value_of(self, code, what)
  if code == '' then return complain((':%s needs an expression'):format(what)) end
  local chunk, err = compile(code, self.line, self.env)
  if not chunk then return complain(err) end
  return run(self, chunk)
end

local function is_sound(v)
  return type(v) == 'table' and tensor.is(rawget(v, 'samples')) and type(v.rate) == 'number'
end

COMMANDS.time = {'EXPR', 'the value, and how long it took', function(self, code)
  local began = posix.now()
  local n, values = value_of(self, code, 'time')
  if not n then return end
  local took = posix.now() - began
  print_values(n, values)
  local factor = ''
  if is_sound(values[1]) then
    local seconds = #values[1].samples / values[1].rate
    factor = seconds > 0 and (', RTF %.2f'):format(took / seconds) or ''
  end
  print_line(('%.3f s%s'):format(took, factor))
end}

COMMANDS.mem = {'', "memory: Lua's, the backend's, the process's", function(self)
  collectgarbage()
  collectgarbage()
  local resident = 0
  local f = io.open '/proc/self/status'
  if f then
    resident = tonumber(f:read('*a'):match 'VmRSS:%s+(%d+)') / 1024
    f:close()
  end
  local be = rawget(self.env, 'be')
  print_line(('Lua %.1f MB, tensors %.1f MB, process %.1f MB'):format(collectgarbage 'count' / 1024,
    be and be.live_bytes / 2 ^ 20 or 0, resident))
end}

COMMANDS.play = {'EXPR', 'plays a sound, or samples at 24 kHz', function(self, code)
  local n, values = value_of(self, code, 'play')
  if not n then return end
  local v = values[1]
  local samples, rate = v, 24000
  if is_sound(v) then samples, rate = v.samples, v.rate end
  if not tensor.is(samples) then return complain ':play needs a sound or a tensor of samples' end
  local found, none = player.find()
  if not found then return complain(none) end
  local path = os.tmpname()
  local wav = path .. '.wav'
  local ok, err = require('argent.audio').write(wav, samples, {rate = rate})
  if ok then os.execute(('%s %s'):format(found.file, wav)) else complain(err) end
  os.remove(wav)
  os.remove(path)
end}

COMMANDS.quit = {'', 'leave (or Ctrl-D)', function(self) self.done = true end}

-- ---- the loop ----

local function command(self, line)
  local name, rest = line:match '^%s*:(%a+)%s*(.-)%s*$'
  if not name or not COMMANDS[name] then
    return complain(("no command '%s'; :help lists them"):format(line:match '^%s*(:%S*)' or line))
  end
  COMMANDS[name][3](self, rest)
end

-- One entry: from the first prompt to a result. false at the end of the input.
local function entry(self)
  local code, first = nil, self.line
  repeat
    local line = self.editor:read(code and MORE or PROMPT)
    if self.editor.cancelled then
      if self.was_interrupted or (self.cancelled and not code) then return false, 130 end
      self.cancelled = not code
      print_line '^C'
      return true
    end
    if not line then
      if code then complain('repl: the input ends inside an entry') end
      return false
    end
    self.line = self.line + 1 + select(2, line:gsub('\n', '\n')) -- several, from the history
    if not code and line:find '^%s*:%a' then
      self.editor:remember(line)
      command(self, line)
      return not self.done
    end
    code = code and code .. '\n' .. line or line
    if not code:find '%S' then return true end
    local chunk, err, unfinished = compile(code, first, self.env)
    if chunk or not unfinished then self.editor:remember(code) end -- whole
    if chunk then
      local n, values = run(self, chunk)
      if n and n > 0 then
        self.env._ = values[1]
        local shown = pcall(print_values, n, values)
        if not shown and lib.ag_interrupted() ~= 0 then clear_interrupt() end
      end
      return true
    elseif not unfinished then
      complain(err)
      return true
    end
  until false
end

--- Reads and runs until the input ends.
---@param env table names of the session: ag, be, tts
---@param opts? {banner: string?, absent: table<string, string>?} banner: printed on a terminal;
---absent: what to say about a name that the session lacks
---@return integer exit_code 0, or 130 after two Ctrl-C at the prompt or a signal to end
function M.run(env, opts)
  opts = opts or {}
  interpreted.install()
  local self = setmetatable({env = names.of(env, opts.absent), line = 1}, Repl)
  local interactive
  self.editor, interactive = editor.open {env = self.env, commands = ORDER}
  if interactive and opts.banner then print_line(opts.banner) end
  local code
  while true do
    local ok, more, exit = pcall(entry, self)
    if not ok then
      -- A Ctrl-C between two steps of ours.
      if lib.ag_interrupted() == 0 then
        self.editor:close()
        error(more, 0)
      end
      clear_interrupt()
      complain 'interrupted'
    elseif not more then
      code = exit or 0
      break
    end
    if ending() then break end
    if not self.editor.cancelled then self.cancelled, self.was_interrupted = false, false end
  end
  pcall(clear_interrupt)
  self.editor:close()
  if interactive then print_line '' end
  return ending() and 130 or code
end

return M
