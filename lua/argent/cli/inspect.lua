-- argent inspect: what a model directory or a file of weights holds, and what a model lacks.

local ag = require 'argent'
local common = require 'argent.cli.common'
local json = require 'argent.json'
local lfs = require 'lfs'
local paths = require 'argent.cli.paths'
local weights = require 'argent.weights'

local M = {summary = 'describe a model directory or a file of weights'}

function M.parser(p)
  p:argument('directory', 'The model, as for -m, or a .safetensors or .gguf file.'):args '?'
  common.model_option(p)
  p:flag('--tensors', 'List every tensor with dtype and shape.')
  p:flag('--scan', 'Look through every value of every tensor for NaN and infinities.')
  p:flag('--json', 'Print JSON.')
  p:epilog [[
Examples:
  argent inspect Qwen3-TTS-12Hz-0.6B-CustomVoice
  argent inspect --tensors | grep codec_head
  argent inspect SmolLM2-135M-Instruct.Q4_1.gguf]]
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

-- Names that this version does not read, by their first part: 'encoder' 225.
local function by_part(names)
  local parts = {}
  for _, name in ipairs(names) do
    local part = name:match '^decoder%.quantizer' or name:match '^[^.]+'
    parts[part] = (parts[part] or 0) + 1
  end
  return parts
end

local function tensor_lines(lines, part)
  local w = part.weights
  for _, name in ipairs(w:names()) do
    local info = w:info(name)
    local shape = table.concat(info.shape, ', ')
    lines[#lines + 1] = ('%s%s  %s  [%s]'):format(part.prefix, name, info.dtype, shape)
  end
end

-- Looks through all values of all files, and notes what is damaged in r.damaged.
local function scan(r, parts)
  r.damaged, r.scanned = json.array {}, 0
  for _, part in ipairs(parts) do
    local errs, n = part.weights:scan()
    r.scanned = r.scanned + n
    for _, err in ipairs(errs) do r.damaged[#r.damaged + 1] = err end
  end
end

-- A value of metadata in a line: long texts by their beginning, lists by length and first values.
local function shown(v)
  if type(v) == 'table' then
    local first = {}
    for i = 1, math.min(#v, 3) do first[i] = shown(v[i]) end
    return ('%d: %s%s'):format(#v, table.concat(first, ', '), #v > 3 and ', ...' or '')
  end
  if type(v) == 'number' then return ('%.14g'):format(v) end
  local text = tostring(v)
  -- Cut before a character of several bytes, which may go on beyond.
  if #text > 60 then text = text:sub(1, 60):gsub('[\192-\255][\128-\191]*$', '') .. '...' end
  return paths.shown(text)
end

-- A file of weights by itself: it is no model, so it lacks nothing.
local function inspect_file(path)
  local w, err, code = weights.open(path, {backend = assert(ag.backend('cpu', {threads = 1}))})
  if not w then return nil, err, code end
  local metadata, keys = w:metadata(), {}
  local lines = {path}
  for key in pairs(metadata) do keys[#keys + 1] = key end
  table.sort(keys)
  for _, key in ipairs(keys) do
    lines[#lines + 1] = ('%s: %s'):format(key, shown(metadata[key]))
  end
  return {
    facts = {file = path, metadata = metadata}, lines = lines,
    parts = {{name = 'file', prefix = '', weights = w}}, whole = true,
  }
end

local function inspect_model(name)
  local kind, dir, code = common.find_kind(name)
  if not kind then return nil, dir, code end
  local found, err = kind.inspect(dir, assert(ag.backend('cpu', {threads = 1})))
  return found, err, 'model'
end

-- For people: what the model says of itself, and what all have.
local function text(found, r, tensors)
  local lines = found.lines
  local function add(fmt, ...) lines[#lines + 1] = fmt:format(...) end
  for _, part in ipairs(found.parts) do
    local n = r[part.name]
    add('%s: %d tensors, %.1f M parameters, %.1f MB', part.name, n.tensors, n.parameters / 1e6,
      n.bytes / 1e6)
  end
  for _, part in ipairs(tensors and found.parts or {}) do tensor_lines(lines, part) end
  local unused = {}
  for part, n in pairs(r.unused or {}) do unused[#unused + 1] = ('%s (%d)'):format(part, n) end
  table.sort(unused)
  if #unused > 0 then add('not read by this version: %s', table.concat(unused, ', ')) end
  for _, damage in ipairs(r.damaged or {}) do add('scan: %s', damage) end
  if r.damaged and #r.damaged == 0 then
    add('scan: no NaN and no infinity in %d tensors', r.scanned)
  end
  if not found.whole then add('complete: %s', r.missing and 'no: ' .. r.missing or 'yes') end
  return table.concat(lines, '\n')
end

function M.run(args)
  if args.directory and args.model then
    return nil, 'the model is given twice: by itself and by --model', 'usage'
  end
  local name = args.directory or args.model
  local inspect = name and lfs.attributes(name, 'mode') == 'file' and inspect_file or inspect_model
  local found, err, code = inspect(name)
  if not found then return nil, err, code end
  local r = found.facts
  r.missing, r.unused = found.missing, found.unused and by_part(found.unused)
  for _, part in ipairs(found.parts) do r[part.name] = totals(part.weights) end
  if args.scan then scan(r, found.parts) end
  local ok
  ok, err, code = common.print(args.json and json.encode(r) or text(found, r, args.tensors))
  if not ok then return nil, err, code end
  if r.damaged and #r.damaged > 0 then
    return nil, ('%d tensor%s damaged; fetch the model again'):format(#r.damaged,
      #r.damaged == 1 and ' is' or 's are'), 'model'
  end
  if r.missing then return nil, r.missing, 'model' end
  return 0
end

return M
