-- Scripts that mean harm, or are merely wrong: every public function and method with random
-- arguments, in a process of its own.

local amount = require 'support.amount'
local command = require 'support.command'
local golden = require 'support.golden'
local lfs = require 'lfs'

describe('a script of random calls', function()
  local CALLS, SEEDS = 25000, amount.of(4, 40, 1)
  local model
  for _, m in ipairs(golden.models()) do
    if m.name == 'custom' then model = m.model end
  end
  if model:sub(1, 1) ~= '/' then model = lfs.currentdir() .. '/' .. model end

  for seed = 1, SEEDS do
    it(('(%d, seed %d) ends by itself'):format(CALLS, seed), function()
      local folder, out = os.tmpname(), os.tmpname()
      os.remove(folder)
      assert(lfs.mkdir(folder))
      local r = command.run({'run', command.root .. '/spec/faults/hostile.lua', tostring(CALLS),
        tostring(seed), model, out}, {before = ('cd %s;'):format(folder), timeout = 1200})
      local f = io.open(out)
      local said = f and f:read '*a' or ''
      if f then f:close() end
      os.remove(out)
      os.execute('rm -rf ' .. command.quote(folder))
      assert.equal(0, r.code, r.err:sub(-4000))
      local functions, methods, errors =
        said:match '(%d+) functions and (%d+) methods, (%d+) errors'
      assert.is_true(tonumber(functions) > 60 and tonumber(methods) > 60, said)
      assert.is_true(tonumber(errors) < CALLS, said)
    end)
  end
end)
