-- The prompt of the talker: which text id and which codec vector add up to each row of the prefill,
-- and which text ids follow, one a frame. It works on ids alone and makes no vectors. A row is the
-- sum of a text side and a codec side, or a text side alone:
--
--   text side    instruct  <|im_start|> assistant \n  tts_pad ...       tts_bos    body
--   codec side   -         -                          language, voice   codec_pad
--
-- The layout says where the text goes: `whole` puts all of it into the body, `stream` all but the
-- first id into the frames that follow.

local check = require 'argent.check'
local languages = require 'argent.qwen3_tts.languages'
local suggest = require 'argent.text.suggest'

local M = {}

---@class argent.CodecSpec the codec side of a row; exactly one field is set
---@field id integer? row of the talker's codec embedding
---@field speaker true? the speaker vector of the reference
---@field frame integer? 0-based reference frame: the sum of the embeddings of its codes

---@class argent.Prompt
---@field rows {text: integer?, codec: argent.CodecSpec?}[]
---@field trailing integer[] text ids to add, one a frame; when they are used up, tts_pad for ever
---@field ids integer[] the whole template around the text
---@field text_at integer the position, from 0, of the first text id; the others follow it, in the
---layout `stream` those that trail at the frames
---@field text_ids integer[] the text alone
---@field instruct_ids integer[]? the whole template around the instruct
---@field ref_ids integer[]? the whole template around the reference text
---@field language_id integer? nil for 'auto'
---@field layout 'whole'|'stream'
---@field notes string[] what was asked for and not done

---@class argent.PromptOptions
---@field text string what to say, UTF-8; white space in front of it is dropped
---@field instruct string? how to say it; required by voice_design, where it may be ''
---@field voice string? a speaker of a custom_voice model, in any letter case; '' for none
---@field language string? a name or an ISO 639-1 code (`en`), in any letter case; nil and 'auto'
---let the model decide
---@field layout 'whole'|'stream'|nil default 'stream' for base, else 'whole'
---@field reference {frames: integer, text: string}? base: what to continue; frames are of codes
---@field speaker_vector boolean? base: there is a speaker vector (always required)
---@field special boolean? recognise added tokens such as <|im_end|> in the texts; default false
---@field pattern string? the tokenizer's pre-tokeniser
---@field open boolean? more text will follow: the end of the text is not among the trailing ids
---(layout 'stream')

local OPTIONS = {'text', 'instruct', 'voice', 'language', 'layout', 'reference', 'speaker_vector',
  'special', 'pattern', 'open'}
local KIND_NAMES = {custom_voice = 'CustomVoice', base = 'Base', voice_design = 'VoiceDesign'}

