-- argent voices: what a model can be asked for.

local common = require 'argent.cli.common'
local config = require 'argent.qwen3_tts.config'
local json = require 'argent.json'

local M = {summary = 'list the voices and languages of a model'}

function M.parser(p)
  common.model_option(p)
  p:flag('--json', 'Print JSON.')
  p:epilog [[
Examples:
  argent voices -m Qwen3-TTS-12Hz-0.6B-CustomVoice
  argent voices --json | jq -r '.voices[].name']]
end

function M.run(args)
  local dir, err, code = common.find_model(args.model)
  if not dir then return nil, err, code end
  local cfg
  cfg, err = config.read(dir)
  if not cfg then return nil, err, 'model' end
  local voices, languages = {}, {}
  for name in pairs(cfg.talker.speakers) do
    voices[#voices + 1] = {name = name, dialect = cfg.talker.dialects[name] or nil}
  end
  table.sort(voices, function(a, b) return a.name < b.name end)
  for name in pairs(cfg.talker.languages) do
    if not name:find('dialect', 1, true) then languages[#languages + 1] = name end
  end
  table.sort(languages)
  table.insert(languages, 1, 'auto')
  if args.json then
    return common.print(json.encode {
      kind = cfg.kind, voices = json.array(voices), languages = languages,
    })
  end
  local lines = {}
  if #voices == 0 then
    lines[1] = 'no named voices: this is a ' .. cfg.kind .. ' model'
  end
  for _, v in ipairs(voices) do
    lines[#lines + 1] = v.name .. (v.dialect and (' (%s)'):format(v.dialect) or '')
  end
  lines[#lines + 1] = 'languages: ' .. table.concat(languages, ', ')
  return common.print(table.concat(lines, '\n'))
end

return M
