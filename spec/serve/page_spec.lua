-- The page of the server in a browser: a person types, hears and sees, without a mouse.

local browser = require 'support.browser'
local command = require 'support.command'
local server = require 'support.server'

describe('the page of argent serve', function()
  it('speaks what is typed: plays it, shows it, and has it as a file and as curl', function()
    local ok, why = browser.available()
    if not ok then pending(why) return end
    local srv = server.start {'-m', command.root .. '/models/demo', '--threads', '2'}
    local b = browser.open(800, 1100)
    finally(function()
      b:close()
      srv:stop()
    end)
    b:call 'Page.enable'
    b:call 'Runtime.enable'
    b:call 'Log.enable'
    b:call('Page.navigate', {url = ('http://127.0.0.1:%d/'):format(srv.port)})
    b:wait "document.getElementById('voice')?.options.length > 0"
    -- By keyboard: the text is the first thing that Tab reaches; Ctrl-Enter speaks.
    b:key('Tab', 9)
    assert.equal('text', b:eval 'document.activeElement.id')
    b:key('a', 65, 2)
    b:call('Input.insertText', {text = 'Be sure to lock the doors.'})
    b:key('Enter', 13, 2, '\r')
    b:wait "document.getElementById('status').textContent.includes('s of sound in')"
    assert.equal('Be sure to lock the doors.', b:eval "document.getElementById('text').value")
    local line = srv:line(function(l) return l.frames end)
    assert.equal('eos', line.ended)
    b:wait "document.getElementById('player').duration > 0"
    local seconds = b:eval "document.getElementById('player').duration"
    assert.is_true(math.abs(seconds - line.seconds) < 0.001)
    assert.matches(('^%.2f s of sound in [%%d.]+ s, seed %d$'):format(seconds, line.seed),
      b:eval "document.getElementById('status').textContent")
    assert.equal(false, b:eval "document.getElementById('save').disabled")
    -- It was played while it was made, on the audio clock.
    b:wait("context.currentTime >= playAt", seconds + 10)
    assert.equal(line.seconds * 24000, b:eval 'length')
    -- The pictures are drawn, and have words for who does not see them.
    for _, id in ipairs {'wave', 'mel'} do
      local c = ("document.getElementById('%s')"):format(id)
      assert.is_true(b:eval(c .. ".getContext('2d').getImageData(0, 0, " .. c .. '.width, ' .. c
        .. '.height).data.some(x => x > 0)'))
      assert.matches(('%.2f seconds$'):format(seconds), b:eval(c .. ".getAttribute('aria-label')"))
    end
    for _, id in ipairs {'text', 'voice', 'language', 'speed', 'seed', 'temperature', 'top_k',
      'top_p', 'instructions', 'key'} do
      assert.is_true(b:eval(("document.getElementById('%s').labels.length === 1"):format(id)), id)
    end
    -- The same by curl.
    local text = b:eval "document.getElementById('curl').textContent"
    local r = command.run({'-c', (text:gsub('%-o speech.wav', '-s -o - | head -c 4'))},
      {exe = 'bash'})
    if command.has 'curl' then assert.equal('RIFF', r.out) end
    -- Nothing was refused by the page's own rules, and nothing failed.
    for _, event in ipairs(b.events) do
      assert.is_not.equal('Log.entryAdded', event.method)
      assert.is_not.equal('Runtime.exceptionThrown', event.method)
    end
    local picture = b:screenshot()
    local path = os.getenv 'ARGENT_SCREENSHOT'
    if path then
      local f = assert(io.open(path, 'wb'))
      f:write(picture)
      f:close()
    end
    assert.equal('\137PNG', picture:sub(1, 4))
    -- What is wrong is said.
    b:eval "document.getElementById('text').value = 'x'.repeat(5000)"
    b:eval "document.getElementById('form').requestSubmit()"
    b:wait "document.getElementById('status').className === 'bad'"
    assert.equal('input: has 5000 characters; 4096 are the limit',
      b:eval "document.getElementById('status').textContent")
  end)
end)
