-- Files of text encoders that cannot be used: each is refused in one line.

local ag = require 'argent'
local json = require 'argent.json'
local st = require 'support.st'
local weights = require 'argent.weights'

local BERT = 'spec/fixtures/golden/encoders/bert/'
local be = assert(ag.backend('cpu', {threads = 1}))

describe('a text encoder', function()
  local dir
  before_each(function()
    dir = os.tmpname()
    os.remove(dir)
    os.execute(('cp -r %s %s'):format(BERT, dir))
  end)
  after_each(function() os.execute('rm -rf ' .. dir) end)

  for what, case in pairs {
    ['without room for a text'] = {'config.json', function(c) c.max_position_embeddings = 2 end,
      'DIR/config.json: max_position_embeddings: expected room for a text behind row 0, got 2'},
    ['with a word that has no id'] = {'tokenizer.json', function(t) t.model.vocab.zzz = 'x' end,
      'DIR/tokenizer.json: model: a word has no id from 0 to 2^24'},
    ['with a word that has half an id'] = {'tokenizer.json', function(t)
      t.model.vocab.zzz = 0.5
    end, 'DIR/tokenizer.json: model: a word has no id from 0 to 2^24'},
  } do
    it(what .. ' is refused', function()
      local values = assert(json.read(BERT .. case[1]))
      case[2](values)
      st.write(json.encode(values), dir .. '/' .. case[1])
      local enc, err, code = ag.encoder.open(dir, {backend = be})
      assert.same({nil, case[3], 'format'}, {enc, (err:gsub(dir:gsub('%p', '%%%0'), 'DIR')), code})
    end)
  end

  it('with a modules.json that cannot be read or is no list is refused by what is wrong', function()
    for text, says in pairs {['['] = 'not valid JSON: ', ['[5]'] = '%[0%]: expected an object',
      ['{}'] = 'the top level: expected a list, '} do
      st.write(text, dir .. '/modules.json')
      local enc, err = ag.encoder.open(dir, {backend = be})
      assert.is_nil(enc)
      assert.matches('^' .. dir:gsub('%p', '%%%0') .. '/modules.json: ' .. says, err)
    end
  end)

  it('whose weights are damaged says so instead of a vector', function()
    local path, name = dir .. '/model.safetensors', 'encoder.layer.0.output.dense.weight'
    local w = assert(weights.open(BERT, {backend = be}))
    local prefix = w:info(name) and '' or 'bert.'
    local t = assert(ag.load(path, {backend = be}))
    local x = t[prefix .. name]:to 'f32'
    t[prefix .. name] = x
    x:select(1, 1):fill(3e38)
    ag.ops.add(x, x, x, 1)
    assert(ag.save(path, t))
    local later = weights.LATER
    finally(function() weights.LATER = later end)
    weights.LATER = 0
    local enc = assert(ag.encoder.open(dir, {backend = be}))
    local vector, err, code = enc:embed 'one'
    assert.is_nil(vector)
    assert.equal('format', code)
    assert.matches(name:gsub('%p', '%%%0') .. ': %d+ values are NaN or infinite', err)
  end)
end)
