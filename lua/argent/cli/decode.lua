-- argent decode: codes (JSON, as `say --codes` writes them) to a sound file.

local ag = require 'argent'
local common = require 'argent.cli.common'
local json = require 'argent.json'

local M = {summary = 'make sound from codes'}

function M.parser(p)
  p:argument('codes', 'JSON file {"codes": [[...], ...]}, or - for standard input.')
  common.model_options(p)
  common.output_options(p)
  p:flag('--json', 'Print a JSON object: file, frames, seconds.')
  p:epilog [[
Examples:
  argent say 'Hello.' --voice ryan --codes hello.json -o hello.wav
  argent decode hello.json -o again.wav --bits 24]]
end

-- The frames of a parsed document, checked before FFI could bend them.
local function frames_of(doc, groups, name)
  local frames = type(doc) == 'table' and doc.codes
  if type(frames) ~= 'table' then return nil, name .. ': expected {"codes": [[...], ...]}' end
  for f, frame in ipairs(frames) do
    if type(frame) ~= 'table' or #frame ~= groups then
      return nil, ('%s: frame %d does not have %d codes'):format(name, f - 1, groups)
    end
    for g, code in ipairs(frame) do
      if type(code) ~= 'number' or code % 1 ~= 0 or code < 0 or code >= 2 ^ 31 then
        return nil, ('%s: frame %d, group %d is not a code'):format(name, f - 1, g - 1)
      end
    end
  end
  if #frames == 0 then return nil, name .. ': no frames' end
  return frames
end

function M.run(args)
  local doc, err, code
  local ok
  ok, err, code = common.check_output(args.output)
  if not ok then return nil, err, code end
  if args.json and args.output == '-' then
    return nil, '--json and -o - both want standard output', 'usage'
  end
  local name = args.codes == '-' and 'standard input' or args.codes
  doc, err, code = common.read_input(args.codes, 2 ^ 26)
  if not doc then return nil, err, code end
  doc, err = json.decode(doc, name)
  if not doc then return nil, err, 'value' end
  local tts
  tts, err, code = common.open_model(args)
  if not tts then return nil, err, code end
  local frames
  frames, err = frames_of(doc, tts.codec.groups, name)
  if not frames then return nil, err, 'value' end
  local samples
  samples, err, code = tts.codec:decode(ag.tensor(tts.backend, frames, 'i32'))
  if not samples then return nil, name .. ': ' .. err, code end
  local writer
  writer, err, code = common.create_output(args, tts.codec.rate)
  if not writer then return nil, err, code end
  ok, err, code = writer:write(samples:host())
  if ok then ok, err, code = writer:finish() end
  if not ok then
    writer:abort()
    return nil, err, code
  end
  local seconds = samples:count() / tts.codec.rate
  common.note(('%s: %d frames, %.2f s'):format(common.output_name(args.output), #frames, seconds))
  if not args.json then return 0 end
  return common.print(json.encode {file = args.output, frames = #frames, seconds = seconds})
end

return M
