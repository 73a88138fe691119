-- The doctor finds what is wrong, and says what is right.

local ag = require 'argent'
local command = require 'support.command'
local doctor = require 'argent.doctor'
local golden = require 'support.golden'
local json = require 'argent.json'

describe('the doctor', function()
  local function slurp(path)
    local f = assert(io.open(path))
    local s = f:read '*a'
    f:close()
    return s
  end

  it('has a check for every op', function()
    for name in pairs(ag.ops) do assert.is_function(doctor.CASES[name], name) end
    for name in pairs(doctor.CASES) do assert.is_function(ag.ops[name], name) end
  end)

  it('knows which ops have loops for each instruction set: those whose kernels ask for them',
    function()
    local fast = {}
    for file in io.popen(('ls %s/kernels/cpu/*.c'):format(command.root)):lines() do
      local source = slurp(file)
      if not file:find '/isa' then
        -- From one kernel to the next, static functions between them included.
        local at = 1
        while true do
          local from, to, name = source:find('int agi_cpu_([%w_]+)%(', at)
          if not from then break end
          local before = source:sub(at, from)
          local after = source:sub(to):match '^.-\n}' or ''
          local uses = before:find('isa->', 1, true) or after:find('isa->', 1, true)
            or after:find('product(', 1, true)
          fast[name] = uses and true or nil
          at = to + #after
        end
      end
    end
    -- Kernels that share a static function further up.
    fast.attention_probs, fast.conv1d = true, true
    assert.same(fast, doctor.FAST)
  end)

  it('finds every variant of this CPU in order', function()
    local list, failures = doctor.ops()
    assert.equal(0, failures)
    for _, op in ipairs(list) do
      for _, isa in ipairs {'avx2', 'avx512'} do
        local be = ag.backend('cpu', {isa = isa})
        assert.equal(be and 'number' or 'string', type(op.variants[isa]))
      end
    end
  end)

  it('finds a kernel that is wrong', function()
    local right = doctor.CASES.silu
    finally(function() doctor.CASES.silu = right end)
    local fast = 0
    for _, isa in ipairs {'avx2', 'avx512'} do
      fast = fast + (ag.backend('cpu', {isa = isa}) and 1 or 0)
    end
    doctor.CASES.silu = function(be)
      local out = right(be)
      if be.isa ~= 'plain' then out:narrow(1, 3, 1):narrow(2, 67, 1):fill(0.9) end
      return out
    end
    local _, failures = doctor.ops()
    assert.equal(fast, failures)
  end)

  it('tells all of it, as text and as JSON, with exit code 0', function()
    local r = command.run {'doctor'}
    assert.equal(0, r.code, r.err)
    for _, part in ipairs {'cpu: ', 'ops:', 'every op of every variant agrees with plain C',
      'libraries:',
      'libsndfile', 'cuda: ', 'models:', 'none; fetch one with: hf download'} do
      assert.truthy(r.out:find(part, 1, true), part)
    end
    local told = json.decode(command.run({'doctor', '--json'}).out, 'doctor')
    assert.is_true(told.healthy)
    assert.equal(0, told.failures)
    local count = 0
    for _ in pairs(ag.ops) do count = count + 1 end
    assert.equal(count, #told.ops)
    assert.equal(7, #told.libraries)
    assert.equal(require('argent').version, told.version)
    assert.is_true(told.cpu.threads >= 1 and told.cpu.memory > 2 ^ 28)
  end)

  it('checks the model that it is given', function()
    local model = golden.models()[1].model
    local r = command.run {'doctor', '-m', model}
    assert.equal(0, r.code, r.err)
    assert.truthy(r.out:find(model .. ': complete and sound', 1, true))
    r = command.run {'doctor', '-m', '/no/such'}
    assert.equal(3, r.code)
    assert.matches('argent: doctor: /no/such: no such model directory', r.err)
    r = command.run({'doctor'}, {env = {ARGENT_MODEL = model}})
    assert.truthy(r.out:find(model .. ': complete', 1, true))
    assert.truthy(r.out:find('(ARGENT_MODEL)', 1, true))
  end)
end)
