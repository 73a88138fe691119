-- prompt.build: the worked examples of the reference (5.5) on the released configurations, and the
-- goldens, whose prompt and trailing vectors are rebuilt here from the rows in plain Lua.

local lfs = require 'lfs'
local config = require 'argent.qwen3_tts.config'
local prompt = require 'argent.qwen3_tts.prompt'
local golden = require 'support.golden'
local safetensors = require 'support.safetensors'

local CONFIGS = _G.ARGENT_ROOT .. '/spec/fixtures/configs/'

-- A tokenizer with the released ids of the template: the words x0, x1, ... are 1000, 1001, ..., r0
-- is 2000, u0 is 3000, a space is nothing and any other character is 500 and its byte.
local SPECIAL = {['<|im_start|>'] = 151644, ['<|im_end|>'] = 151645}
local WORDS = {assistant = 77091, user = 872, ['\n'] = 198}
local FIRST = {x = 1000, r = 2000, u = 3000}

local tok = {}

function tok:encode(text, opts)
  self.pattern = opts.pattern
  local ids, at = {}, 1
  while at <= #text do
    local word = opts.special and text:match('^<|[%w_]+|>', at) or text:match('^%l%w*', at)
      or text:sub(at, at)
    if word == '!' then return nil, 'the fake tokenizer dislikes !' end
    local letter, number = word:match('^([xru])(%d+)$')
    if word ~= ' ' then
      ids[#ids + 1] = SPECIAL[word] or WORDS[word] or letter and FIRST[letter] + number
        or 500 + word:byte()
    end
    at = at + #word
  end
  return ids
end

local NAMES = {[151644] = 'start', [151645] = 'end', [77091] = 'assistant', [872] = 'user',
  [198] = 'nl', [151671] = 'pad', [151672] = 'bos', [151673] = 'eos'}

local function name(id)
  for letter, first in pairs(FIRST) do
    if id >= first and id < first + 1000 then return letter .. (id - first) end
  end
  return NAMES[id] or tostring(id)
end

--- Rows as words: 'start', 'pad+2154', 'x0+f3', 'pad+speaker'.
local function show(rows)
  local out = {}
  for i, row in ipairs(rows) do
    out[i] = name(row.text)
    local codec = row.codec
    if codec then
      out[i] = out[i] .. '+' .. (codec.id or codec.speaker and 'speaker' or 'f' .. codec.frame)
    end
  end
  return table.concat(out, ' ')
end

local function names(ids)
  local out = {}
  for i, id in ipairs(ids) do out[i] = name(id) end
  return table.concat(out, ' ')
end

local function released(model)
  return assert(config.read(CONFIGS .. model))
end

local function refused(model, opts)
  local p, err = prompt.build(type(model) == 'string' and released(model) or model, tok, opts)
  assert.is_nil(p)
  assert.is_nil(err:find('%c'))
  return err
end

local ROLE = 'start assistant nl '

describe('the worked examples', function()
  it('CustomVoice: the whole text in the prefill', function()
    local p = assert(prompt.build(released('1.7b-custom-voice'), tok,
      {text = 'x0 x1 x2', voice = 'ryan', language = 'english'}))
    assert.equal(14, #p.rows)
    assert.equal(ROLE .. 'pad+2154 pad+2156 pad+2050 pad+2157 pad+3061 bos+2148 '
      .. 'x0+2148 x1+2148 x2+2148 eos+2148 pad+2149', show(p.rows))
    assert.equal('pad', names(p.trailing))
    assert.equal(2050, p.language_id)
    assert.equal('x0 x1 x2', names(p.text_ids))
    assert.equal(ROLE .. 'x0 x1 x2 end nl start assistant nl', names(p.ids))
    assert.same({'whole', {}}, {p.layout, p.notes})
    assert.is_nil(p.instruct_ids)
    assert.is_nil(p.ref_ids)
  end)

  it('Base with a speaker vector alone: one id of the text in the prefill', function()
    local p = assert(prompt.build(released('0.6b-base'), tok,
      {text = 'x0 x1 x2', speaker_vector = true}))
    assert.equal(9, #p.rows)
    assert.equal(ROLE .. 'pad+2155 pad+2156 pad+2157 pad+speaker bos+2148 x0+2149', show(p.rows))
    assert.equal('x1 x2 eos', names(p.trailing))
    assert.is_nil(p.language_id)
    assert.equal('stream', p.layout)
  end)

  it('Base with a reference longer than the texts', function()
    local p = assert(prompt.build(released('1.7b-base'), tok, {text = 'x0 x1 x2',
      language = 'English', speaker_vector = true, reference = {frames = 8, text = 'r0 r1'}}))
    assert.equal(ROLE .. 'pad+2154 pad+2156 pad+2050 pad+2157 pad+speaker bos+2148 '
      .. 'r0+2149 r1+f0 x0+f1 x1+f2 x2+f3 eos+f4 pad+f5 pad+f6 pad+f7', show(p.rows))
    assert.equal('pad', names(p.trailing))
    assert.equal(ROLE .. 'r0 r1 end nl', names(p.ref_ids))
  end)

  it('VoiceDesign: the instruct with its template comes first', function()
    local p = assert(prompt.build(released('1.7b-voice-design'), tok,
      {text = 'x0 x1', instruct = 'u0 u1', language = 'chinese'}))
    assert.equal('start user nl u0 u1 end nl ' .. ROLE
      .. 'pad+2154 pad+2156 pad+2055 pad+2157 bos+2148 x0+2148 x1+2148 eos+2148 pad+2149',
      show(p.rows))
    assert.equal('start user nl u0 u1 end nl', names(p.instruct_ids))
    assert.equal(#p.instruct_ids + 3 + 5 + 2 + 2, #p.rows)
  end)
end)

describe('the layouts', function()
  local function base(opts)
    opts.speaker_vector = true
    return assert(prompt.build(released('1.7b-base'), tok, opts))
  end

  --- The rows after the one of tts_bos.
  local function body(p)
    return show(p.rows):match('bos%+2148 (.*)')
  end

  it('stream: a text of one id is followed by tts_eos', function()
    local p = base{text = 'x0'}
    assert.equal('x0+2149', body(p))
    assert.equal('eos', names(p.trailing))
  end)

  it('whole, for Base when asked', function()
    local p = base{text = 'x0 x1', layout = 'whole'}
    assert.equal('x0+2148 x1+2148 eos+2148 pad+2149', body(p))
    assert.equal('pad', names(p.trailing))
  end)

  it('whole with a reference: both texts, then its frames', function()
    local p = base{text = 'x0 x1', layout = 'whole', reference = {frames = 2, text = 'r0'}}
    assert.equal('r0+2148 x0+2148 x1+2148 eos+2148 pad+2149 pad+f0 pad+f1', body(p))
    assert.equal('pad', names(p.trailing))
  end)

  it('stream with a reference: texts longer than it trail', function()
    local p = base{text = 'x0 x1 x2', reference = {frames = 1, text = 'r0'}}
    assert.equal('r0+2149 x0+f0', body(p))
    assert.equal('x1 x2 eos', names(p.trailing))
  end)

  it('stream with a reference: one frame on either side of equal lengths', function()
    local p = base{text = 'x0 x1', reference = {frames = 2, text = 'r0'}} -- 4 texts, 3 codec rows
    assert.equal('r0+2149 x0+f0 x1+f1', body(p))
    assert.equal('eos', names(p.trailing))
    p = base{text = 'x0 x1', reference = {frames = 3, text = 'r0'}}
    assert.equal('r0+2149 x0+f0 x1+f1 eos+f2', body(p))
    assert.equal('pad', names(p.trailing))
    p = base{text = 'x0 x1', reference = {frames = 4, text = 'r0'}}
    assert.equal('r0+2149 x0+f0 x1+f1 eos+f2 pad+f3', body(p))
    assert.equal('pad', names(p.trailing))
  end)

  it('stream, for CustomVoice when asked', function()
    local p = assert(prompt.build(released('0.6b-custom-voice'), tok,
      {text = 'x0 x1', voice = 'sohee', layout = 'stream'}))
    assert.equal(ROLE .. 'pad+2155 pad+2156 pad+2157 pad+2864 bos+2148 x0+2149', show(p.rows))
    assert.equal('x1 eos', names(p.trailing))
  end)
end)

describe('voices and languages', function()
  local function ids(voice, language)
    local p = assert(prompt.build(released('1.7b-custom-voice'), tok,
      {text = 'x0', voice = voice, language = language}))
    local speaker = p.rows[#p.rows - 4].codec.id -- before tts_bos, x0, tts_eos and tts_pad
    return {speaker, p.language_id}
  end

  it('are found in any letter case', function()
    assert.same({2873, 2058}, ids('ONO_anna', 'Japanese'))
    assert.same({3061}, ids('Ryan', 'AUTO'))
    assert.same({3061}, ids('ryan', nil))
  end)

  it('are found by the codes of ISO 639-1, too', function()
    for code, language in pairs {zh = 'chinese', en = 'english', fr = 'french', de = 'german',
      it = 'italian', ja = 'japanese', ko = 'korean', pt = 'portuguese', ru = 'russian',
      es = 'spanish'} do
      assert.same(ids('ryan', language), ids('ryan', code))
      assert.same(ids('ryan', language), ids('ryan', code:upper()))
    end
    assert.same({2878, 2074}, ids('dylan', 'zh')) -- as chinese: the voice's dialect
    assert.matches("^unknown language 'sv' ", refused('1.7b-base', {text = 'x0',
      speaker_vector = true, language = 'sv'}))
    -- A model that lacks the language, or has a name that is the code of another.
    local cfg = released('1.7b-base')
    local own = {english = 1, it = 2}
    local plain = setmetatable({talker = setmetatable({languages = own}, {__index = cfg.talker})},
      {__index = cfg})
    local function id(language)
      local p, err = prompt.build(plain, tok, {text = 'x0', speaker_vector = true,
        language = language})
      return p and p.language_id or err
    end
    assert.equal(1, id 'en')
    assert.equal(2, id 'it')
    assert.matches("^unknown language 'de' ", id 'de')
  end)

  it('a dialect speaker speaks the dialect for auto and chinese, and no other language', function()
    assert.same({2875, 2062}, ids('eric', 'auto'))
    assert.same({2875, 2062}, ids('Eric', nil))
    assert.same({2878, 2074}, ids('dylan', 'Chinese'))
    assert.same({2878, 2050}, ids('dylan', 'english'))
    assert.same({2878, 2062}, ids('dylan', 'sichuan_dialect'))
    assert.same({3065, 2055}, ids('vivian', 'chinese'))
  end)

  it('an unknown voice is refused with the known ones and the likely one', function()
    local known = ' (this model has aiden, dylan, eric, ono_anna, ryan, serena, sohee, uncle_fu, '
      .. 'vivian)'
    assert.equal("unknown voice 'rian', did you mean ryan?" .. known,
      refused('1.7b-custom-voice', {text = 'x0', voice = 'rian'}))
    assert.equal("unknown voice 'Morgan?F'" .. known,
      refused('1.7b-custom-voice', {text = 'x0', voice = 'Morgan\nF'}))
  end)

  it('an unknown language is refused likewise', function()
    assert.equal("unknown language 'Engish', did you mean english? (this model has auto, "
      .. 'beijing_dialect, chinese, english, french, german, italian, japanese, korean, '
      .. 'portuguese, russian, sichuan_dialect, spanish)',
      refused('1.7b-base', {text = 'x0', speaker_vector = true, language = 'Engish'}))
  end)

  it('a CustomVoice model without a voice names its voices', function()
    assert.equal('this CustomVoice model needs a voice: aiden, dylan, eric, ono_anna, ryan, '
      .. 'serena, sohee, uncle_fu, vivian', refused('0.6b-custom-voice', {text = 'x0'}))
  end)

  it("a CustomVoice model may speak with none of its voices, asked for by ''", function()
    local p = assert(prompt.build(released('0.6b-custom-voice'), tok,
      {text = 'x0 x1', voice = '', language = 'chinese'}))
    assert.equal(ROLE .. 'pad+2154 pad+2156 pad+2055 pad+2157 bos+2148 x0+2148 x1+2148 eos+2148 '
      .. 'pad+2149', show(p.rows))
  end)
end)

describe('what a kind of model cannot do', function()
  it('is refused with the kind that can', function()
    local ref = {frames = 2, text = 'r0'}
    for _, case in ipairs{
      {'1.7b-base', {speaker_vector = true, voice = 'ryan'}, 'Base model: it has no named '
        .. 'voices; use a reference recording, or a CustomVoice model'},
      {'1.7b-base', {speaker_vector = true, instruct = 'u0'}, 'Base model: it takes no '
        .. 'instruct; use a CustomVoice or a VoiceDesign model'},
      {'1.7b-base', {}, 'Base model: it needs a speaker vector, made from a reference recording'},
      {'1.7b-base', {speaker_vector = false, reference = ref}, 'Base model: it needs a '
        .. 'speaker vector, made from a reference recording'},
      {'1.7b-voice-design', {voice = 'ryan', instruct = ''}, 'VoiceDesign model: it has no '
        .. 'named voices; describe one with instruct'},
      {'1.7b-voice-design', {}, 'VoiceDesign model: it needs an instruct that describes the '
        .. "voice ('' for any voice)"},
      {'1.7b-voice-design', {instruct = '', speaker_vector = true}, 'VoiceDesign model: it '
        .. 'cannot clone a voice from a reference; use a Base model'},
      {'0.6b-custom-voice', {voice = 'ryan', reference = ref}, 'CustomVoice model: it '
        .. 'cannot clone a voice from a reference; use a Base model'},
    } do
      case[2].text = 'x0'
      assert.equal('this is a ' .. case[3], refused(case[1], case[2]))
    end
  end)

  it('the 0.6B CustomVoice model drops the instruct and says so', function()
    local opts = {text = 'x0', voice = 'ryan', instruct = 'u0'}
    local small = assert(prompt.build(released('0.6b-custom-voice'), tok, opts))
    local large = assert(prompt.build(released('1.7b-custom-voice'), tok, opts))
    assert.equal('start user nl u0 end nl ' .. show(small.rows), show(large.rows))
    assert.is_nil(small.instruct_ids)
    assert.same({'instruct is ignored: the 0.6B CustomVoice model was not trained to follow one'},
      small.notes)
    assert.same({}, large.notes)
  end)

  it('an empty instruct is none', function()
    local opts = {text = 'x0', instruct = ''}
    local p = assert(prompt.build(released('1.7b-voice-design'), tok, opts))
    assert.equal(ROLE .. 'pad+2155', show(p.rows):sub(1, #ROLE + 8))
    assert.is_nil(p.instruct_ids)
    opts.speaker_vector = true
    assert(prompt.build(released('1.7b-base'), tok, opts))
  end)
end)

describe('the text', function()
  local function text_ids(text, special)
    local p = assert(prompt.build(released('1.7b-base'), tok,
      {text = text, special = special, speaker_vector = true}))
    return names(p.text_ids)
  end

  it('loses the white space it begins with, and nothing else', function()
    assert.equal('x0 nl x1 nl', text_ids(' \r\n\t\v\fx0\nx1\n'))
    assert.equal('x0', text_ids('\226\128\137\227\128\128\194\160 \n\226\128\168x0'))
    assert.equal(#'\226\128\139', #assert(prompt.build(released('1.7b-base'), tok, -- U+200B stays
      {text = '\n\226\128\139', speaker_vector = true})).text_ids)
  end)

  it('is refused where nothing is left', function()
    for _, text in ipairs{'', ' ', '\n\n\t', '\227\128\128', '\194\160\226\128\175 '} do
      assert.equal('text is empty', refused('1.7b-base', {text = text, speaker_vector = true}))
      assert.equal('reference.text is empty', refused('1.7b-base', {text = 'x0',
        speaker_vector = true, reference = {frames = 3, text = text}}))
    end
  end)

  it('does not become control tokens unless asked', function()
    assert.equal('x0 end', text_ids('x0 <|im_end|>', true))
    assert.is_nil(text_ids('x0 <|im_end|>'):find('end'))
    local p = assert(prompt.build(released('1.7b-voice-design'), tok,
      {text = 'x0', instruct = 'u0 <|im_end|>'}))
    assert.equal(151645, p.instruct_ids[#p.instruct_ids - 1])
    local _, count = names(p.instruct_ids):gsub('end', '')
    assert.equal(1, count)
  end)

  it('goes to the tokenizer with the pattern that was asked for', function()
    assert(prompt.build(released('1.7b-base'), tok, {text = 'x0', speaker_vector = true,
      pattern = 'mistral'}))
    assert.equal('mistral', tok.pattern)
  end)

  it("is refused with the tokenizer's reason", function()
    local opts = {text = 'x0 !', speaker_vector = true}
    assert.equal('text: the fake tokenizer dislikes !', refused('1.7b-base', opts))
    opts = {text = 'x0', speaker_vector = true, reference = {frames = 1, text = '!'}}
    assert.equal('reference.text: the fake tokenizer dislikes !', refused('1.7b-base', opts))
    opts = {text = 'x0', instruct = '!'}
    assert.equal('instruct: the fake tokenizer dislikes !', refused('1.7b-voice-design', opts))
  end)

  it('may fill the positions of the model and not more', function()
    local cfg = released('1.7b-base')
    local function opts(n, layout, frames)
      return {text = ('x0 '):rep(n), speaker_vector = true, layout = layout,
        reference = frames and {frames = frames, text = 'r0'}}
    end
    cfg.talker.max_position_embeddings = 64
    for _, case in ipairs{ -- 8 rows before the body
      {opts(54, 'whole'), opts(55, 'whole'), '55 tokens take 65 positions'},
      {opts(55, 'stream'), opts(56, 'stream'), '56 tokens take 65 positions'},
      {opts(3, 'stream', 55), opts(3, 'stream', 56),
        '3 tokens and 56 reference frames take 65 positions'},
      {opts(54, 'stream', 3), opts(55, 'stream', 3),
        '55 tokens and 3 reference frames take 65 positions'},
      {opts(3, 'whole', 50), opts(3, 'whole', 51),
        '3 tokens and 51 reference frames take 65 positions'},
    } do
      assert(prompt.build(cfg, tok, case[1]))
      assert.equal('the text is too long: ' .. case[3] .. ', and the model has 64',
        refused(cfg, case[2]))
    end
    assert.matches('2147483647 reference frames take', refused(cfg, opts(1, 'whole', 2 ^ 31 - 1)))
  end)
end)

describe('prompt.build', function()
  it('refuses a tokenizer that does not fit the configuration', function()
    local cfg = released('1.7b-base')
    cfg.tokens.assistant = 5
    assert.equal("the tokenizer does not fit config.json: '<|im_start|>assistant\\n' and "
      .. "'<|im_end|>\\n' are the ids 151644 77091 198 and 151645 198, expected 151644 5 N and "
      .. '151645 N', refused(cfg, {text = 'x0', speaker_vector = true}))
    cfg = released('1.7b-base')
    cfg.talker.text_vocab_size = 151646
    assert.equal('text: the tokenizer does not fit config.json: id 151646, but text_vocab_size is '
      .. '151646', refused(cfg, {text = 'x150645 x150646', speaker_vector = true}))
    local wordy = {encode = function(_, text, opts)
      local ids = tok:encode(text, opts)
      if text:find('assistant') then ids[#ids + 1] = 198 end
      return ids
    end}
    local _, err = prompt.build(released('1.7b-base'), wordy, {text = 'x0', speaker_vector = true})
    assert.matches('151644 77091 198 198 and 151645 198', err, 1, true)
  end)

  it('raises on misuse, at the line of the caller', function()
    local cfg = released('1.7b-base')
    for message, opts in pairs{
      ["opts: unknown option string 'txt'"] = {txt = 'x0'},
      ['text: expected a string, got nil'] = {},
      ['voice: expected a string, got 5'] = {text = 'x0', voice = 5},
      ["speaker_vector: expected a boolean, got string 'yes'"] =
        {text = 'x0', speaker_vector = 'yes'},
      ["layout: expected one of whole, stream, got string 'both'"] =
        {text = 'x0', layout = 'both'},
      ['reference.frames: expected an integer from 1 to 2147483647, got 0'] =
        {text = 'x0', reference = {frames = 0, text = 'r0'}},
      ['reference.frames: expected an integer from 1 to 2147483647, got nil'] =
        {text = 'x0', reference = {text = 'r0'}},
      ['reference.text: expected a string, got nil'] = {text = 'x0', reference = {frames = 1}},
      ["reference: unknown option string 'codes'"] = {text = 'x0', reference = {codes = {}}},
    } do
      local ok, err = pcall(function() prompt.build(cfg, tok, opts) end)
      assert.is_false(ok)
      assert.matches('prompt_spec.lua:%d+: ', err)
      assert.matches(message, err, 1, true)
    end
    local _, err = pcall(function() prompt.build(cfg, tok) end)
    assert.matches('prompt_spec.lua:%d+: opts: expected a table, got nil', err)
  end)
end)

--- The vectors of REFERENCE.md, "Text vectors" and "Codec vectors", in double precision, from a
--- model's weights.
local function vectors(model_dir, D)
  local weights = safetensors.open(model_dir .. '/model.safetensors')

  local function row(table_name, id)
    local values, shape = weights(table_name)
    local width, out = shape[2], {}
    assert(id < shape[1])
    for i = 1, width do out[i] = values[id * width + i] end
    return out
  end

  local function linear(x, layer)
    local w, shape = weights(layer .. '.weight')
    local b, out = weights(layer .. '.bias'), {}
    for o = 1, shape[1] do
      local sum = b[o]
      for i = 1, shape[2] do sum = sum + w[(o - 1) * shape[2] + i] * x[i] end
      out[o] = sum
    end
    return out
  end

  local v, cache = {}, {}

  function v.text(id)
    if not cache[id] then
      local x = row('talker.model.text_embedding.weight', id)
      x = linear(x, 'talker.text_projection.linear_fc1')
      for i = 1, #x do x[i] = x[i] / (1 + math.exp(-x[i])) end
      cache[id] = linear(x, 'talker.text_projection.linear_fc2')
    end
    return cache[id]
  end

  function v.codec(id)
    return row('talker.model.codec_embedding.weight', id)
  end

  --- The sum of the embeddings of a frame's codes (a list, the first of the talker's table).
  function v.frame(codes)
    local sum = v.codec(codes[1])
    for g = 2, #codes do
      local tables = 'talker.code_predictor.model.codec_embedding.%d.weight'
      local e = row(tables:format(g - 2), codes[g])
      for i = 1, D do sum[i] = sum[i] + e[i] end
    end
    return sum
  end

  return v
end

--- What a Base golden's cases were made with: the speaker vector and the codes of reference.wav.
local function reference_of(dir)
  local most = 0
  for file in lfs.dir(dir) do
    most = math.max(most, tonumber(file:match('^analysis_(%d+)%.safetensors$')) or 0)
  end
  local tensor = safetensors.open(('%s/analysis_%d.safetensors'):format(dir, most))
  local codes, shape = tensor('codes')
  local frames = {}
  for t = 1, shape[1] do
    frames[t] = {unpack(codes, (t - 1) * shape[2] + 1, t * shape[2])}
  end
  return {speaker = tensor('speaker'), frames = frames}
end

describe('the goldens', function()
  --- Compares a list of vectors with a tensor [rows, D].
  local function assert_near(list, values, shape)
    assert.same({#list, #list[1]}, shape)
    for r, vector in ipairs(list) do
      for i = 1, shape[2] do
        local value = values[(r - 1) * shape[2] + i]
        local near = math.abs(vector[i] - value) < 1e-5 -- false for NaN
        if not near then
          error(('row %d, element %d: %.8g, expected %.8g'):format(r, i, vector[i], value), 2)
        end
      end
    end
  end

  for _, model in ipairs(golden.models()) do
    describe(model.name, function()
      local cfg, tokenizer, vector, reference

      setup(function()
        local Tokenizer = require 'argent.text.tokenizer'
        cfg = assert(config.read(model.model))
        tokenizer = assert(Tokenizer.open(model.model))
        vector = vectors(model.model, cfg.talker.hidden_size)
        if cfg.kind == 'base' then reference = reference_of(model.dir) end
      end)

      for _, case in ipairs(golden.json(model.dir .. '/cases.json')) do
        it(case.name .. ': ids, rows and vectors are those of the official package', function()
          local p = assert(prompt.build(cfg, tokenizer, {
            text = case.text, instruct = case.instruct, voice = case.voice,
            language = case.language, layout = case.layout,
            speaker_vector = cfg.kind == 'base' or nil,
            reference = case.ref_frames and {frames = case.ref_frames, text = case.ref_text},
          }))
          assert.same(case.ids, p.ids)
          -- The small CustomVoice drops its instruct; the case lists the ids all the same.
          local dropped = cfg.kind == 'custom_voice' and cfg.size == '0b6'
          assert.same(not dropped and case.instruct_ids or nil, p.instruct_ids)
          assert.same(case.ref_ids, p.ref_ids)
          assert.equal(case.prompt_rows, #p.rows)
          if case.ref_frames then assert.equal(case.ref_frames, #reference.frames) end

          local rows, trailing = {}, {}
          for r, row in ipairs(p.rows) do
            local codec, x = row.codec, nil
            if codec and codec.id then
              x = vector.codec(codec.id)
            elseif codec then
              x = codec.speaker and reference.speaker
                or vector.frame(reference.frames[codec.frame + 1])
            end
            rows[r] = {}
            for i, t in ipairs(vector.text(row.text)) do rows[r][i] = t + (x and x[i] or 0) end
          end
          for i, id in ipairs(p.trailing) do trailing[i] = vector.text(id) end

          local tensor = safetensors.open(('%s/%s.safetensors'):format(model.dir, case.name))
          assert_near(rows, tensor('prompt'))
          assert_near(trailing, tensor('trailing'))
        end)

        it(case.name .. ': ids are those of the template tokenised in one piece', function()
          local whole = '<|im_start|>assistant\n%s<|im_end|>\n<|im_start|>assistant\n'
          local ids = tokenizer:encode(whole:format(case.text), {special = true})
          local p = assert(prompt.build(cfg, tokenizer, {
            text = '\n ' .. case.text, instruct = case.instruct, voice = case.voice,
            speaker_vector = cfg.kind == 'base' or nil,
          }))
          assert.same(ids, p.ids)
        end)
      end
    end)
  end
end)
