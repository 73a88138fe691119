-- argent doctor: whether all is well here, and what to do where it is not.

local common = require 'argent.cli.common'
local doctor = require 'argent.doctor'
local hub = require 'argent.hub'
local json = require 'argent.json'
local lfs = require 'lfs'

local M = {summary = 'check this installation'}

function M.parser(p)
  p:option('-m --model', 'Also check this model: a directory, or a name on the hub.')
    :argname '<model>'
  p:flag('--json', 'Print one JSON object: system, cpu, ops, libraries, cuda, places, models, '
    .. 'healthy.')
  p:epilog [[
What it prints is what a report of a mistake needs, and holds no secret but paths and names.

Exit codes: 0 when all that is needed works (a missing model or CUDA is told, and fine); 1 when a
kernel of the CPU or of the card differs from plain C; 3 when a library is missing, or the model
of -m is.

Examples:
  argent doctor
  argent doctor -m Qwen3-TTS-12Hz-0.6B-CustomVoice --json]]
end

local WIDTH = 64

-- Words in lines of WIDTH columns; what is longer than that stays whole.
local function wrapped(add, indent, words)
  local line = indent
  for word in words:gmatch '%S+' do
    if #line + #word + 1 > WIDTH and line ~= indent then
      add(line)
      line = indent
    end
    line = line .. (line:find '%S' and ' ' or '') .. word
  end
  if line ~= indent then add(line) end
end

local function cpu_lines(add, cpu)
  add('cpu: %s', cpu.name)
  add('  %d cores, %d processors, %d of them for argent', cpu.cores, cpu.processors, cpu.threads)
  add('  memory %.1f GiB, %.1f free, in pages of %d KiB', cpu.memory / 2 ^ 30,
    cpu.available / 2 ^ 30, cpu.page / 1024)
  wrapped(add, '  ', 'features: ' .. (#cpu.features > 0 and table.concat(cpu.features, ' ')
    or 'none that kernels use'))
  if cpu.fault then wrapped(add, '  ', 'NO BACKEND: ' .. cpu.fault) end
end

local function cell(check)
  if check.missing then return '-' end
  local d = check.difference
  local text = d == 0 and '0' or d and ('%.0e'):format(d) or 'FAULT'
  return check.agrees and text or text .. ' WRONG'
end

