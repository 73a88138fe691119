-- argent voices: what a model can be asked for.

local common = require 'argent.cli.common'
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
  local kind, dir, code = common.find_kind(args.model, 'speech')
  if not kind then return nil, dir, code end
  local list, err = kind.voices(dir)
  if not list then return nil, err, 'model' end
  local names, codes, shown = {}, {}, {}
  for i, l in ipairs(list.languages) do
    names[i], shown[i] = l.name, l.name .. (l.code and (' (%s)'):format(l.code) or '')
    codes[l.name] = l.code
  end
  if args.json then
    return common.print(json.encode {
      kind = list.kind, voices = json.array(list.voices), languages = names,
      language_codes = codes,
    })
  end
  local lines = {}
  if #list.voices == 0 then
    lines[1] = 'no named voices: this is a ' .. list.kind .. ' model'
  end
  for _, v in ipairs(list.voices) do
    lines[#lines + 1] = v.name .. (v.dialect and (' (%s)'):format(v.dialect) or '')
  end
  lines[#lines + 1] = 'languages: ' .. table.concat(shown, ', ')
  return common.print(table.concat(lines, '\n'))
end

return M
