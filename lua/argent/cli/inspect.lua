-- argent inspect: what a model directory holds, and what it lacks.

local ag = require 'argent'
local analysis = require 'argent.qwen3_tts.analysis'
local common = require 'argent.cli.common'
local config = require 'argent.qwen3_tts.config'
local json = require 'argent.json'
local weights = require 'argent.weights'

local M = {summary = 'describe a model directory'}

function M.parser(p)
  common.model_option(p)
  p:flag('--tensors', 'List every tensor with dtype and shape.')
  p:flag('--scan', 'Look through every value of every tensor for NaN and infinities.')
  p:flag('--json', 'Print JSON.')
  p:epilog [[
Examples:
  argent inspect -m Qwen3-TTS-12Hz-0.6B-CustomVoice
  argent inspect --tensors | grep codec_head]]
end

-- Tensors, parameters and bytes of one set of files.
local function totals(w)
  local t = {tensors = 0, parameters = 0, bytes = 0}
  for _, name in ipairs(w:names()) do
    local info, n = w:info(name), 1
    for _, d in ipairs(info.shape) do n = n * d end
    t.tensors, t.parameters, t.bytes = t.tensors + 1, t.parameters + n, t.bytes + info.bytes
  end
  return t
end

local function sorted_keys(t)
  local keys = {}
  for k in pairs(t) do keys[#keys + 1] = k end
  table.sort(keys)
  return json.array(keys)
end

-- Names that this version does not read, by their first part: 'encoder' 225.
local function unused_parts(tts)
  local parts = {}
  for _, w in ipairs {tts.weights, tts.codec_weights} do
    for _, name in ipairs(w:unused()) do
      local part = name:match '^decoder%.quantizer' or name:match '^[^.]+'
      parts[part] = (parts[part] or 0) + 1
    end
  end
  return parts
end

local function describe(dir, cfg)
  local be = assert(ag.backend('cpu', {threads = 1}))
  local t, c = cfg.talker, cfg.codec
  local r = {
    directory = dir, kind = cfg.kind, size = cfg.size,
    talker = {layers = t.num_hidden_layers, hidden = t.hidden_size, heads = t.num_attention_heads,
      kv_heads = t.num_key_value_heads, head_dim = t.head_dim,
      positions = t.max_position_embeddings},
    predictor = {layers = cfg.predictor.num_hidden_layers, hidden = cfg.predictor.hidden_size},
    codec = {rate = c.sample_rate, samples_per_frame = c.samples_per_frame,
      groups = c.num_quantizers, book = c.codebook_size},
    speakers = sorted_keys(t.speakers), languages = sorted_keys(t.languages),
  }
  local w = weights.open(dir, {backend = be})
  local cw = weights.open(dir .. '/speech_tokenizer', {backend = be})
  if w then r.model = totals(w) end
  if cw then r.speech_tokenizer = totals(cw) end
  local tts, err, code = ag.qwen3_tts.open(dir, {backend = be})
  r.missing = tts and analysis.lacks(tts) or err
  r.unused = tts and unused_parts(tts)
  return r, w, cw, code
end

local function tensor_lines(lines, prefix, w)
  for _, name in ipairs(w and w:names() or {}) do
    local info = w:info(name)
    local shape = table.concat(info.shape, ', ')
    lines[#lines + 1] = ('%s%s  %s  [%s]'):format(prefix, name, info.dtype, shape)
  end
end

-- Looks through all values of both files, and notes what is damaged in r.damaged.
local function scan(r, w, cw)
  local looked = 0
  r.damaged = json.array {}
  for _, part in ipairs {w or false, cw or false} do
    local errs, n = {}, 0
    if part then errs, n = part:scan() end
    looked = looked + n
    for _, err in ipairs(errs) do r.damaged[#r.damaged + 1] = err end
  end
  r.scanned = looked
end

function M.run(args)
  local dir, err, code = common.find_model(args.model)
  if not dir then return nil, err, code end
  local cfg
  cfg, err = config.read(dir)
  if not cfg then return nil, err, 'model' end
  local r, w, cw = describe(dir, cfg)
  if args.scan then scan(r, w, cw) end
  local lines = {}
  if args.json then
    lines[1] = json.encode(r)
  else
    local function add(fmt, ...) lines[#lines + 1] = fmt:format(...) end
    add('%s: Qwen3-TTS, kind %s, size %s', dir, r.kind, r.size)
    local t, p = r.talker, r.predictor
    add('talker: %d layers of %d, %d heads over %d of %d, up to %d positions', t.layers, t.hidden,
      t.heads, t.kv_heads, t.head_dim, t.positions)
    add('code predictor: %d layers of %d, %d groups of %d codes', p.layers, p.hidden,
      r.codec.groups, r.codec.book)
    add('codec: %d Hz, %d samples a frame', r.codec.rate, r.codec.samples_per_frame)
    add('speakers: %s', #r.speakers > 0 and table.concat(r.speakers, ', ') or 'none')
    add('languages: %s', table.concat(r.languages, ', '))
    for _, part in ipairs {'model', 'speech_tokenizer'} do
      local n = r[part]
      if n then
        add('%s: %d tensors, %.1f M parameters, %.1f MB', part, n.tensors, n.parameters / 1e6,
          n.bytes / 1e6)
      end
    end
    if args.tensors then
      tensor_lines(lines, '', w)
      tensor_lines(lines, 'speech_tokenizer: ', cw)
    end
    local unused = {}
    for part, n in pairs(r.unused or {}) do unused[#unused + 1] = ('%s (%d)'):format(part, n) end
    table.sort(unused)
    if #unused > 0 then add('not read by this version: %s', table.concat(unused, ', ')) end
    for _, damage in ipairs(r.damaged or {}) do add('scan: %s', damage) end
    if r.damaged and #r.damaged == 0 then
      add('scan: no NaN and no infinity in %d tensors', r.scanned)
    end
    add('complete: %s', r.missing and 'no: ' .. r.missing or 'yes')
  end
  local ok
  ok, err, code = common.print(table.concat(lines, '\n'))
  if not ok then return nil, err, code end
  if r.damaged and #r.damaged > 0 then
    return nil, ('%d tensor%s damaged; fetch the model again'):format(#r.damaged,
      #r.damaged == 1 and ' is' or 's are'), 'model'
  end
  if r.missing then return nil, r.missing, 'model' end
  return 0
end

return M
