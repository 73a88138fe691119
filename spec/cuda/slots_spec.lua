-- What the CUDA half may lack: a kernel of an op, code for cards that the toolkit does not know.
-- And a library of it that does not open.

local card = require 'support.card'
local command = require 'support.command'
local golden = require 'support.golden'
local lfs = require 'lfs'

describe('an op that has no kernel on the card', function()
  local dir, exe, model

  setup(function()
    dir = os.tmpname()
    os.remove(dir)
    assert(lfs.mkdir(dir))
    exe = card.make(dir, 'libargent_lacking.so') -- without `nearest`
    for _, m in ipairs(golden.models()) do
      if m.name == 'base' then model = m end
    end
  end)

  teardown(function() os.execute('rm -rf ' .. command.quote(dir)) end)

  local function run(args) return command.run(args, {exe = exe, env = card.env()}) end

  local MESSAGE = "nearest: the backend 'cuda-emulated' has no kernel for it; use the cpu"

  it('is an error with its name, in a call and in a plan; the other ops work', function()
    local path = dir .. '/script.lua'
    local f = assert(io.open(path, 'w'))
    f:write [[
local ag = require 'argent'
local be = assert(ag.backend 'cuda')
local x, ids = ag.tensor(be, {{1, 2}, {3, 4}}), ag.zeros(be, {2}, 'i32')
local function nearest() ag.ops.nearest(ids, x, x) end
print(tostring(select(2, pcall(nearest))))
print(tostring(select(2, pcall(ag.capture, be, nearest))))
local plan = ag.capture(be, function() ag.ops.affine(x, x, 2, 1) end)
plan:run()
print(x:totable()[2][2])
]]
    f:close()
    local r = run {'run', path}
    assert.equal(0, r.code, r.err)
    assert.equal(('%s\n%s\n9\n'):format(MESSAGE, MESSAGE), r.out)
  end)

  it('ends a command that needs it with one line and exit code 3', function()
    local sound = model.dir .. '/reference.wav'
    local r = run {'encode', sound, '-m', model.model, '--device', 'cuda', '-o', '-'}
    assert.equal(3, r.code)
    assert.equal('', r.out)
    assert.equal(('argent: encode: %s\n'):format(MESSAGE), r.err)
    r = run {'encode', sound, '-m', model.model, '-o', '-'}
    assert.equal(0, r.code, r.err)
  end)

  it('is told by the doctor, and is no fault', function()
    local r = run {'doctor'}
    assert.equal(0, r.code, r.err)
    assert.matches('\n  without a kernel on the card: nearest, pack, pack_conv1d,\n'
      .. '  packed_conv1d, quantize\n', r.out)
    assert.matches('\n  nearest +%a[%w]* +[^\n]* %-\n', r.out)
    assert.matches('\n  all %d+ ops agree', r.out)
  end)
end)

describe('the library of the card', function()
  it('is named, with the reason, where it does not open', function()
    local dir = os.tmpname()
    os.remove(dir)
    assert(lfs.mkdir(dir))
    local exe = card.make(dir)
    local f = assert(io.open(dir .. '/libargent_cuda.so', 'w'))
    f:write 'no library'
    f:close()
    local path = dir .. '/script.lua'
    f = assert(io.open(path, 'w'))
    f:write "local be, err, code = require('argent').backend 'cuda' print(err) print(code)"
    f:close()
    local r = command.run({'run', path}, {exe = exe, env = card.env()})
    os.execute('rm -rf ' .. command.quote(dir))
    assert.matches("^backend 'cuda': libargent_cuda%.so does not open: [^\n]+\nunsupported\n$",
      r.out)
  end)

  it('is refused where it is of another version than the library that opens it', function()
    local dir = os.tmpname()
    os.remove(dir)
    assert(lfs.mkdir(dir))
    local f = assert(io.open(dir .. '/host.c', 'w'))
    f:write [[
      #include "runtime/device/device.h"
      #include <dlfcn.h>
      #include <stdarg.h>
      #include <stdio.h>
      #include <stdlib.h>

      static int fail(int code, const char *fmt, ...)
      {
          va_list ap;
          va_start(ap, fmt);
          vprintf(fmt, ap);
          printf("\n");
          return code;
      }

      int main(int argc, char **argv)
      {
          ag_backend *be;
          agi_device_host host = {AG_ABI + atoi(argv[2]), AGI_OPS + atoi(argv[3]), fail, NULL};
          void *so = dlopen(argv[1], RTLD_NOW);
          agi_device_open_fn *open = (agi_device_open_fn *)dlsym(so, "agi_device_open");
          return open(&be, &host, 0) == AG_EUNSUPPORTED ? 3 : be == NULL;
      }]]
    f:close()
    local r = command.run({'-c', 'cc -I"$0" -o "$1/host" "$1/host.c" && for change in "0 0" "1 0" '
      .. '"0 1"; do "$1/host" "$2/libargent_emulated.so" $change; echo $?; done', command.root, dir,
      command.exe:match '^(.*)/'}, {exe = 'bash'})
    os.execute('rm -rf ' .. command.quote(dir))
    local want = "backend 'cuda%-emulated': its library is of another version than libargent "
      .. '%(ABI %d+ and %d+, %d+ and %d+ ops%): build or install both again\n3\n'
    assert.matches('^0\n' .. want .. want .. '$', r.out, r.err)
  end)

  it('fails the specs where it is there and does not open', function()
    local function open(why) return function() return nil, why end end
    for _, why in ipairs {
      "backend 'cuda': libargent_cuda.so does not open: undefined symbol: agi_cuda_gelu",
      "backend 'cuda': its library is of another version than libargent",
    } do
      assert.has_error(function() card.backend('cuda', open(why)) end, why)
    end
    local be, why = card.backend('cuda', open "backend 'cuda': there is no device; use the cpu")
    assert.is_nil(be)
    assert.equal("backend 'cuda': there is no device; use the cpu", why)
    assert.has_error(function() card.backend('cuda-emulated', open 'not built') end, 'not built')
  end)
end)

describe('the cards that are built for', function()
  local function cards(version)
    local p = assert(io.popen(('cmake -DVERSION=%s -P %s/cmake/cards.cmake 2>&1')
      :format(version, command.quote(command.root))))
    local text = p:read '*a'
    p:close()
    return (text:gsub('%s+$', ''))
  end

  it('are those that the toolkit knows, the last one with PTX', function()
    assert.equal('', cards '11.8')
    assert.equal('80-real;86-real;89-real;90', cards '12.0')
    assert.equal('80-real;86-real;89-real;90', cards '12.6')
    assert.equal('80-real;86-real;89-real;90-real;100-real;120', cards '12.8')
    assert.equal('80-real;86-real;89-real;90-real;100-real;110-real;120', cards '13.0')
  end)
end)
