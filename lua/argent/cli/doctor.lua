-- argent doctor: whether all is well here, and what to do where it is not.

local common = require 'argent.cli.common'
local doctor = require 'argent.doctor'
local hub = require 'argent.hub'
local json = require 'argent.json'
local lfs = require 'lfs'

local M = {summary = 'check this installation'}

function M.parser(p)
  p:option('-m --model', 'Also check this model.'):argname '<model>'
  p:flag('--json', 'Print one JSON object: cpu, ops, libraries, cuda, places, models, healthy.')
  p:epilog [[
Exit codes: 0 when all that is needed works (a missing model or CUDA is told, and fine); 1 when a
kernel differs from plain C; 3 when a library is missing, or the model of -m is.

Examples:
  argent doctor
  argent doctor -m Qwen3-TTS-12Hz-0.6B-CustomVoice --json]]
end

local function variants_text(op)
  local parts = {}
  for _, isa in ipairs(doctor.VARIANTS) do
    local d = op.variants[isa]
    if type(d) == 'number' then parts[#parts + 1] = ('%s %.0e'):format(isa, d) end
  end
  return table.concat(parts, ', ')
end

local function add_ops(lines, r)
  local plain = {}
  for _, op in ipairs(r.ops) do
    if op.fast then
      lines[#lines + 1] = ('  %-17s %-7s off plain C by %s'):format(op.name, op.chosen,
        variants_text(op))
    else
      plain[#plain + 1] = op.name
    end
  end
  lines[#lines + 1] = '  plain C on every CPU: ' .. table.concat(plain, ', ')
  for _, isa in ipairs(doctor.VARIANTS) do
    local why = r.ops[1].variants[isa]
    if type(why) == 'string' then lines[#lines + 1] = ('  %s: not checked: %s'):format(isa, why) end
  end
  lines[#lines + 1] = r.failures == 0 and '  every op of every variant agrees with plain C'
    or ('  %d DIFFER: please report this'):format(r.failures)
end

local function text(r)
  local lines = {}
  local function add(fmt, ...) lines[#lines + 1] = fmt:format(...) end
  add('argent %s, %s, %s', r.version, jit.version, jit.arch)
  add('cpu: %s, %d threads, %.1f GB', r.cpu.name, r.cpu.threads, r.cpu.memory / 2 ^ 30)
  add('  has %s; kernels for %s are used', #r.cpu.features > 0 and table.concat(r.cpu.features, ' ')
    or 'nothing of interest', r.cpu.isa)
  add 'ops:'
  add_ops(lines, r)
  add 'libraries:'
  for _, l in ipairs(r.libraries) do
    add('  %-11s %s', l.name, l.file
      or ('MISSING, needed for %s: apt install %s'):format(l.needed_for,
      l.package))
  end
  add('cuda: %s', r.cuda.found and 'found' or 'not used: ' .. r.cuda.why)
  add 'models:'
  for _, p in ipairs(r.places) do
    add('  looked in %s (%s)%s', p.path, p.from, lfs.attributes(p.path) and '' or ', not there')
  end
  for _, m in ipairs(r.models) do
    add('  %s: %s', m.id, #m.missing == 0 and 'complete' or 'INCOMPLETE, without '
      .. table.concat(m.missing, ', '))
  end
  if #r.models == 0 then add('  none; fetch one with: hf download %s', hub.RELEASED[1]) end
  if r.model then add('  %s: %s', r.model.name, r.model.fault or 'complete and sound') end
  return table.concat(lines, '\n')
end

-- Opens the model of -m: that reads and checks every tensor's name and shape.
local function check_model(name)
  local dir, err = common.find_model(name)
  if not dir then return {name = name, fault = err} end
  local tts
  tts, err = require('argent.qwen3_tts').open(dir)
  return {name = name, fault = not tts and err or nil}
end

function M.run(args)
  local r = {version = require('argent').version, cpu = doctor.cpu(),
    libraries = doctor.libraries()}
  r.ops, r.failures = doctor.ops()
  local found, why = doctor.cuda()
  r.cuda = {found = found, why = why}
  r.places, r.models = doctor.models()
  r.model = args.model and check_model(args.model) or nil
  local missing
  for _, l in ipairs(r.libraries) do missing = missing or (not l.file and l) end
  local fault = r.model and r.model.fault
  r.healthy = r.failures == 0 and not missing and not fault
  local ok, err, code
  if args.json then
    for _, m in ipairs(r.models) do m.missing = json.array(m.missing) end
    r.models, r.places = json.array(r.models), json.array(r.places)
    r.cpu.features = json.array(r.cpu.features)
    ok, err, code = common.print(json.encode(r))
  else
    ok, err, code = common.print(text(r))
  end
  if not ok then return nil, err, code end
  if r.failures > 0 then return nil, ('%d kernels differ from plain C'):format(r.failures),
    'internal' end
  if missing then
    return nil, ('%s is missing: apt install %s'):format(missing.name, missing.package),
      'unsupported'
  end
  if fault then return nil, fault, 'model' end
  return 0
end

return M
