-- Runs the `argent` executable of the build under test and keeps what it said.

local lfs = require 'lfs'

local M = {}

--- The tree, from wherever a command may start.
M.root = ARGENT_ROOT:sub(1, 1) == '/' and ARGENT_ROOT or lfs.currentdir() .. '/' .. ARGENT_ROOT

local build = os.getenv 'ARGENT_BUILD' or 'build'
M.exe = (build:sub(1, 1) == '/' and build or M.root .. '/' .. build) .. '/argent'

local function quote(s)
  return "'" .. s:gsub("'", "'\\''") .. "'"
end
M.quote = quote

local function slurp(path)
  local f = assert(io.open(path, 'rb'))
  local s = f:read '*a'
  f:close()
  os.remove(path)
  return s
end

--- Whether the shell finds a program.
---@param program string
---@return boolean
function M.has(program)
  return os.execute('command -v ' .. program .. ' >/dev/null 2>&1') == 0
end

--- Runs argent with args.
---@param args string[]
---@param opts? {stdin: string?, env: table<string, string>?, before: string?, after: string?,
---timeout: integer?, interrupt: number?} before: shell text in front of the command ('ulimit -f
---8;'); after: shell text behind it ('| head -c 10'); interrupt: seconds after which Ctrl-C arrives
---@return {code: integer, out: string, err: string}
function M.run(args, opts)
  opts = opts or {}
  local out, err, code, input = os.tmpname(), os.tmpname(), os.tmpname(), nil
  local words = {}
  for i, a in ipairs(args) do words[i] = quote(a) end
  local env = {}
  for k, v in pairs(opts.env or {}) do env[#env + 1] = k .. '=' .. quote(v) end
  if opts.stdin then
    input = os.tmpname()
    local f = assert(io.open(input, 'wb'))
    f:write(opts.stdin)
    f:close()
  end
  local limit = opts.interrupt
    and ('timeout --foreground --preserve-status -k 60 -s INT %g'):format(opts.interrupt)
    or ('timeout %d'):format(opts.timeout or 120)
  -- Nothing of the person who runs the specs may show.
  local clean = '-u ARGENT_MODEL -u ARGENT_TRACE -u HF_HUB_CACHE -u HF_HOME -u XDG_CACHE_HOME '
    .. '-u XDG_STATE_HOME HOME=/nonexistent'
  local command = ('%s env ' .. clean .. ' %s %s %s %s <%s 2>%s; echo $? >%s')
    :format(opts.before or '', table.concat(env, ' '), limit, opts.exe or quote(M.exe),
      table.concat(words, ' '), input or '/dev/null', err, code)
  os.execute(('{ %s; } %s >%s'):format(command, opts.after or '', out))
  if input then os.remove(input) end
  return {code = tonumber(slurp(code)), out = slurp(out), err = slurp(err)}
end

return M
