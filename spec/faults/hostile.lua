-- A script that calls every public function and method with random arguments: argent run
-- hostile.lua CALLS SEED MODEL OUT. It must end by itself: a crash, or what a sanitizer finds, is
-- what spec/faults/hostile_spec.lua looks for. Then what was called is written into the file OUT.
-- It is run in a folder of its own, as some of the words are taken for names of files.

local ag, ffi = require 'argent', require 'ffi'
local check = require 'argent.check'
local tensor = require 'argent.tensor'

local calls, seed, model, out = tonumber(arg[1]), tonumber(arg[2]), arg[3], arg[4]
math.randomseed(seed)
local be = assert(ag.backend('cpu', {threads = 2}))
local tts = assert(ag.qwen3_tts.open(model, {backend = be}))
local VOICE = tts:voices()[1]

local function pick(list) return list[math.random(#list)] end

-- ---- what is called ----

local functions, names = {}, {}

-- What would end the process, wait for somebody, or play a sound.
local LEFT_OUT = {play = true}

local function add(name, fn)
  if type(fn) ~= 'function' or functions[name] or LEFT_OUT[name:match '[^.]*$'] then return end
  functions[name] = fn
  names[#names + 1] = name
end

local function add_all(name, t)
  for key, v in pairs(t) do
    if type(key) == 'string' and key:sub(1, 2) ~= '__' then add(name .. '.' .. key, v) end
  end
end

for _, name in ipairs {'open', 'nn', 'qwen3_tts', 'encoder', 'decoder', 'load', 'save', 'audio',
  'show', 'plot'} do
  assert(ag[name])
end
add_all('ag', ag)
for _, name in ipairs {'ops', 'audio', 'plot', 'qwen3_tts', 'encoder', 'decoder', 'nn'} do
  add_all('ag.' .. name, ag[name])
end
for name, class in pairs(ag.nn) do
  if type(class) == 'table' then add_all('ag.nn.' .. name, class) end
end
table.sort(names) -- a seed names the same calls every time

-- ---- with what ----

-- Objects that calls have given, and those to begin with; old ones make room.
local objects, MOST = {}, 80

local function methods_of(v)
  if tensor.is(v) then return tensor.methods end
  if type(v) == 'cdata' and ffi.istype('ag_backend *', v) then
    return require('argent.backend').methods
  end
  local meta = type(v) == 'table' and getmetatable(v)
  local index = meta and meta.__index
  if type(index) == 'table' then return index end
  return meta or nil
end

local function keep(v)
  local kind = type(v)
  if kind ~= 'table' and kind ~= 'cdata' then return end
  if kind == 'cdata' and not tensor.is(v) and not ffi.istype('ag_backend *', v) then return end
  if #objects < MOST then objects[#objects + 1] = v else objects[math.random(MOST)] = v end
end

local function sizes()
  local list = {}
  for i = 1, math.random(0, 4) do list[i] = math.random(0, 6) end
  return list
end

local function new_tensor()
  local dtype = pick {'f32', 'f32', 'f32', 'i32', 'bf16', 'f16'}
  local t = ag.zeros(be, sizes(), dtype)
  local _, change = pcall(math.random, 6)
  if change == 1 then pcall(function() t = t:transpose(1, 2) end)
  elseif change == 2 then pcall(function() t = t:narrow(1, 2, 2) end)
  elseif change == 3 then t:release()
  elseif change == 4 then pcall(function() t = tensor.reserve(be, {2, 8, 3}, dtype) end)
  elseif change == 5 then pcall(function() t:fill(pick {1, -1, 1e30, 0 / 0, 1 / 0}) end) end
  return t
end

-- No number between 64 and 2^45: what is allocated for it would be there.
local NUMBERS = {0, 1, 2, 3, 4, 7, 31, 64, -1, -2, 0.5, 1.5, -0.0, 2 ^ 45, 2 ^ 53, 2 ^ 63, -2 ^ 63,
  1e300, 0 / 0, 1 / 0, -1 / 0}
local WORDS = {'', 'x', 'f32', 'bf16', 'i32', 'cpu', 'Hi.', VOICE, 'english', 'x.wav', 'x.flac',
  '/nonexistent/x', model, 'a\0b', '\255', '%s', 'norm', 'hidden', ('long '):rep(200)}
local KEYS = {'text', 'voice', 'seed', 'max_frames', 'temperature', 'top_k', 'rows', 'capacity',
  'threads', 'dtype', 'backend', 'samples', 'rate', 'codes', 'hooks', 'speaker', 'width', 'title',
  'layer', 'group', 'special', 'greedy', 'ids', 'limit', 'bits', 'reference', 'axis'}

local value

local function random_table(depth)
  local t = {}
  if math.random() < 0.5 then
    for i = 1, math.random(0, 4) do t[i] = value(depth + 1) end
  else
    for _ = 1, math.random(0, 4) do t[pick(KEYS)] = value(depth + 1) end
  end
  return t
end

local function speech_options()
  local t = {text = pick {'Hi.', 'One. Two.', ''}, voice = VOICE, max_frames = math.random(3)}
  if math.random() < 0.5 then t[pick(KEYS)] = value(1) end
  t.max_frames = type(t.max_frames) == 'number' and math.min(t.max_frames, 3) or t.max_frames or 2
  return t
end

local function callback()
  local result = value(2)
  return function() return result end
end

function value(depth)
  local kind = math.random(depth < 3 and 13 or 9)
  if kind <= 3 then return pick(NUMBERS) end
  if kind <= 5 then return pick(WORDS) end
  if kind == 6 then return new_tensor() end
  if kind <= 8 and #objects > 0 then return pick(objects) end
  if kind == 9 then return pick {true, false, ffi.new 'float[3]', ffi.cast('float *', nil), be} end
  if kind == 10 then return callback() end
  if kind == 11 then return speech_options() end
  if kind == 12 then return sizes() end
  return random_table(depth)
end

local function arguments()
  local n, args = math.random(0, 5), {}
  for i = 1, n do if math.random() < 0.95 then args[i] = value(1) end end
  return n, args
end

local function start()
  objects = {}
  for _, v in ipairs {be, tts, tts.talker, tts.predictor, tts.codec, tts.tokenizer,
    tts.talker.backbone, tts.talker.head, tts.talker.backbone:session {capacity = 8},
    tts.codec:stream(), tts:feed {voice = VOICE}, ag.zeros(be, {2, 3})} do
    keep(v)
  end
end

-- ---- the calls ----

local errors, methods = 0, {}

local function call(fn, n, args)
  local r = {pcall(fn, unpack(args, 1, n))}
  if not r[1] then errors = errors + 1 end
  for i = 2, r[1] and #r or 0 do keep(r[i]) end
end

for i = 1, calls do
  if i % 500 == 1 then start() end
  local n, args = arguments()
  if math.random() < 0.5 then
    call(functions[pick(names)], n, args)
  else
    local object = pick(objects)
    local class, list = methods_of(object), {}
    for name, fn in pairs(class or {}) do
      if type(fn) == 'function' and type(name) == 'string' and name:sub(1, 2) ~= '__'
        and not LEFT_OUT[name] and debug.getlocal(check.original(fn), 1) == 'self' then
        list[#list + 1] = name
      end
    end
    table.sort(list)
    if #list > 0 then
      local name = pick(list)
      methods[name] = true
      call(class[name], n + 1, {object, unpack(args, 1, n)})
    end
  end
  if i % 200 == 0 then collectgarbage() end
end

local f = assert(io.open(out, 'w'))
local count = 0
for _ in pairs(methods) do count = count + 1 end
f:write(('%d calls of %d functions and %d methods, %d errors\n'):format(calls, #names, count,
  errors))
f:close()
