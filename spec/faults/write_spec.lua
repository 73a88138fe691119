-- Writes that fail, one after the other: of every kind of output that the command has.

local amount = require 'support.amount'
local command = require 'support.command'
local faults = require 'support.faults'
local st = require 'support.st'

local DEMO = {'-m', command.root .. '/models/demo', '--seed', '1', '--max-frames', '3', '--threads',
  '1'}

local function say(...)
  local args = {'say', 'Hi.', ...}
  for _, word in ipairs(DEMO) do args[#args + 1] = word end
  return args
end

describe('a write that fails', function()
  local missing = faults.missing()
  if missing then
    pending(missing)
    return
  end

  local lines, script = st.write 'One.\nTwo.\n', os.tmpname()
  st.write([[
    local ag = require 'argent'
    local be = assert(ag.backend('cpu', {threads = 1}))
    local ok, err, code = ag.save(arg[1], {a = ag.zeros(be, {3000}), b = ag.zeros(be, {2, 3})})
    return ok and 0 or nil, err, code]], script)
  teardown(function()
    os.remove(lines)
    os.remove(script)
  end)

  -- What each of them writes into the folder %d.
  local OUTPUTS = {
    wav = say('-o', '%d/x.wav'),
    flac = say('-o', '%d/x.flac'),
    opus = say('-o', '%d/x.opus'),
    codes = say('-o', '%d/x.wav', '--codes', '%d/x.json'),
    each = {'say', '-f', lines, '--each', '-o', '%d/%s.wav', unpack(DEMO)},
    tensors = {'run', script, '%d/x.safetensors'},
  }
  -- An ogg file has a serial number that is drawn anew.
  local DRAWN = {opus = true}
  -- The manifest of --each is only added to, and names what is whole.
  local function without_manifest(files)
    local rest = {}
    for name, bytes in pairs(files) do
      if name ~= '.argent-each.jsonl' then rest[name] = bytes end
    end
    return rest
  end

  for name, args in pairs(OUTPUTS) do
    it(('leaves %s whole, or not there and exit code 6'):format(name), function()
      for _, how in ipairs {'write:ENOSPC', 'write:EIO', 'write:EINTR', 'write:short', 'sync:EIO',
        'rename:EIO'} do
        local calls, whole = faults.count(args, how)
        local failed = 0
        for n in amount.places(calls, 6) do
          local r = faults.run(args, {fault = ('%s:%d:1'):format(how, n)})
          local what = ('%s, %s, call %d: %d, %s'):format(name, how, n, r.code, r.err)
          assert.is_true(r.code == 0 or r.code == 6, what)
          for file, bytes in pairs(without_manifest(r.files)) do
            assert.is_truthy(whole[file], what .. file)
            if not DRAWN[name] then assert.is_true(bytes == whole[file], what .. file) end
          end
          if r.code == 0 then
            for file in pairs(whole) do assert.is_truthy(r.files[file], what .. file) end
          else
            failed = failed + 1
            -- --each says what failed, goes on with the next line, and ends with a count.
            local last = name == 'each' and '' or '$'
            assert.matches('\nargent: [^\n]*\n' .. last, '\n' .. r.err, what)
          end
        end
        if how == 'write:short' then assert.equal(0, failed) end
        if how:find 'EIO' then assert.is_true(failed > 0, name .. ', ' .. how) end
      end
    end)
  end

  it('is exit code 6 on standard output, and a short one goes on', function()
    local args = say('-o', '-')
    local whole = command.run(args).out
    local calls = faults.count(args, 'write:EIO')
    for n = 1, calls do
      local r = faults.run(args, {fault = ('write:EIO:%d:1'):format(n)})
      assert.is_true(r.code == 6 or r.code == 0 and r.out == whole, ('%d: %s'):format(n, r.err))
      for _, how in ipairs {'short', 'EINTR'} do
        r = faults.run(args, {fault = ('write:%s:%d:1'):format(how, n)})
        assert.same({0, true}, {r.code, r.out == whole}, ('%s, %d: %s'):format(how, n, r.err))
      end
    end
  end)
end)
