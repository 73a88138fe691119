-- What `cmake --install` leaves behind: a command that speaks, a module for plain LuaJIT, a header
-- and a library for programs in C and C++; and what is said where parts do not fit together.

local command = require 'support.command'
local lfs = require 'lfs'
local sound = require 'support.sound'

local quote = command.quote

local function write(path, text)
  local f = assert(io.open(path, 'w'))
  f:write(text)
  f:close()
end

local function read(path)
  local f = assert(io.open(path))
  local text = f:read '*a'
  f:close()
  return text
end

-- Loads x = [1, 2, 3] from the file it is given, runs a plan of 2 x + 1, and prints it.
local PROGRAM = [[
#include <argent.h>
#include <stdio.h>

static int run(const char *path)
{
    ag_backend *be = NULL;
    ag_file *file = NULL;
    ag_tensor *x = NULL, *y = NULL;
    ag_plan *plan = NULL;
    const int64_t shape[1] = {3};
    float v[3] = {0, 0, 0};
    int rc = ag_backend_new(&be, "cpu", 1, NULL, 0);
    if (!rc) rc = ag_file_open(&file, path);
    if (!rc) rc = ag_file_tensor(&x, file, ag_file_find(file, "x"), be, AG_F32);
    if (!rc) rc = ag_tensor_new(&y, be, AG_F32, 1, shape);
    if (!rc) rc = ag_capture_begin(be);
    if (!rc) rc = ag_affine(y, x, 2, 1);
    if (!rc) rc = ag_capture_end(&plan, be);
    if (!rc) rc = ag_plan_read(plan, y, v, sizeof v);
    if (rc) {
        fprintf(stderr, "%s\n", ag_last_error());
        return 1;
    }
    printf("%g %g %g\n", v[0], v[1], v[2]);
    ag_plan_free(plan);
    ag_tensor_free(y);
    ag_tensor_free(x);
    ag_file_free(file);
    ag_backend_free(be);
    return 0;
}

int main(int argc, char **argv)
{
    return argc == 2 && ag_abi() == AG_ABI ? run(argv[1]) : 2;
}
]]

