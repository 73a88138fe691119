-- Load for a server on this machine: argent run scripts/load/run.lua [OPTIONS]
--
-- So many clients ask for speech of mixed length, one request after the other, until so many
-- requests are done or the time is over. Each sound is compared with what the model says alone, and
-- how long first sounds and whole ones took is printed, and what the server's memory did. A part of
-- the clients can vanish in the middle. With --joins it asks instead how long the first sound of a
-- request takes alone, and where all other rows speak. Starts `argent serve` itself, on a free
-- port, and ends it.

local ag = require 'argent'
local argparse = require 'argparse'
local cqueues = require 'cqueues'
local json = require 'argent.json'
local pcm = require 'argent.audio.pcm'
local posix = require 'argent.posix'

local WORDS = {'Help is on the way.', 'Be sure to lock the doors.', 'She was his first love.',
  'He read his newspaper at breakfast.', 'His name was mentioned in connection with the invention.',
  'He spoke in a nervous tone of voice.'}
-- Of what a client that vanishes has got by then.
local BYTES_BEFORE_VANISHING = 4000

local p = argparse('load', 'Load for argent serve on this machine.')
p:option('-m --model', 'The model.', 'models/demo')
p:option('--dtype', 'Of its weights.', 'bf16')
p:option('--rows', 'Of the server.', '8')
p:option('--threads', 'Of the server.'):convert(tonumber)
p:option('--clients', 'At once.', '32'):convert(tonumber)
p:option('--requests', 'In all.', '200'):convert(tonumber)
p:option('--seconds', 'At most.', '600'):convert(tonumber)
p:option('--max-frames', 'Of each request.'):convert(tonumber)
p:option('--vanish', 'Clients of a hundred that leave in the middle.', '0'):convert(tonumber)
p:option('--seeds', 'Different requests there are; each is compared.', '40'):convert(tonumber)
p:option('--joins', 'Requests that come while all other rows speak, one after the other.')
  :convert(tonumber)
p:flag('--no-check', 'Do not compare sounds with what the model says alone.')
p:flag('--json', 'Print one JSON object.')
local args = p:parse(arg)

local function slurp(path)
  local f = assert(io.open(path, 'rb'))
  local s = f:read '*a'
  f:close()
  return s
end

-- ---- the server ----

local exe = posix.realpath '/proc/self/exe'

local function start()
  local log, pid = os.tmpname(), os.tmpname()
  os.execute(('sh -c \'echo $$ >%s; exec "%s" serve -m "%s" --dtype %s --rows %s %s --port 0 2>%s\''
    .. ' </dev/null &'):format(pid, exe, args.model, args.dtype, args.rows, args.threads
    and '--threads ' .. args.threads or '', log))
  local limit = posix.now() + 120
  repeat
    cqueues.sleep(0.05)
    local port = slurp(log):match '"url":"http://127%.0%.0%.1:(%d+)/"'
    if port then return tonumber(port), tonumber((slurp(pid):match '%d+')), log, pid end
  until posix.now() > limit
  error('the server does not listen: ' .. slurp(log))
end

local port, pid, log, pid_file = start()

local function resident()
  return tonumber(slurp(('/proc/%d/statm'):format(pid)):match '^%d+ (%d+)') * posix.page_size()
end

-- ---- requests ----

local tts = not args.no_check and not args.joins
  and assert(ag.open(args.model, {dtype = args.dtype}))

