-- A dialogue: a text file with a turn on each line, `NAME: what is said`, spoken by as many voices
-- as it has names, in one sound file with a pause between the turns.
--
--   argent run scripts/examples/dialogue.lua talk.txt talk.wav Anna=serena Ben=ryan
--
-- Names without a voice get the model's voices in turn. With a Base model a voice is a file that
-- `argent clone` wrote (Anna=anna.voice), and every name needs one.

local ag = require 'argent'
local argparse = require 'argparse'

local p = argparse('dialogue.lua', 'Speaks a dialogue.')
p:argument('text', 'Lines of NAME: what is said.')
p:argument('output', 'Sound file.')
p:argument('voices', 'NAME=VOICE'):args '*'
p:option('-m --model', 'Model directory (default: $ARGENT_MODEL).')
p:option('--pause', 'Seconds between turns.', '0.4'):convert(tonumber)
p:option('--seed', 'Of the first turn; each turn has the next one.', '1'):convert(tonumber)
p:option('--max-frames', 'At most so many frames a turn.'):convert(tonumber)
local ok, args = p:pparse(arg)
if not ok then return nil, args, 'usage' end

-- The turns, and the names in the order in which they speak.
local turns, names = {}, {}
local file, err = io.open(args.text)
if not file then return nil, err, 'io' end
for line in file:lines() do
  local name, text = line:match '^%s*([^:.,!?%s][^:.,!?]-)%s*:%s*(.-)%s*$'
  if name and text ~= '' then
    turns[#turns + 1] = {name = name, text = text}
    if not names[name] then
      names[#names + 1] = name
      names[name] = true
    end
  elseif line:find '%S' and #turns > 0 then -- a line without a name goes on with the turn
    turns[#turns].text = turns[#turns].text .. ' ' .. line:match '^%s*(.-)%s*$'
  elseif line:find '%S' then
    return nil, ('%s: expected NAME: what is said, got %s'):format(args.text, line), 'value'
  end
end
file:close()
if #turns == 0 then return nil, args.text .. ': nobody says anything', 'value' end

local tts, why, code = ag.qwen3_tts.open(args.model)
if not tts then return nil, why, code end

local chosen = {}
for _, pair in ipairs(args.voices) do
  local name, voice = pair:match '^(.-)=(.+)$'
  if not name then return nil, pair .. ': expected NAME=VOICE', 'usage' end
  chosen[name] = voice
end
local casts, all = {}, tts:voices()
for i, name in ipairs(names) do
  local voice = chosen[name] or all[(i - 1) % math.max(1, #all) + 1]
  if not voice then
    return nil, ('%s has no voice: give %s=FILE.voice'):format(name, name), 'usage'
  end
  if voice:find '%.voice$' then
    local reference
    reference, why, code = tts:voice(voice)
    if not reference then return nil, why, code end
    casts[name] = {reference = reference}
  else
    casts[name] = {voice = voice}
  end
end

local sounds = {}
for i, turn in ipairs(turns) do
  local cast = casts[turn.name]
  local sound, message, kind = tts:say {text = turn.text, voice = cast.voice,
    reference = cast.reference, seed = args.seed + i - 1, max_frames = args.max_frames}
  if not sound then return nil, ('turn %d (%s): %s'):format(i, turn.name, message), kind end
  sounds[i] = sound
  io.stderr:write(('%s: %s (%.2f s)\n'):format(turn.name, turn.text, sound:seconds()))
end
return ag.audio.join(sounds, {pause = args.pause}):save(args.output)
