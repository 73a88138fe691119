-- argent clone: a voice file from a recording.

local common = require 'argent.cli.common'
local data_url = require 'argent.audio.data_url'
local json = require 'argent.json'
local paths = require 'argent.cli.paths'
local posix = require 'argent.posix'

local M = {summary = 'make a voice file from a recording'}

function M.parser(p)
  p:argument('recording', 'Sound file with 3 to 15 s of clear speech (wav, flac, ogg, opus, mp3).')
  p:option('--ref-text', 'What is said in the recording: the clone then goes on from it. Without, '
    .. 'only who speaks is taken from it.'):argname '<text>'
  p:option('-o --output', 'Voice file (default: the recording\'s name with .voice, in the current '
    .. 'folder).'):argname '<file>'
  common.model_options(p)
  p:flag('--json', 'Print a JSON object: file, frames, text.')
  p:epilog [[
Examples:
  argent clone anna.wav --ref-text 'My name is Anna.' -m Qwen3-TTS-12Hz-0.6B-Base
  argent say 'Good morning.' --voice anna.voice -m Qwen3-TTS-12Hz-0.6B-Base]]
end

-- Where the voice goes: the recording's name in the current folder, if nothing is there yet, or
-- wherever -o says.
local function place(args)
  local path = args.output
  if path and not path:find '%.voice$' then
    return nil, ("--output %s: the name of a voice file ends in .voice; say --voice knows it by "
      .. 'that'):format(paths.shown(path)), 'usage'
  end
  if not path and data_url.is(args.recording) then
    return nil, 'the recording is a data URL: say where its voice goes, -o NAME.voice', 'usage'
  end
  path = path or args.recording:match '[^/]*$':gsub('%.[^.]*$', '') .. '.voice'
  if not args.output and posix.kind(path) then
    return nil, ('%s is here already; give another name with -o, or remove it'):format(
      paths.shown(path)), 'usage'
  end
  local ok, err, code = paths.check_output(path)
  if ok then
    ok, err, code = paths.check_apart({{'--output', path}}, {{'the recording', args.recording}})
  end
  if not ok then return nil, err, code end
  return path
end

function M.run(args)
  local path, err, code = place(args)
  if not path then return nil, err, code end
  local tts, voice, ok
  tts, err, code = common.open_model(args)
  if not tts then return nil, err, code end
  voice, err, code = tts:clone {audio = args.recording, text = args.ref_text}
  if not voice then return nil, err, code end
  ok, err, code = voice:save(path)
  if not ok then return nil, err, code end
  local frames = voice.codes and #voice.codes or 0
  common.note(('%s: %s'):format(paths.shown(path), voice.codes
    and ('the speaker and %d frames of speech'):format(frames) or 'the speaker alone'))
  if not args.json then return 0 end
  return common.print(json.encode {file = path, frames = frames, text = voice.text})
end

return M
