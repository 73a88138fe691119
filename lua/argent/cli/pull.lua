-- argent pull: fetches a model from the hub.

local common = require 'argent.cli.common'
local pull = require 'argent.pull'

local M = {summary = 'fetch a model from the hub'}

function M.parser(p)
  p:argument('model', 'Name on the hub; of a released model the owner may be left out.')
  p:epilog [[
Fetches by hf, the hub's own program (pip install -U huggingface_hub), into the hub's cache, and
prints the directory. HF_ENDPOINT, HF_TOKEN and HF_HUB_CACHE count as they do there. What was cut
off goes on when the command is given again; checksums are compared at the end.

Examples:
  argent pull Qwen3-TTS-12Hz-0.6B-CustomVoice         # nine voices, ten languages; 2.5 GB
  HF_HUB_CACHE=/data/models argent pull Qwen/Qwen3-TTS-12Hz-0.6B-Base]]
end

function M.run(args)
  local dir, err, code = pull.pull(args.model)
  if not dir then return nil, err, code end
  return common.print(dir)
end

return M
