-- A sweep: one text at several temperatures and seeds, with a report to listen to side by side: one
-- HTML file that holds its sounds and pictures.
--
--   argent run scripts/examples/sweep.lua 'Good morning.' report.html --voice ryan \
--     --temperatures 0.3,0.6,0.9,1.2 --seeds 3

local ag = require 'argent'
local argparse = require 'argparse'
local bit = require 'bit'
local files = require 'argent.files'

local p = argparse('sweep.lua', 'One text at several temperatures.')
p:argument('text', 'What is said.')
p:argument('output', 'HTML file.')
p:option('-m --model', 'Model directory (default: $ARGENT_MODEL).')
p:option('--voice', 'A named voice.')
p:option('--temperatures', 'Numbers with commas between them.', '0.5,0.7,0.9,1.1')
p:option('--seeds', 'How many seeds each.', '2'):convert(tonumber)
p:option('--max-frames', 'At most so many frames each.'):convert(tonumber)
local ok, args = p:pparse(arg)
if not ok then return nil, args, 'usage' end
local temperatures = {}
for word in args.temperatures:gmatch '[^,]+' do
  local t = tonumber(word)
  if not t or t < 1e-3 then return nil, word .. ': not a temperature', 'usage' end
  temperatures[#temperatures + 1] = t
end

-- Data in a page: RFC 4648.
local ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
local function base64(bytes)
  local out = {}
  for i = 1, #bytes, 3 do
    local a, b, c = bytes:byte(i, i + 2)
    local n = a * 65536 + (b or 0) * 256 + (c or 0)
    local four = ''
    for shift = 18, 0, -6 do
      local k = bit.band(bit.rshift(n, shift), 63) + 1
      four = four .. ALPHABET:sub(k, k)
    end
    out[#out + 1] = not b and four:sub(1, 2) .. '==' or not c and four:sub(1, 3) .. '=' or four
  end
  return table.concat(out)
end

-- The bytes of a sound as a file; ag.audio writes to paths only.
local function encoded(sound)
  local path = args.output .. '.part.wav'
  local saved, err, code = sound:save(path)
  if not saved then return nil, err, code end
  local f = assert(io.open(path, 'rb'))
  local bytes = f:read '*a'
  f:close()
  os.remove(path)
  return bytes
end

local function escape(s)
  return (s:gsub('[&<>"]', {['&'] = '&amp;', ['<'] = '&lt;', ['>'] = '&gt;', ['"'] = '&quot;'}))
end

local tts, why, kind = ag.qwen3_tts.open(args.model)
if not tts then return nil, why, kind end

local rows = {}
for _, temperature in ipairs(temperatures) do
  for seed = 1, args.seeds do
    local sound, err, code, partial = tts:say {text = args.text, seed = seed,
      voice = args.voice or tts:voices()[1], temperature = temperature,
      max_frames = args.max_frames}
    sound = sound or partial -- a runaway is worth listening to as well
    if not sound then return nil, err, code end
    local wav
    wav, err, code = encoded(sound)
    if not wav then return nil, err, code end
    local picture, image = '', ag.plot.mel(sound.samples, {rate = sound.rate, width = 480})
    local png = image and image:png() -- none where nothing was said
    if png then picture = ('<img src="data:image/png;base64,%s" alt="">'):format(base64(png)) end
    rows[#rows + 1] = ([[<tr><td>%g</td><td>%d</td><td>%.2f s</td><td>%s</td>
<td><audio controls src="data:audio/wav;base64,%s"></audio></td><td>%s</td></tr>]]):format(
      temperature, seed, sound:seconds(), sound.stats.ended, base64(wav), picture)
    io.stderr:write(('temperature %g, seed %d: %s, %s\n'):format(temperature, seed, tostring(sound),
      sound.stats.ended))
  end
end

return files.write(args.output, ([[<!DOCTYPE html>
<html><head><meta charset="utf-8"><title>Temperatures</title><style>
body { font-family: sans-serif; margin: 2em } td, th { padding: .3em 1em; text-align: left }
</style></head><body><h1>%s</h1><p>%s</p><table>
<tr><th>temperature</th><th>seed</th><th>length</th><th>ended</th><th>sound</th><th>mel</th></tr>
%s
</table></body></html>
]]):format(escape(args.text), escape(tts.dir), table.concat(rows, '\n')))
