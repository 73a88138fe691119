-- argent run: a Lua script with argent on its path.

local M = {summary = 'run a Lua script'}

function M.parser(p)
  p:argument('script', 'Lua file.')
  p:argument('args', 'Arguments, in the global `arg`.'):args '*'
  p:epilog [[
Examples:
  argent run scripts/make_tiny_model.lua build/tiny-model
  argent run my_pipeline.lua in.txt out.wav]]
end

--- The script sees everything after its name, options included, so argparse stays out of it.
M.raw = true

function M.run(args)
  local script = args[1]
  if not script then return nil, 'no script given', 'usage' end
  local f, err = io.open(script, 'rb')
  if not f then return nil, err, 'io' end
  f:close()
  local chunk
  chunk, err = loadfile(script)
  if not chunk then return nil, err, 'internal' end
  local arg = {[0] = script}
  for i = 2, #args do arg[i - 1] = args[i] end
  _G.arg = arg
  local result = chunk(unpack(arg))
  return type(result) == 'number' and result or 0
end

return M
