-- OpenAI's own Python client speaks to the server unchanged. It is looked for in $ARGENT_PYTHON and
-- in build/openai, a virtual environment that .ci/run makes:
--   python3 -m venv build/openai && build/openai/bin/pip install openai

local ag = require 'argent'
local command = require 'support.command'
local golden = require 'support.golden'
local server = require 'support.server'
local st = require 'support.st'

describe("OpenAI's client", function()
  it('speaks with argent serve: formats, streams, events, and errors as its exceptions', function()
    local ok, why = server.available()
    local exe, missing = server.openai()
    if not ok or not exe then pending(why or missing) return end
    local model
    for _, m in ipairs(golden.models()) do
      if m.name == 'custom' then model = m.model end
    end
    local script = st.write([[
      return function(app)
        function app.steer(options, request)
          local at = tonumber(request:header 'x-break')
          options.hooks = at and {logits = function(u, x)
            if u.index == at then require('argent').ops.affine(x, x:fill(math.huge), 0, 0) end
          end}
        end
      end]], os.tmpname())
    local keys = st.write('sk-mine\n', os.tmpname())
    local srv = server.start {'-m', model, '--threads', '2', '--lua', script,
      '--api-key-file', keys}
    finally(function()
      srv:stop()
      os.remove(script)
      os.remove(keys)
    end)
    local r = command.run({command.root .. '/spec/serve/openai_client.py',
      ('http://127.0.0.1:%d/v1'):format(srv.port), 'sk-mine'}, {exe = command.quote(exe)})
    assert.equal(0, r.code, r.err)
    local tts = assert(ag.qwen3_tts.open(model))
    local sound = assert(tts:say {text = 'One two.', voice = 'ryan', seed = 1, max_frames = 6})
    local bytes = require('argent.audio.pcm').s16(sound.samples:host())
    local path = st.write(bytes, os.tmpname())
    local f = io.popen('sha256sum ' .. path)
    local hash = f:read '*a':match '^%x+'
    f:close()
    os.remove(path)
    local lines = {}
    for line in r.out:gmatch '[^\n]+' do lines[#lines + 1] = line end
    assert.same({
      'wav ' .. hash, 'pcm ' .. hash, 'mp3', 'stream ' .. hash, 'sse True',
      'BadRequestError 400 voice', 'BadRequestError 400 speed', 'BadRequestError 400 argent.sed',
      'NotFoundError 404 model', 'InternalServerError 500 None', lines[11],
      'AuthenticationError 401 None', "models ['model']",
    }, lines)
    assert.matches('^cut %w+$', lines[11])
  end)
end)
