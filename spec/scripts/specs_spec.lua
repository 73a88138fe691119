-- scripts/specs: every file by itself, and one sum of what came of them.

local command = require 'support.command'

-- Runs scripts/specs with a shell script in the place of busted, which finds the file in $1.
local function specs(script)
  local path = os.tmpname()
  local f = assert(io.open(path, 'w'))
  f:write(script)
  f:close()
  local pipe = assert(io.popen(('cd %s && scripts/specs sh %s 2>&1; echo "code $?"'):format(
    command.quote(command.root), path)))
  local out = pipe:read '*a'
  pipe:close()
  os.remove(path)
  return out
end

local function count_files()
  local pipe = assert(io.popen(('find %s/spec -name "*_spec.lua" | wc -l'):format(
    command.quote(command.root))))
  local n = pipe:read '*n'
  pipe:close()
  return n
end

describe('scripts/specs', function()
  local files = count_files()

  it('adds up what every file gives, and tells what is pending', function()
    local out = specs [[
      echo "++."
      echo "2 successes / 0 failures / 0 errors / 1 pending : 0.1 seconds"
      echo
      echo "Pending -> $1 waits for a card"
    ]]
    assert.matches(('\n%d successes / 0 failures / 0 errors / %d pending : %%d+ seconds\ncode 0\n$')
      :format(2 * files, files), out)
    local _, told = out:gsub('Pending %-> spec/[%w_/]+_spec%.lua waits for a card', '')
    assert.equal(files, told)
    assert.no.matches('What failed', out)
  end)

  it('counts a crash, a leak at the exit and a failure, and shows what they said', function()
    local out = specs [[
      case $1 in
        spec/bench_spec.lua) echo 'it fell over here'; kill -SEGV $$;;
        spec/json_spec.lua) echo 'a leak of 24 bytes'; code=23;;
        spec/hub_spec.lua) echo "0 successes / 1 failure / 0 errors / 0 pending : 0 seconds"
          echo 'Failure -> no hub'; exit 1;;
      esac
      echo "1 success / 0 failures / 0 errors / 0 pending : 0.1 seconds"
      exit ${code:-0}
    ]]
    assert.matches(('\n%d successes / 1 failures / 2 errors / 0 pending : %%d+ seconds\ncode 1\n$')
      :format(files - 2), out)
    assert.matches('\nspec/bench_spec.lua: 0 successes, 0 failures, 1 errors, 0 pending, exit code '
      .. '139, %d+ s\nit fell over here\n', out)
    assert.matches('a leak of 24 bytes', out)
    local again = out:match '\nWhat failed:\n(.*)'
    for _, said in ipairs {'bench_spec.lua\nit fell over here', 'a leak of 24 bytes', 'no hub'} do
      assert.matches(said, again, 1, true)
    end
    assert.matches('Failure %-> no hub', out)
  end)
end)
