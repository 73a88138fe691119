-- argent inspect: what a model directory holds, and what it lacks.

local ag = require 'argent'
local common = require 'argent.cli.common'
local json = require 'argent.json'

local M = {summary = 'describe a model directory'}

function M.parser(p)
  p:argument('directory', 'The model, as for -m.'):args '?'
  common.model_option(p)
  p:flag('--tensors', 'List every tensor with dtype and shape.')
  p:flag('--scan', 'Look through every value of every tensor for NaN and infinities.')
  p:flag('--json', 'Print JSON.')
  p:epilog [[
Examples:
  argent inspect Qwen3-TTS-12Hz-0.6B-CustomVoice
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
  add('complete: %s', r.missing and 'no: ' .. r.missing or 'yes')
  return table.concat(lines, '\n')
end

function M.run(args)
  if args.directory and args.model then
    return nil, 'the model is given twice: by itself and by --model', 'usage'
  end
  local kind, dir, code = common.find_kind(args.directory or args.model)
  if not kind then return nil, dir, code end
  local found, err = kind.inspect(dir, assert(ag.backend('cpu', {threads = 1})))
  if not found then return nil, err, 'model' end
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
