-- The vocabulary of tensors against torch (spec/fixtures/golden/tensors.json, written by
-- scripts/golden/tensors.py): each Lua expression gives what torch gives, NaN and infinities, too.

local ag = require 'argent'
local cjson = require 'cjson'
require 'support.near'

local f = assert(io.open 'spec/fixtures/golden/tensors.json')
local golden = cjson.decode(f:read '*a')
f:close()

for _, kind in ipairs {'cpu', 'cuda-emulated'} do
  describe('a tensor on ' .. kind, function()
    local be = assert(ag.backend(kind, kind == 'cpu' and {threads = 2} or nil))
    local env = {ag = ag, be = be, math = math, whole = ag.tensor(be, golden.whole, 'i32')}
    for name, values in pairs(golden.inputs) do env[name] = ag.tensor(be, values) end
    function env.both(values, ids) return {values:totable(), ids:totable()} end

    for _, case in ipairs(golden.cases) do
      it('computes ' .. case.lua .. ' as torch does', function()
        local value = setfenv(assert(loadstring('return ' .. case.lua)), env)()
        assert.near(case.is, value, 1e-6, 2e-6)
      end)
    end
  end)
end