describe('an installation', function()
  if not command.has 'cmake' then
    pending 'cmake is not installed'
    return
  end
  local build = command.exe:match '^(.*)/argent$'
  local dir, prefix, lib

  setup(function()
    dir = os.tmpname()
    os.remove(dir)
    assert(lfs.mkdir(dir))
    prefix = dir .. '/a prefix'
    local log = dir .. '/log'
    local code = os.execute(('cmake --install %s --prefix %s >%s 2>&1'):format(quote(build),
      quote(prefix), log))
    assert(code == 0, read(log))
    local find = assert(io.popen(('find %s -name libargent.so'):format(quote(prefix))))
    lib = find:read():match '^(.*)/'
    find:close()
  end)

  teardown(function() os.execute('rm -rf ' .. quote(dir)) end)

  local function sh(script, ...)
    return command.run({'-c', 'cd "$0" && ' .. script, dir, ...}, {exe = 'bash'})
  end

  it('speaks from any folder, and knows the demo voice that came with it', function()
    local r = sh([["$1/bin/argent" say 'Help is on the way.' --seed 1 -o hello.wav]], prefix)
    assert.equal(0, r.code, r.err)
    assert.is_true(assert(sound.read(dir .. '/hello.wav')).frames > 12000)
  end)

  it('has a manual page, completions of three shells, examples and the licence', function()
    local function has(path, pattern)
      assert.truthy(read(prefix .. '/share/' .. path):find(pattern), path)
    end
    has('man/man1/argent.1', '^%.TH ARGENT 1')
    has('bash-completion/completions/argent', 'complete %-F _argent')
    has('zsh/vendor-completions/_argent', '^#compdef argent')
    has('fish/vendor_completions.d/argent.fish', 'complete %-c argent')
    has('doc/argent/examples/live.lua', 'argent')
    has('doc/argent/LICENSE', 'MIT License')
    has('doc/argent/NOTICE', 'Qwen')
  end)

  it('is gone after an uninstall, but for what others have put there', function()
    local root = dir .. '/root'
    local r = sh([[DESTDIR=$2 cmake --install "$1" --prefix /opt/argent &&
      touch "$2/opt/argent/bin/other" &&
      DESTDIR=$2 cmake --build "$1" --target uninstall &&
      find "$2" -type f -o -type l]], build, root)
    assert.equal(0, r.code, r.err)
    assert.equal(root .. '/opt/argent/bin/other', r.out:match '([^\n]*)\n$')
    assert.truthy(r.out:find('-- Installing: ' .. root .. '/opt/argent/bin/argent\n', 1, true))
    assert.equal(1, select(2, r.out:match('.*Built target uninstall(.*)'):gsub('\n/', '')))
  end)

  it('leaves its prefix after an uninstall, whatever that is called', function()
    local r = sh([[mkdir -p opt/argent/bin opt/argent/share/argent/models && cd opt/argent &&
      touch bin/argent share/argent/models/x && cd ../.. &&
      printf '%s\n' "$0/opt/argent/bin/argent" "$0/opt/argent/share/argent/models/x" \
        >install_manifest.txt && cmake -DBUILD="$0" -P "$1/cmake/uninstall.cmake" &&
      find opt | sort]], command.root)
    assert.same({0, 'opt\nopt/argent\nopt/argent/bin\nopt/argent/share\n'}, {r.code, r.out}, r.err)
  end)

  local sanitize = read(build .. '/CMakeCache.txt'):match 'ARGENT_SANITIZE:%u+=(%a+)'
  if sanitize and sanitize ~= 'OFF' then
    pending 'plain LuaJIT and programs do not load a library with sanitizers'
    return
  end

  local PATH = [[unset ARGENT_BUILD
    LUA_PATH="$1/share/lua/5.1/?.lua;$1/share/lua/5.1/?/init.lua;;" ]]

  it('gives plain luajit the module argent', function()
    local r = sh(PATH .. [[luajit -e "
      local ag = require 'argent'
      local x = ag.tensor(assert(ag.backend('cpu', {threads = 1})), {1, 2})
      print(ag.version, x[2], (require('argent.hub').demo()))
      "]], prefix)
    assert.equal(0, r.code, r.err)
    assert.equal(('%s\t2\t%s/share/argent/models/demo\n'):format(require('argent').version, prefix),
      r.out)
  end)

  it('refuses a library of another version in one line', function()
    local other = prefix .. '/share/lua/5.1/argent/ffi.lua'
    local text = read(other)
    finally(function() write(other, text) end)
    local changed, n = text:gsub('local ABI = %d+', 'local ABI = 999')
    assert.equal(1, n)
    write(other, changed)
    local want = '[^\n]- and the Lua files in .*/a prefix/share/lua/5%.1/argent are of different '
      .. 'versions %(ABI %d+, 999%): install Argent again'
    local r = sh(PATH .. [[luajit -e "require 'argent'"]], prefix)
    assert.matches('^luajit: ' .. want .. '\n', r.err)
    r = sh([["$1/bin/argent" --version]], prefix)
    assert.equal(1, r.code)
    assert.matches('^argent: ' .. want .. '\n$', r.err)
    -- One from before there was such a number.
    write(dir .. '/old.c', 'const char *ag_cdef(void) { return ""; }')
    r = sh('cc -shared -fPIC -o libargent.so old.c && ' .. [[
      LUA_PATH="$1/lua/?.lua;$1/lua/?/init.lua;;" ARGENT_BUILD=$0 luajit -e "require 'argent'"]],
      command.root)
    assert.matches('^luajit: %S+/libargent.so and the Lua files in %S+/lua/argent are of different '
      .. 'versions %(ABI unknown, %d+%): build it again with scripts/quickstart\n', r.err)
  end)

  for compiler, flags in pairs {cc = '-std=c99 -x c', ['c++'] = '-std=c++11 -x c++'} do
    it('gives programs its header and library, with ' .. compiler, function()
      if not command.has(compiler) or not command.has 'pkg-config' then
        pending(compiler .. ' or pkg-config is not installed')
        return
      end
      write(dir .. '/program.c', PROGRAM)
      local ag = require 'argent'
      assert(ag.save(dir .. '/x.safetensors', {x = ag.tensor(assert(ag.backend('cpu',
        {threads = 1})), {1, 2, 3})}))
      local r = sh(([[export PKG_CONFIG_PATH="$2/pkgconfig"
        eval %s -pedantic -Wall -Wextra -Werror %s -o program program.c \
          "$(pkg-config --cflags argent)" -x none "$(pkg-config --libs argent)" &&
        LD_LIBRARY_PATH=$2 ./program x.safetensors && LD_LIBRARY_PATH=$2 ./program nothing]])
        :format(compiler, flags), prefix, lib)
      assert.equal('3 5 7\n', r.out, r.err)
      assert.equal(1, r.code)
      assert.matches('nothing', r.err)
    end)
  end
end)
