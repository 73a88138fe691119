-- What machines Argent is built for. Compilers for others are asked for objects alone, so that the
-- libraries of those machines need not be here.

local command = require 'support.command'

describe('configuring', function()
  local function configured(...)
    if command.run({'--version'}, {exe = 'cmake'}).code ~= 0 then pending 'cmake is not here' end
    local dir = os.tmpname()
    os.remove(dir)
    local r = command.run({'-S', command.root, '-B', dir, '-DARGENT_CUDA=OFF',
      '-DCMAKE_TRY_COMPILE_TARGET_TYPE=STATIC_LIBRARY', ...}, {exe = 'cmake'})
    os.execute('rm -rf ' .. command.quote(dir))
    return r
  end

  -- Pending where the compiler does not take these flags.
  local function compiles(compiler, flags)
    local test = 'echo "int x;" | %s %s -c -x c - -o /dev/null 2>/dev/null'
    if os.execute(test:format(compiler, flags)) ~= 0 then
      pending(('%s %s is not here'):format(compiler, flags))
    end
  end

  local function refuses(compiler, flags)
    compiles(compiler, flags)
    local r = configured('-DCMAKE_C_COMPILER=' .. compiler, '-DCMAKE_C_FLAGS=' .. flags)
    assert.not_equal(0, r.code)
    local line = 'Argent needs a 64%-bit little%-endian machine, such as x86%-64 or aarch64'
    assert.matches('\n *' .. line .. '\n', r.err)
  end

  it('refuses a 32-bit machine in one line', function() refuses('gcc', '-m32') end)

  it('refuses a big-endian machine in one line', function()
    refuses('clang', '--target=aarch64_be-linux-gnu')
  end)

  it('takes the machine that the specs run on', function()
    assert.equal(0, configured().code)
  end)
end)