-- The i-th request: one to three sentences.
local function request_of(i)
  local text = {}
  for k = 1, i % 3 + 1 do text[k] = WORDS[(i * k) % #WORDS + 1] end
  return {text = table.concat(text, ' '), seed = i, max_frames = args.max_frames}
end

local alone = {}
local function expected(i)
  if not alone[i] then
    local o = request_of(i)
    o.voice = tts:voices()[1]
    local sound = assert(tts:say(o))
    alone[i] = pcm.s16(sound.samples:host())
  end
  return alone[i]
end

local function first_voice()
  local _, stream = assert(require('http.request').new_from_uri(
    ('http://127.0.0.1:%d/v1/audio/voices'):format(port)):go(30))
  return json.decode(assert(stream:get_body_as_string(30)), 'the voices').data[1].name
end
local voice = first_voice()

local function body_of(i)
  local o = request_of(i)
  return json.encode {model = 'tts-1', voice = voice, input = o.text, response_format = 'pcm',
    argent = {seed = o.seed, max_frames = o.max_frames}}
end

-- One request; returns what came, when it began to come, or nil, why, nil, when.
local function ask(i, vanishes)
  local request = require('http.request').new_from_uri(('http://127.0.0.1:%d/v1/audio/speech')
    :format(port))
  request.headers:upsert(':method', 'POST')
  request.headers:upsert('content-type', 'application/json')
  request:set_body(body_of(i))
  local headers, stream = request:go(300)
  if not headers then return nil, tostring(stream) end
  local first, parts, size = nil, {}, 0
  while true do
    local chunk, err = stream:get_next_chunk(300)
    if not chunk then
      stream:shutdown()
      if err then return nil, tostring(err) end
      break
    end
    first = first or posix.now()
    parts[#parts + 1], size = chunk, size + #chunk
    if vanishes and size > BYTES_BEFORE_VANISHING then
      stream.connection.socket:close()
      return nil, 'vanished', nil, first
    end
  end
  pcall(stream.connection.close, stream.connection)
  return table.concat(parts), first, headers:get ':status'
end

-- ---- clients ----

local count = {done = 0, asked = 0, lost = 0, wrong = 0, again = 0, vanished = 0}
local firsts, totals, bytes = {}, {}, 0
if tts then
  for i = 1, math.min(args.seeds, args.requests) do expected(i) end
end

local began = posix.now()

local function client()
  while count.asked < args.requests and posix.now() - began < args.seconds do
    count.asked = count.asked + 1
    local i = (count.asked - 1) % args.seeds + 1
    local vanishes = count.asked % 100 < args.vanish
    local status, sound, first
    repeat
      local asked = posix.now()
      sound, first, status = ask(i, vanishes)
      if status == '429' then
        count.again = count.again + 1
        cqueues.sleep(1)
      elseif sound and status == '200' then
        firsts[#firsts + 1], totals[#totals + 1] = first - asked, posix.now() - asked
        bytes = bytes + #sound
      end
    until status ~= '429'
    if first == 'vanished' then
      count.vanished = count.vanished + 1
    elseif not sound or status ~= '200' then
      count.lost = count.lost + 1
      io.stderr:write(('request %d: %s %s\n'):format(i, status or '-', tostring(first)))
    elseif tts and sound ~= expected(i) then
      count.wrong = count.wrong + 1
    end
    count.done = count.done + 1
  end
end

local function percentile(list, share)
  if #list == 0 then return 0 end
  table.sort(list)
  return list[math.max(1, math.ceil(share * #list))]
end

local function stop_server()
  os.execute('kill -TERM ' .. pid .. ' 2>/dev/null')
  cqueues.sleep(0.5)
  os.remove(log)
  os.remove(pid_file)
end

-- How many speak.
local function speaking()
  local _, stream = assert(require('http.request').new_from_uri(
    ('http://127.0.0.1:%d/health'):format(port)):go(30))
  return json.decode(assert(stream:get_body_as_string(30)), 'the health').speaking
end

-- Seconds to the first sound of requests that come one after the other and leave with it, while so
-- many others speak.
local function first_sounds(others)
  local list, done = {}, false
  local cq = cqueues.new()
  for k = 1, others do
    cq:wrap(function()
      while not done do ask(1000 + k) end
    end)
  end
  cq:wrap(function()
    repeat cqueues.sleep(0.1) until speaking() == others
    for i = 1, args.joins do
      cqueues.sleep(0.5)
      local asked = posix.now()
      local sound, err, _, first = ask(3 * i, true) -- one sentence
      if not sound and not first then error('no sound: ' .. tostring(err), 0) end
      list[i] = (first or err) - asked
    end
    done = true
  end)
  repeat assert(cq:step(0.1)) until done
  return percentile(list, 0.5)
end

if args.joins then
  local quiet = first_sounds(0)
  local joined = first_sounds(tonumber(args.rows) - 1)
  print(('first sound: %.3f s alone, %.3f s beside %d others: %.2f x'):format(quiet, joined,
    args.rows - 1, joined / quiet))
  os.execute('kill -KILL ' .. pid) -- the others are not waited for
  stop_server()
  return 0
end

local cq = cqueues.new()
for _ = 1, args.clients do cq:wrap(client) end
local early, most
cq:wrap(function()
  while not cq:empty() and count.done < count.asked or count.asked < args.requests do
    local now = posix.now() - began
    if now >= args.seconds then break end
    if now >= 60 then early = early or resident() end
    most = math.max(most or 0, resident())
    cqueues.sleep(1)
  end
end)
assert(cq:loop())
local seconds, late = posix.now() - began, resident()
stop_server()

local result = {
  requests = count.done, lost = count.lost, wrong = count.wrong, sent_away = count.again,
  vanished = count.vanished, clients = args.clients, rows = tonumber(args.rows), seconds = seconds,
  sound_seconds = bytes / 48000, sound_per_second = bytes / 48000 / seconds,
  first_p50 = percentile(firsts, 0.5), first_p99 = percentile(firsts, 0.99),
  total_p50 = percentile(totals, 0.5), total_p99 = percentile(totals, 0.99),
  resident = late, resident_after_a_minute = early, resident_most = most,
}
if args.json then
  print(json.encode(result))
else
  print(('%d requests of %d clients on %d rows in %.1f s: %d lost, %d wrong, %d vanished, %d sent '
    .. 'away for a while'):format(result.requests, result.clients, result.rows, seconds,
    result.lost, result.wrong, result.vanished, result.sent_away))
  print(('%.1f s of sound, %.2f a second'):format(result.sound_seconds, result.sound_per_second))
  print(('first sound: p50 %.2f s, p99 %.2f s; whole: p50 %.2f s, p99 %.2f s'):format(
    result.first_p50, result.first_p99, result.total_p50, result.total_p99))
  print(('resident: %.1f MB%s'):format(late / 2 ^ 20, early
    and (', %.1f MB after a minute'):format(early / 2 ^ 20) or ''))
end
return (count.lost + count.wrong) == 0 and 0 or 1
