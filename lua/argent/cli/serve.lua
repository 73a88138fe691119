-- argent serve: speech, and where they are given a language model and a text encoder, over HTTP, as
-- OpenAI's clients ask for it.

local common = require 'argent.cli.common'
local interpreted = require 'argent.interpreted'
local json = require 'argent.json'
local limits = require 'argent.serve.limits'
local speech = require 'argent.cli.speech'

local M = {summary = 'speak over HTTP'}

function M.parser(p)
  common.model_options(p)
  p:option('--host', 'Address to listen on; any but 127.0.0.1 and the like needs --api-key-file.',
    '127.0.0.1'):argname '<address>'
  common.integer_option(p, '--port', 0, 65535, 'Port to listen on; 0: any that is free (default: '
    .. '8080).')
  speech.batch_options(p, 'How many requests are spoken side by side')
  common.integer_option(p, '--queue', 0, 10000, 'How many may wait for a row (default: 64); more '
    .. 'are told to come again.')
  p:option('--lm', 'A language model that answers chats: a directory, a GGUF file, a name on the '
    .. 'hub.'):argname '<model>'
  p:option('--encoder', 'A text encoder that makes vectors: a directory, a name on the hub.')
    :argname '<model>'
  p:option('--name', "The model's name for clients (default: that of its folder)."):argname '<name>'
  p:option('--voices', 'A folder of voice files: NAME.voice is the voice NAME (Base models).')
    :argname '<folder>'
  common.integer_option(p, '--max-input', 1, 2 ^ 20, ('Characters of a text at most (default: %d).')
    :format(limits.input))
  p:option('--api-key-file', 'A file of keys, one a line; requests need one of them.')
    :argname '<file>'
  p:option('--tls-cert', 'A certificate, or a chain of them, in PEM: serve HTTPS.')
    :argname '<file>'
  p:option('--tls-key', 'Its key, in PEM.'):argname '<file>'
  p:option('--cors', 'Let pages of this origin use the server (default: none).')
    :argname '<origin>'
  p:option('--lua', 'A script that returns a function of the app: own routes, voices, steering.')
    :argname '<file>'
  p:flag('--log-text', 'Write what is spoken into the log.')
  p:epilog [[
A request for speech is POST /v1/audio/speech, as OpenAI defines it; also there are /v1/models,
/v1/audio/voices, /health, /metrics, a WebSocket at /v1/audio/speech/stream, and a page at /; with
--lm also /v1/chat/completions, with --encoder /v1/embeddings.
The log is a line of JSON for each request, on standard error. SIGTERM and Ctrl-C let what is
spoken come to its end; a second one stops at once.

Examples:
  argent serve -m Qwen3-TTS-12Hz-0.6B-CustomVoice
  argent serve --lm SmolLM2-135M-Instruct.Q4_1.gguf --encoder all-MiniLM-L6-v2
  argent serve --host 0.0.0.0 --api-key-file keys --tls-cert cert.pem --tls-key key.pem
  curl http://127.0.0.1:8080/v1/audio/speech -H 'Content-Type: application/json' \
    -d '{"model": "tts-1", "voice": "heart", "input": "Good morning."}' -o morning.mp3]]
end

local function is_loopback(host)
  return host == 'localhost' or host == '::1' or host:find '^127%.[%d.]+$' ~= nil
end

-- Refuses what cannot work, before a model is loaded; returns the keys.
local function check(args)
  local ok, cqueues = pcall(require, 'cqueues')
  if not ok or not pcall(require, 'http.server') then
    local _ = cqueues
    return nil, 'lua-http is missing: apt install lua-http', 'unsupported'
  end
  if (args.tls_cert == nil) ~= (args.tls_key == nil) then
    return nil, '--tls-cert and --tls-key go together', 'usage'
  end
  if not args.api_key_file then
    if is_loopback(args.host) then return true end
    return nil, ('--host %s lets others in: give --api-key-file FILE'):format(args.host), 'usage'
  end
  return require('argent.serve.keys').read(args.api_key_file)
end

-- Lets a script hook in.
local function run_script(path, app)
  local chunk, err = loadfile(path)
  if not chunk then return nil, err, 'io' end
  interpreted.install()
  interpreted.off(chunk)
  local hook = chunk()
  if type(hook) ~= 'function' then
    return nil, path .. ': must return a function(app)', 'usage'
  end
  hook(app)
  return true
end

-- The name of a model for clients: that of its folder or file.
local function name_of(path)
  return path:gsub('/+$', ''):match '[^/]*$':gsub('%.gguf$', '')
end

-- Opens the models that work with texts, and adds their routes.
local function add_texts(args, app, backend)
  for _, what in ipairs {{'lm', 'text', 'chat'}, {'encoder', 'embedding', 'embeddings'}} do
    local option, need, module = unpack(what)
    if args[option] then
      local kind, dir, code = common.find_kind(args[option], need)
      if not kind then return nil, dir, code end
      local model, ok, err
      model, err, code = kind.open(dir, {backend = backend, dtype = option == 'lm' and args.dtype
        or nil})
      if not model then return nil, err, code == 'memory' and code or 'model' end
      ok, err, code = require('argent.serve.' .. module).install(app, model,
        {name = name_of(dir), queue = args.queue})
      if not ok then return nil, err, code end
    end
  end
  return true
end

function M.run(args)
  local keys, err, code = check(args)
  if not keys then return nil, err, code end
  local server_of = require 'argent.serve.server'
  server_of.hold_signals()
  local tts, scheduler, server, ok
  tts, err, code = common.open_model(args)
  if not tts then return nil, err, code end
  -- What recordings need is loaded now, so that nobody waits for it later.
  if tts.cfg.kind == 'base' then require('argent.qwen3_tts.analysis').lacks(tts) end
  scheduler, err, code = tts:batch {rows = args.rows, memory = args.memory, queue = args.queue}
  if not scheduler then return nil, err, code end
  local app = require('argent.serve.app').new(tts, scheduler, {
    model = args.name or tts.dir:gsub('/+$', ''):match '[^/]*$', cors = args.cors,
    keys = keys ~= true and keys or nil, log_text = args.log_text, max_input = args.max_input,
  })
  ok, err, code = add_texts(args, app, tts.backend)
  if not ok then return nil, err, code end
  if args.voices then
    ok, err, code = app.voices:load(args.voices)
    if not ok then return nil, err, code end
  end
  if args.lua then
    ok, err, code = run_script(args.lua, app)
    if not ok then return nil, err, code end
  end
  server, err, code = server_of.listen(app, {host = args.host, port = args.port or 8080,
    tls_cert = args.tls_cert, tls_key = args.tls_key})
  if not server then return nil, err, code end
  if args.verbose then common.note('batch: ' .. scheduler:summary()) end
  common.note(json.encode {event = 'listening', model = app.model, rows = scheduler.rows,
    url = ('%s://%s:%d/'):format(server.scheme, args.host:find ':' and '[' .. args.host .. ']'
      or args.host, server.port)})
  return server:run()
end

return M
