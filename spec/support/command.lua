-- Runs the `argent` executable of the build under test and keeps what it said.

local M = {}

local build = os.getenv 'ARGENT_BUILD' or 'build'
M.exe = (build:sub(1, 1) == '/' and build or ARGENT_ROOT .. '/' .. build) .. '/argent'

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

--- Runs argent with args.
---@param args string[]
---@param opts? {stdin: string?, env: table<string, string>?, before: string?, after: string?, timeout: integer?} before: shell text in front of
---the command ('ulimit -f 8;'); after: shell text behind it ('| head -c 10')
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
  local command = ('%s env -u ARGENT_MODEL %s timeout %d %s %s <%s 2>%s; echo $? >%s'):format(opts.before or '',
    table.concat(env, ' '), opts.timeout or 120, opts.exe or quote(M.exe), table.concat(words, ' '),
    input or '/dev/null', err, code)
  os.execute(('{ %s; } %s >%s'):format(command, opts.after or '', out))
  if input then os.remove(input) end
  return {code = tonumber(slurp(code)), out = slurp(out), err = slurp(err)}
end

return M
