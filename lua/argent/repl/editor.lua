-- Lines from a person, by libedit: editing, history, completion. Where there is no terminal, or no
-- libedit, lines as they come.

local ffi = require 'ffi'
local complete = require 'argent.repl.complete'
local history = require 'argent.repl.history'
local library = require 'argent.library'
local posix = require 'argent.posix'

-- busted loads modules again while ffi.cdef is permanent.
if not pcall(ffi.typeof, 'struct argent_editline') then
  ffi.cdef [[
    struct argent_editline;
    struct argent_history;
    struct argent_lineinfo { const char *buffer, *cursor, *last; };
    struct argent_histevent { int number; const char *text; };
    typedef const char *(*argent_prompt)(struct argent_editline *);
    typedef unsigned char (*argent_key)(struct argent_editline *, int);
    struct argent_editline *el_init(const char *name, void *in, void *out, void *err);
    int el_set(struct argent_editline *e, int what, ...);
    const char *el_gets(struct argent_editline *e, int *count);
    const struct argent_lineinfo *el_line(struct argent_editline *e);
    int el_insertstr(struct argent_editline *e, const char *text);
    void el_deletestr(struct argent_editline *e, int n);
    void el_end(struct argent_editline *e);
    struct argent_history *history_init(void);
    int history(struct argent_history *h, struct argent_histevent *event, int what, ...);
    void history_end(struct argent_history *h);
    char *setlocale(int category, const char *locale);
  ]]
end

local M = {}

local EL_PROMPT, EL_EDITOR, EL_BIND, EL_SETTY, EL_ADDFN, EL_HIST = 0, 2, 4, 8, 9, 10
local H_SETSIZE, H_ENTER = 1, 10
local CC_NEWLINE, CC_REFRESH, CC_REDISPLAY, CC_REFRESH_BEEP = 1, 4, 8, 9
local LC_CTYPE = 0
local NIL = ffi.cast('char *', nil)

-- ---- without a terminal ----

local Plain = {}
Plain.__index = Plain

-- No prompt: the output is that of a terminal without what is typed.
function Plain.read()
  return io.stdin:read '*l'
end

function Plain.close() end

-- ---- with one ----

---@class ag.Editor
---@field cancelled boolean the last line was given up by Ctrl-C
local Editor = {}
Editor.__index = Editor

local function on_tab(self)
  local info = self.lib.el_line(self.raw)
  local line = ffi.string(info.buffer, info.cursor - info.buffer)
  local list, from = complete.complete(line, self.env, self.commands)
  if #list == 0 then return CC_REFRESH_BEEP end
  local typed = line:sub(from)
  local more = complete.common_prefix(list):sub(#typed + 1)
  if more ~= '' then
    self.lib.el_insertstr(self.raw, more)
    return CC_REFRESH
  end
  if #list == 1 then return CC_REFRESH end
  io.stdout:write('\n', table.concat(list, '  '), '\n')
  io.stdout:flush()
  return CC_REDISPLAY
end

-- A function for a key: an error in it must not cross libedit.
local function key(self, fn)
  local cb = ffi.cast('argent_key', function()
    local ok, result = pcall(fn, self)
    return ok and result or CC_REFRESH_BEEP
  end)
  self.callbacks[#self.callbacks + 1] = cb
  return cb
end

local function bind(self, keys, name, fn)
  local lib, name_text = self.lib, ffi.cast('char *', name)
  lib.el_set(self.raw, EL_ADDFN, name_text, name_text, key(self, fn))
  lib.el_set(self.raw, EL_BIND, ffi.cast('char *', keys), name_text, NIL)
end

local function open_editor(opts)
  local lib = library.open({'libedit.so.2', 'libedit.so.0'}, 'libedit is missing')
  if not lib then return nil end
  lib.setlocale(LC_CTYPE, '')
  local self = setmetatable({
    lib = lib, env = opts.env, commands = opts.commands, callbacks = {}, prompt = '',
    path = history.path(), cancelled = false,
  }, Editor)
  self.raw = lib.el_init('argent', io.stdin, io.stdout, io.stderr)
  if self.raw == nil then return nil end
  local shown
  local prompt = ffi.cast('argent_prompt', function()
    shown = ffi.new('char[?]', #self.prompt + 1, self.prompt)
    return shown
  end)
  self.callbacks[1] = prompt
  lib.el_set(self.raw, EL_PROMPT, prompt)
  lib.el_set(self.raw, EL_EDITOR, ffi.cast('char *', 'emacs'))
  self.past = lib.history_init()
  self.event = ffi.new 'struct argent_histevent'
  lib.history(self.past, self.event, H_SETSIZE, ffi.cast('int', 1000))
  for _, line in ipairs(history.read(self.path)) do
    lib.history(self.past, self.event, H_ENTER, ffi.cast('char *', line))
  end
  lib.el_set(self.raw, EL_HIST, lib.history, self.past)
  bind(self, '\t', 'ag-complete', on_tab)
  -- Ctrl-C is a key while a line is typed; it is a signal while something runs.
  lib.el_set(self.raw, EL_SETTY, ffi.cast('char *', '-d'), ffi.cast('char *', '-isig'), NIL)
  bind(self, '^C', 'ag-cancel', function(e)
    e.cancelled = true
    return CC_NEWLINE
  end)
  return self
end

local function get(self)
  return self.lib.el_gets(self.raw, self.count)
end
jit.off(get) -- callbacks come out of this call

--- The next line, without its end; nil at the end of the input. After Ctrl-C it is '' and
--- `cancelled` is true.
---@param prompt string
---@return string? line
function Editor:read(prompt)
  self.prompt, self.cancelled = prompt, false
  self.count = self.count or ffi.new 'int[1]'
  local text = get(self)
  if self.cancelled then return '' end
  if text == nil or self.count[0] <= 0 then return nil end
  return (ffi.string(text, self.count[0]):gsub('\n$', ''))
end

--- Keeps an entry for this session and the next ones.
---@param line string of one line or several
function Editor:remember(line)
  if not line:find '%S' or line == self.last then return end
  self.last = line
  self.lib.history(self.past, self.event, H_ENTER, ffi.cast('char *', line))
  if not self.path then return end
  local ok, err = history.add(self.path, line)
  if not ok then
    io.stderr:write('the history is not kept: ', err, '\n')
    self.path = nil
  end
end

--- Gives the terminal back.
function Editor:close()
  if not self.raw then return end
  self.lib.el_end(self.raw)
  self.lib.history_end(self.past)
  for _, cb in ipairs(self.callbacks) do cb:free() end
  self.raw, self.callbacks = nil, {}
end

function Plain.remember() end

--- A reader of lines.
---@param opts {env: table, commands: string[]} for completion
---@return ag.Editor
---@return boolean interactive
function M.open(opts)
  if posix.isatty(0) and posix.isatty(1) then
    local editor = open_editor(opts)
    if editor then return editor, true end
    io.stderr:write 'no line editing: libedit is missing (apt install libedit2)\n'
    return setmetatable({read = function(_, prompt)
      io.stdout:write(prompt)
      io.stdout:flush()
      return io.stdin:read '*l'
    end}, Plain), true
  end
  return setmetatable({}, Plain), false
end

return M