-- The names of the columns: every instruction set, and the card where there is one.
local function columns(r)
  local list = {unpack(doctor.VARIANTS)}
  if r.cuda.found then list[#list + 1] = 'cuda' end
  return list
end

-- Ops with loops of their own have a line each; of the others only those that are wrong.
local function op_lines(add, r)
  local kinds = columns(r)
  local function row(name, used, cells)
    local line = ('  %-16s %-10s'):format(name, used)
    for i, c in ipairs(cells) do
      line = line .. ' ' .. c .. (' '):rep(math.max(#kinds[i], 6) - #c)
    end
    add('%s', (line:gsub(' +$', '')))
  end
  add('ops: loops used, and how far each kind is from plain C')
  row('', 'used', kinds)
  local plain, faults, lacking = {}, {}, {}
  for _, op in ipairs(r.ops) do
    local cells, right = {}, true
    for i, kind in ipairs(kinds) do
      local check = op.variants[kind]
      cells[i] = cell(check)
      right = right and check.agrees ~= false
      if check.fault then
        faults[#faults + 1] = ('%s, %s: %s'):format(op.name, kind, check.fault)
      end
      if kind == 'cuda' and check.missing then lacking[#lacking + 1] = op.name end
    end
    if op.fast or not right then
      row(op.name, op.chosen or '-', cells)
    else
      plain[#plain + 1] = op.name
    end
  end
  wrapped(add, '  ', 'plain C on every CPU: ' .. table.concat(plain, ', '))
  for _, isa in ipairs(doctor.VARIANTS) do
    if r.ops[1].variants[isa].missing then
      add('  %s: not checked, this CPU or build lacks it', isa)
    end
  end
  if lacking[1] then
    wrapped(add, '  ', 'without a kernel on the card: ' .. table.concat(lacking, ', '))
  end
  for _, fault in ipairs(faults) do wrapped(add, '  ', fault) end
  if r.failures == 0 then
    add('  all %d ops agree, within %.0e', #r.ops, doctor.BOUND)
  else
    add('  %d WRONG (more than %.0e): please report this', r.failures, doctor.BOUND)
  end
end

local function library_lines(add, list)
  add 'libraries:'
  for _, l in ipairs(list) do
    if l.found then
      add('  %-11s %s', l.name, l.version or l.file)
    else
      wrapped(add, '  ', ('%s: %s'):format(l.name, l.fault))
      wrapped(add, '    ', 'needed for ' .. l.needed_for)
    end
  end
end

local function cuda_text(cuda)
  local version = cuda.driver == '' and 'of unknown version' or cuda.driver
  local driver = version and 'NVIDIA driver ' .. version or 'no NVIDIA driver here'
  if cuda.found then
    local memory = cuda.memory and (', %.1f GiB'):format(cuda.memory / 2 ^ 30) or ''
    return ('%s, %s%s; %s'):format(cuda.name or 'a card', cuda.isa, memory, driver)
  end
  local why = cuda.half and cuda.why or 'this build has no CUDA half'
  return ('not used: %s; %s'):format(why, driver)
end

local function model_lines(add, r)
  add 'models:'
  for _, p in ipairs(r.places) do
    add('  looked in %s (%s)%s', p.path, p.from, lfs.attributes(p.path) and '' or ': not there')
  end
  for _, m in ipairs(r.models) do
    local from = m.from and (' (%s)'):format(m.from) or ''
    local kind = (m.kind and m.kind .. ', ' or '') .. (m.size and m.size .. ', ' or '')
    add('  %s%s: %s', m.name, from, not m.fault and kind .. 'complete'
      or m.dir and kind .. 'INCOMPLETE' or 'NOT FOUND')
    if m.fault then wrapped(add, '    ', m.fault) end
  end
  if #r.models == 0 then
    add('  none%s; fetch one with:', hub.demo() and ' but the demo voice, which speaks' or '')
    add('  argent pull %s', hub.RELEASED[1])
  end
end

-- 'key value' of a table, sorted.
local function pairs_text(t, joint)
  local list = {}
  for key, value in pairs(t) do list[#list + 1] = key .. joint .. value end
  table.sort(list)
  return #list > 0 and table.concat(list, ', ') or 'none'
end

local function system_lines(add, s)
  add('system: %s', s.release)
  wrapped(add, '  ', ('Linux %s, %s'):format(s.kernel, s.libc))
  wrapped(add, '  ', ('build: %s, ABI %d'):format(s.build, s.abi))
  wrapped(add, '  ', ('%s: %s'):format(s.installed and 'installed' or 'the tree', s.place))
  wrapped(add, '  ', 'JIT ' .. s.jit)
  wrapped(add, '  ', 'Lua modules: ' .. pairs_text(s.modules, ' '))
  wrapped(add, '  ', 'limits: ' .. pairs_text(s.limits, ' '))
  local free = {}
  for folder, bytes in pairs(s.disk) do free[folder] = ('%.1f GB'):format(bytes / 1e9) end
  wrapped(add, '  ', 'free on disks: ' .. pairs_text(free, ' '))
  wrapped(add, '  ', 'environment: ' .. pairs_text(s.environment, '='))
end

local function text(r)
  local lines = {}
  local function add(fmt, ...)
    lines[#lines + 1] = select('#', ...) > 0 and fmt:format(...) or fmt
  end
  add('argent %s, %s, %s', r.version, jit.version, jit.arch)
  system_lines(add, r.system)
  cpu_lines(add, r.cpu)
  op_lines(add, r)
  library_lines(add, r.libraries)
  wrapped(add, '', 'cuda: ' .. cuda_text(r.cuda))
  model_lines(add, r)
  return table.concat(lines, '\n')
end

local function encoded(r)
  for _, m in ipairs(r.models) do json.array(m.missing) end
  json.array(r.models)
  json.array(r.places)
  json.array(r.cpu.features)
  return json.encode(r)
end

-- The worst of what is wrong with what is needed: a message and a code, nothing when all is well.
local function fault_of(r)
  if r.failures > 0 then
    return ('%d kernels differ from plain C'):format(r.failures), 'internal'
  end
  if r.cpu.fault then return r.cpu.fault, 'unsupported' end
  for _, l in ipairs(r.libraries) do
    if not l.found and not l.optional then return l.name .. ': ' .. l.fault, 'unsupported' end
  end
  for _, m in ipairs(r.models) do
    if m.from == '-m' and m.fault then
      local named = m.fault:sub(1, #m.name) == m.name
      return named and m.fault or ('%s: %s'):format(m.name, m.fault), 'model'
    end
  end
end

function M.run(args)
  local r = {
    version = require('argent').version, cpu = doctor.cpu(), bound = doctor.BOUND,
    libraries = doctor.libraries(), cuda = doctor.cuda(), places = doctor.places(),
    models = doctor.models(args.model), system = doctor.system(),
  }
  r.ops, r.failures = doctor.ops()
  local fault, kind = fault_of(r)
  r.healthy = not fault
  local ok, err, code = common.print(args.json and encoded(r) or text(r))
  if not ok then return nil, err, code end
  if fault then return nil, fault, kind end
  return 0
end

return M
