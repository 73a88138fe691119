-- argent run: a Lua script with argent on its path.

local interpreted = require 'argent.interpreted'
local posix = require 'argent.posix'

local M = {summary = 'run a Lua script'}

function M.parser(p)
  p:argument('script', 'Lua file.')
  p:argument('args', 'Arguments, in the global `arg`.'):args '*'
  p:epilog [[
A script may return its exit code, or `nil, message, code` as the library's functions do; the
codes are 'value', 'model', 'io' and so on.

Examples:
  argent run scripts/make_tiny_model.lua build/tiny-model
  argent run my_pipeline.lua in.txt out.wav]]
end

--- The script sees everything after its name, options included, so argparse stays out of it.
M.raw = true

function M.run(args)
  local script = args[1]
  if not script then return nil, 'no script given (see argent run --help)', 'usage' end
  if script:find '^%-' then
    return nil, ("unknown option '%s': a script comes first, then its arguments (see argent run "
      .. '--help)'):format(script), 'usage'
  end
  local f, err, errno = io.open(script, 'rb')
  if not f then return nil, err, posix.code(errno) end
  f:close()
  local chunk
  chunk, err = loadfile(script)
  if not chunk then return nil, err, 'internal' end
  local arg = {[0] = script}
  for i = 2, #args do arg[i - 1] = args[i] end
  _G.arg = arg
  interpreted.install()
  interpreted.off(chunk)
  local result, message, code = chunk(unpack(arg))
  if result == nil and message then return nil, message, code end
  if type(result) ~= 'number' then return 0 end
  if result % 1 ~= 0 or result < 0 or result > 255 then
    return nil, ('%s returned %s, an exit code is 0 to 255'):format(script, result)
  end
  return result
end

return M