local function append(list, more)
  for _, v in ipairs(more) do list[#list + 1] = v end
  return list
end

local function concat(...)
  local out = {}
  for _, list in ipairs{...} do append(out, list) end
  return out
end

local sorted_keys = languages.sorted_keys

-- Unicode's White_Space outside of ASCII, as UTF-8.
local WIDE_SPACES = {}
for _, s in ipairs{'\194\133', '\194\160', '\225\154\128', '\226\128\168', '\226\128\169',
  '\226\128\175', '\226\129\159', '\227\128\128'} do WIDE_SPACES[s] = true end
for last = 128, 138 do WIDE_SPACES['\226\128' .. string.char(last)] = true end -- U+2000 .. U+200A

--- The text without leading white space: a leading newline would merge with the template's.
local function trim_start(text)
  local at = 1
  while true do
    at = text:find('%S', at) or #text + 1
    local width = WIDE_SPACES[text:sub(at, at + 1)] and 2 or WIDE_SPACES[text:sub(at, at + 2)] and 3
    if not width then return text:sub(at) end
    at = at + width
  end
end

local function one_line(s)
  return (s:gsub('%c', '?'))
end

local function unknown(what, name, known)
  local guess = suggest.closest(name, known)
  return one_line(('unknown %s %s%s (this model has %s)'):format(what,
    check.show(name):gsub('^string ', ''), guess and (', did you mean %s?'):format(guess) or '',
    table.concat(known, ', ')))
end

--- Refuses what this kind of model cannot do, and says which kind can.
local function check_kind(cfg, opts)
  local this = 'this is a ' .. KIND_NAMES[cfg.kind] .. ' model: '
  if cfg.kind ~= 'base' and (opts.reference or opts.speaker_vector) then
    return nil, this .. 'it cannot clone a voice from a reference; use a Base model'
  elseif cfg.kind == 'base' and (opts.voice or '') ~= '' then
    return nil, this .. 'it has no named voices; use a reference recording, or a CustomVoice model'
  elseif cfg.kind == 'voice_design' and (opts.voice or '') ~= '' then
    return nil, this .. 'it has no named voices; describe one with instruct'
  elseif cfg.kind == 'base' and opts.instruct and opts.instruct ~= '' then
    return nil, this .. 'it takes no instruct; use a CustomVoice or a VoiceDesign model'
  elseif cfg.kind == 'base' and not opts.speaker_vector then
    return nil, this .. 'it needs a speaker vector, made from a reference recording'
  elseif cfg.kind == 'voice_design' and not opts.instruct then
    return nil, this .. "it needs an instruct that describes the voice ('' for any voice)"
  end
  return true
end

--- The row of the voice, as codec specs: one or none. Also the voice's name in lower case.
local function speaker_of(cfg, opts)
  if cfg.kind == 'base' then return {{speaker = true}} end
  if cfg.kind == 'voice_design' then return {} end
  local known = sorted_keys(cfg.talker.speakers)
  local name = opts.voice or cfg.default_voice
  if not name then
    return nil, one_line('this CustomVoice model needs a voice: ' .. table.concat(known, ', '))
  end
  if name == '' then return {} end -- a prompt without a row for the voice
  local voice = name:lower()
  local id = cfg.talker.speakers[voice]
  if not id then return nil, unknown('voice', name, known) end
  return {{id = id}}, voice
end

--- The language's id, false for 'auto'. A voice of a dialect speaks it unless told otherwise.
local function language_of(cfg, opts, voice)
  local asked = opts.language or 'auto'
  local name = languages.resolve(cfg.talker, asked)
  if not name then
    local known = append({'auto'}, sorted_keys(cfg.talker.languages))
    return nil, unknown('language', asked, known)
  end
  if voice and (name == 'auto' or name == 'chinese') then
    name = cfg.talker.dialects[voice] or name
  end
  return name ~= 'auto' and cfg.talker.languages[name]
end

--- The codec side between the role and the body.
local function codec_prefix(cfg, language_id, speaker)
  local c = cfg.talker.codec
  local ids = language_id and {c.think, c.think_bos, language_id, c.think_eos}
    or {c.nothink, c.think_bos, c.think_eos}
  local out = {}
  for i, id in ipairs(ids) do out[i] = {id = id} end
  append(out, speaker)
  out[#out + 1] = {id = c.pad}
  out[#out + 1] = {id = c.bos}
  return out
end

--- The ids of the template's parts, checked against the config: the files may be of two models.
local function template(cfg, encode)
  local role, role_err = encode('<|im_start|>assistant\n', true)
  if not role then return nil, role_err end
  local close, close_err = encode('<|im_end|>\n', true)
  if not close then return nil, close_err end
  if #role ~= 3 or role[1] ~= cfg.tokens.im_start or role[2] ~= cfg.tokens.assistant
    or #close ~= 2 or close[1] ~= cfg.tokens.im_end or close[2] ~= role[3] then
    return nil, ("the tokenizer does not fit config.json: '<|im_start|>assistant\\n' and "
      .. "'<|im_end|>\\n' are the ids %s and %s, expected %d %d N and %d N"):format(
      table.concat(role, ' '), table.concat(close, ' '), cfg.tokens.im_start,
      cfg.tokens.assistant, cfg.tokens.im_end)
  end
  return {role = role, close = close}
end

--- All ids of the prompt, in fields as of argent.Prompt; ref_text_ids is the reference text alone.
local function encode_texts(cfg, tok, opts, use_instruct)
  local function encode(text, special)
    local ids, err = tok:encode(text, {special = special, pattern = opts.pattern})
    for _, id in ipairs(ids or {}) do
      if id >= cfg.talker.text_vocab_size then
        return nil, ('the tokenizer does not fit config.json: id %d, but text_vocab_size is %d')
          :format(id, cfg.talker.text_vocab_size)
      end
    end
    return ids, err
  end
  local text = trim_start(opts.text)
  if text == '' then return nil, 'text is empty' end
  local t, err = template(cfg, encode)
  if not t then return nil, err end

  local out = {role = t.role}
  out.text_ids, err = encode(text, opts.special)
  if not out.text_ids then return nil, 'text: ' .. err end
  out.ids = concat(t.role, out.text_ids, t.close, t.role)

  if opts.reference then
    local ref = trim_start(opts.reference.text)
    if ref == '' then return nil, 'reference.text is empty' end
    out.ref_text_ids, err = encode(ref, opts.special)
    if not out.ref_text_ids then return nil, 'reference.text: ' .. err end
    out.ref_ids = concat(t.role, out.ref_text_ids, t.close)
  end

  if use_instruct then
    -- Used whole, so that nothing is counted and the newline may merge with what follows it.
    local ids
    ids, err = encode('user\n' .. opts.instruct, opts.special)
    if not ids then return nil, 'instruct: ' .. err end
    out.instruct_ids = concat({cfg.tokens.im_start}, ids, t.close)
  end
  return out
end

--- Body without reference frames. Adds the rows and returns the trailing text ids.
local function plain_body(cfg, ids, layout, row, open)
  local c, tokens = cfg.talker.codec, cfg.tokens
  if layout == 'stream' then
    row(ids[1], {id = c.bos})
    local trailing = {}
    for i = 2, #ids do trailing[i - 1] = ids[i] end
    return open and trailing or append(trailing, {tokens.tts_eos})
  end
  for _, id in ipairs(ids) do row(id, {id = c.pad}) end
  row(tokens.tts_eos, {id = c.pad})
  row(tokens.tts_pad, {id = c.bos})
  return {tokens.tts_pad}
end

--- Body with reference frames: the texts of both; beside or after them codec_bos and the frames.
local function reference_body(cfg, ids, frames, layout, row, open)
  local c, tokens = cfg.talker.codec, cfg.tokens
  if not open then ids = append(ids, {tokens.tts_eos}) end
  local function codec(i) return i == 0 and {id = c.bos} or {frame = i - 1} end
  if layout == 'whole' then
    for _, id in ipairs(ids) do row(id, {id = c.pad}) end
    for i = 0, frames do row(tokens.tts_pad, codec(i)) end
    return {tokens.tts_pad}
  end
  for i = 0, frames do row(ids[i + 1] or tokens.tts_pad, codec(i)) end
  if #ids <= frames + 1 and not open then return {tokens.tts_pad} end
  local trailing = {}
  for i = frames + 2, #ids do trailing[#trailing + 1] = ids[i] end
  return trailing
end

--- How many positions the prompt takes, trailing ids included, before any row is made.
local function count_positions(t, prefix, frames, layout)
  local n = #(t.instruct_ids or {}) + #t.role + #prefix - 1
  if not frames then return n + #t.text_ids + (layout == 'whole' and 2 or 1) end
  local texts, codes = #t.ref_text_ids + #t.text_ids + 1, frames + 1
  return n + (layout == 'whole' and texts + codes or math.max(texts, codes))
end

local function check_options(opts)
  check.options(opts, 'opts', OPTIONS, 1)
  check.type(opts, 'opts', 'table', 1)
  check.type(opts.text, 'text', 'string', 1)
  for _, key in ipairs{'instruct', 'voice', 'language', 'pattern'} do
    if opts[key] ~= nil then check.type(opts[key], key, 'string', 1) end
  end
  for _, key in ipairs{'special', 'speaker_vector', 'open'} do
    if opts[key] ~= nil then check.type(opts[key], key, 'boolean', 1) end
  end
  if opts.layout ~= nil then check.one_of(opts.layout, 'layout', {'whole', 'stream'}, 1) end
  if opts.reference ~= nil then
    check.options(opts.reference, 'reference', {'frames', 'text'}, 1)
    check.int(opts.reference.frames, 'reference.frames', 1, nil, 1)
    check.type(opts.reference.text, 'reference.text', 'string', 1)
  end
end

--- Describes the rows of the prefill and the text that follows. Options of a wrong type raise an
--- error; what the model cannot do (an unknown voice, the wrong kind of model, a text that is empty
--- or too long) is returned.
---@param cfg argent.Config
---@param tok table its encode(self, text, {special=, pattern=}) returns ids, or nil and an error
---@param opts argent.PromptOptions
---@return argent.Prompt? prompt
---@return string? err one line
function M.build(cfg, tok, opts)
  check_options(opts)
  local ok, kind_err = check_kind(cfg, opts)
  if not ok then return nil, kind_err end
  local speaker, voice = speaker_of(cfg, opts)
  if not speaker then return nil, voice end
  local language_id, language_err = language_of(cfg, opts, voice)
  if language_err then return nil, language_err end

  local notes = {}
  local use_instruct = opts.instruct ~= nil and opts.instruct ~= ''
  if use_instruct and cfg.kind == 'custom_voice' and cfg.size == '0b6' then
    use_instruct = false
    notes[1] = 'instruct is ignored: the 0.6B CustomVoice model was not trained to follow one'
  end

  local t, err = encode_texts(cfg, tok, opts, use_instruct)
  if not t then return nil, err end
  local layout = opts.layout or (cfg.kind == 'base' and 'stream' or 'whole')
  if opts.open and layout ~= 'stream' then error("open: only in the layout 'stream'", 2) end
  local prefix = codec_prefix(cfg, language_id, speaker)
  local frames = opts.reference and opts.reference.frames
  local positions = count_positions(t, prefix, frames, layout)
  if positions > cfg.talker.max_position_embeddings then
    return nil, ('the text is too long: %d tokens%s take %.0f positions, and the model has %d')
      :format(#t.text_ids, frames and (' and %.0f reference frames'):format(frames) or '',
        positions, cfg.talker.max_position_embeddings)
  end

  local rows = {}
  local function row(text, codec) rows[#rows + 1] = {text = text, codec = codec} end
  for _, id in ipairs(t.instruct_ids or {}) do row(id) end
  for _, id in ipairs(t.role) do row(id) end
  for i = 1, #prefix - 1 do
    row(i < #prefix - 1 and cfg.tokens.tts_pad or cfg.tokens.tts_bos, prefix[i])
  end
  local trailing
  local text_at = #rows
  if frames then
    text_at = text_at + #t.ref_text_ids
    local ids = concat(t.ref_text_ids, t.text_ids)
    if opts.open and #ids <= frames then
      local short = 'the text is too short to begin: %d tokens with the reference, of %d frames'
      return nil, short:format(#ids, frames)
    end
    trailing = reference_body(cfg, ids, frames, layout, row, opts.open)
  else
    trailing = plain_body(cfg, t.text_ids, layout, row, opts.open)
  end
  return {
    rows = rows, trailing = trailing, text_at = text_at, ids = t.ids, text_ids = t.text_ids,
    ref_ids = t.ref_ids, instruct_ids = t.instruct_ids, language_id = language_id or nil,
    layout = layout, notes = notes,
  }
end

return M
