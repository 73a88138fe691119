-- argent repl: a Lua prompt with a model at hand.

local common = require 'argent.cli.common'
local hub = require 'argent.hub'
local interpreted = require 'argent.interpreted'
local names = require 'argent.repl.names'

local M = {summary = 'a Lua prompt with a model at hand'}

function M.parser(p)
  common.model_options(p)
  p:option('-e --eval', 'Lua to run before the first prompt.'):argname '<code>'
  p:epilog [[
At the prompt: ag, be (the backend), and, where a model was given or is found, the model: tts,
codec, lm (a language model) or enc (a text encoder). :help lists the commands; lines go to
$XDG_STATE_HOME/argent/history.

Examples:
  argent repl -m Qwen3-TTS-12Hz-0.6B-CustomVoice
  argent repl -m SmolLM2-135M-Instruct.Q4_1.gguf
  echo '#tts.talker:watch_names()' | argent repl]]
end

function M.run(args)
  local ag = require 'argent'
  local env, absent = {ag = ag}, {}
  -- A prompt without a model is still a prompt. The banner names the model that is found.
  local model, why
  if not args.model then args.model, why = hub.find() end
  if args.model then
    local kind, code
    model, kind, code = common.open_model(args, false)
    if not model then return nil, kind, code end
    env[kind.handle], env.be = model, model.backend
    if kind.handle ~= 'tts' then absent.tts = 'there is no tts: the model is ' .. kind.name end
  else
    local be, err, code = ag.backend('cpu', {threads = args.threads})
    if not be then return nil, err, code end
    env.be = be
    absent.tts = 'there is no tts: ' .. why
  end
  if args.eval then
    local chunk, err = loadstring(args.eval, '=--eval')
    if not chunk then return nil, err, 'usage' end
    interpreted.install()
    interpreted.off(chunk)
    setfenv(chunk, names.of(env, absent))()
  end
  return require('argent.repl').run(env, {
    absent = absent,
    banner = ('Argent %s%s; :help lists the commands, Ctrl-D leaves.'):format(ag.version,
      model and ', ' .. (model.dir or model.path):gsub('/+$', ''):match '[^/]+$' or ''),
  })
end

return M
