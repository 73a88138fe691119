-- What scripts/gpu_check has found, as a page: `argent run scripts/gpu/report.lua RESULTS`, a
-- folder with what its steps left behind. Figures stand beside what is to be reached on an H200;
-- those of the emulated card have no target.

local json = require 'argent.json'

local dir = arg[1]

local function read(name)
  local f = io.open(dir .. '/' .. name)
  if not f then return nil end
  local s = f:read '*a'
  f:close()
  return s:match '^%s*(.-)%s*$'
end

local function add(fmt, ...)
  io.stdout:write(select('#', ...) > 0 and fmt:format(...) or fmt, '\n')
end

-- ---- what there is ----

local probe = {}
for name, value in (read 'probe.txt' or ''):gmatch '([%w_]+) ([^\n]+)' do probe[name] = value end

local sizes, bench = {'0.6b', '1.7b'}, {}
for _, size in ipairs(sizes) do
  local text = read(('bench-%s.json'):format(size))
  local figures = text and text ~= '' and json.decode(text, 'bench')
  bench[size] = figures or nil
end
local serial = read 'bench-serial.json'
serial = serial and serial ~= '' and json.decode(serial, 'bench') or nil
local any = bench['0.6b'] or bench['1.7b'] or {}
local emulated = any.device == 'cuda-emulated'
local name, driver = (read 'card' or ''):match '^([^,]+), ([^,]+)'
local h200 = name and name:find 'H200' ~= nil and any.device == 'cuda'

add('# The CUDA half on %s', emulated and 'no card: emulated, small models'
  or name or 'an unknown card')
add ''
add('%s, commit %s%s%s%s.', os.date '!%Y-%m-%d %H:%M UTC', read 'commit' or 'unknown',
  driver and ', driver ' .. driver or '', any.isa and ', ' .. any.isa or '',
  read 'nvcc' and ', nvcc ' .. read 'nvcc' or '')
if emulated then add '**These are no figures of a card**: they show that the steps work.' end

-- ---- steps ----

add '\n| step | outcome | seconds |\n|---|---|---|'
for step, outcome, seconds in (read 'steps' or ''):gmatch '([^\t\n]*)\t([^\t\n]*)\t(%d+)' do
  add('| %s | %s | %s |', step, outcome, seconds)
end

-- ---- figures ----

-- What reading the weights of a frame takes at 4.3 TB/s, in ms.
local LIMIT = {['0.6b'] = 0.770, ['1.7b'] = 1.222}

-- What is said, the format, the figure of a bench, its target for each size, whether more is good.
local ROWS = {
  {'a frame without codec, ms', '%.3f', function(b) return b.frame end,
    {['0.6b'] = 2.2, ['1.7b'] = 2.7}},
  {'  over reading its bytes at 4.3 TB/s', '%.2f x', function(b, size)
    return not emulated and b.frame / LIMIT[size]
  end},
  {'  over reading its bytes as measured', '%.2f x', function(b) return b.ratio end},
  {'  talker step, ms', '%.3f', function(b) return b.talker end},
  {'  predictor, 15 steps, ms', '%.3f', function(b) return b.predictor end},
  {'  without overlapping launches, ms', '%.3f', function(_, size)
    return size == '0.6b' and serial and serial.frame
  end},
  {'a frame with a logits hook, ms', '%.3f', function(b) return b.hooked end},
  {'codec, one frame, ms', '%.3f', function(b) return b.codec_1 end,
    {['0.6b'] = 1.5, ['1.7b'] = 1.5}},
  {'codec, eight frames, ms', '%.3f', function(b) return b.codec_8 end},
  {'prefill, ms', '%.2f', function(b) return b.prefill end},
  {'first audio, ms', '%.2f', function(b) return b.first_audio end,
    {['0.6b'] = 8, ['1.7b'] = 8}},
  {'end to end, x real time', '%.1f', function(b) return b.speed end,
    {['0.6b'] = 34, ['1.7b'] = 34}, true},
  {'a tiny op in a plan, us', '%.2f', function(b) return b.op_cost end},
  {'bandwidth of a product, GB/s', '%.0f', function(b) return b.bandwidth / 1e9 end},
}

-- A figure as text, and its target as text.
local function cell(row, size)
  local b, more = bench[size], row[5]
  local value, target = b and row[3](b, size), row[4] and not emulated and row[4][size]
  local text = value and row[2]:format(value) or '-'
  if not target then return text, '' end
  local verdict = ' on an H200'
  if value and h200 then
    verdict = (more and value >= target or not more and value <= target) and ', met' or ', MISSED'
  end
  return text, ('%s %g%s'):format(more and '>=' or '<=', target, verdict)
end

add '\n| figure | 0.6B | target | 1.7B | target |\n|---|---|---|---|---|'
for _, row in ipairs(ROWS) do
  local small, small_target = cell(row, '0.6b')
  local large, large_target = cell(row, '1.7b')
  add('| %s | %s | %s | %s | %s |', row[1], small, small_target, large, large_target)
end

-- ---- the card alone ----

local ALONE = {
  {'read_gbs', 'reading, GB/s'}, {'copy_gbs', 'copying, GB/s, read and written'},
  {'node_us', 'a kernel node of a graph, one block, us'},
  {'node_wide_us', '  a block on each multiprocessor, us'},
  {'node_dependent_us', '  with dependent launch, one block, us'},
  {'node_dependent_wide_us', '  with dependent launch, a block on each, us'},
  {'barrier_us', 'a grid barrier, us'},
  {'launch_read_back_us', 'a graph launched and 64 bytes read back, us'},
  {'launch_host_us', 'launching a graph of 1000 nodes, the host alone, us'},
}
if next(probe) then
  add('\nThe card without Argent (%s multiprocessors, %s MB of L2, %s GiB):\n', probe.sms or '?',
    probe.l2_mb or '?', probe.memory_gib or '?')
  add '| | |\n|---|---|'
  for _, a in ipairs(ALONE) do
    if probe[a[1]] then add('| %s | %s |', a[2], probe[a[1]]) end
  end
end
