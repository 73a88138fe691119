-- argent embed: a vector for each text.

local common = require 'argent.cli.common'
local json = require 'argent.json'
local npy = require 'argent.npy'
local paths = require 'argent.cli.paths'
local tensor = require 'argent.tensor'

local M = {summary = 'make vectors of texts with a text encoder'}

local TEXTS_LIMIT = 2 ^ 28 -- bytes
local TOGETHER = 256 -- texts of which the vectors are asked for at once

function M.parser(p)
  p:argument('text', 'The texts, each for itself.'):args '*'
  p:option('-f --file', 'Read texts from a file (- for standard input), each line one; empty lines '
    .. 'are left out.'):argname '<file>'
  common.text_model_option(p, 'Model directory')
  p:option('-o --output', 'Write a NumPy file instead, NAME.npy: f32 [texts, width].')
    :argname '<file>'
  common.dtype_option(p, 'f32 in products as fast as the CPU can')
  common.device_options(p)
  p:epilog [[
Each text gives a line of JSON: {"text": "...", "embedding": [...]}. What of a text is longer than
the model reads is cut off.

Examples:
  argent embed 'A cat sleeps.' 'A dog barks.' -m all-MiniLM-L6-v2
  argent embed -f sentences.txt -m all-MiniLM-L6-v2 -o vectors.npy]]
end

local function texts_of(args)
  if #args.text > 0 and not common.text_from_input(args) then
    if args.file then
      return nil, 'the texts are given twice: as arguments and by --file', 'usage'
    end
    return args.text
  end
  local whole, err, code = common.text(args, TEXTS_LIMIT)
  if not whole then return nil, err, code end
  local texts = {}
  for line in (whole .. '\n'):gmatch '(.-)\r?\n' do
    if line:find '%S' then texts[#texts + 1] = line end
  end
  if #texts == 0 then return nil, 'no line holds any text', 'value' end
  return texts
end

-- Where the vectors go: lines, or a tensor that becomes a file at the end.
local function lines_to_output()
  return function(texts, vectors)
    local out = {}
    for i, v in ipairs(vectors:totable()) do
      for c, x in ipairs(v) do v[c] = ('%.9g'):format(x) end -- all that an f32 holds
      out[i] = ('{"text":%s,"embedding":[%s]}'):format(json.encode(texts[i]),
        table.concat(v, ','))
    end
    return common.print(table.concat(out, '\n'))
  end, function() return 0 end
end

local function array_to(path, backend, count, width)
  local all, at = tensor.zeros(backend, {count, width}), 1
  return function(texts, vectors)
    all:narrow(1, at, #texts):copy(vectors)
    at = at + #texts
    return 0
  end, function()
    local ok, err, code = npy.write(path, all)
    if not ok then return nil, err, code end
    common.note(('%s: %d vectors of %d'):format(paths.shown(path), count, width))
    return 0
  end
end

function M.run(args)
  local texts, enc, ok, err, code
  if args.output then
    if not args.output:find '%.npy$' then
      return nil, ('--output %s: expected a name that ends in .npy'):format(
        paths.shown(args.output)), 'usage'
    end
    ok, err, code = paths.check_output(args.output)
    if not ok then return nil, err, code end
  end
  texts, err, code = texts_of(args)
  if not texts then return nil, err, code end
  enc, err, code = common.open_model(args, 'embedding')
  if not enc then return nil, err, code end
  local add, finish
  if args.output then
    add, finish = array_to(args.output, enc.backend, #texts, enc.cfg.hidden_size)
  else
    add, finish = lines_to_output()
  end
  for first = 1, #texts, TOGETHER do
    local some = {unpack(texts, first, math.min(first + TOGETHER - 1, #texts))}
    local vectors, why, kind = enc:embed(some)
    if not vectors then return nil, why, kind end
    ok, err, code = add(some, vectors)
    if not ok then return nil, err, code end
  end
  return finish()
end

return M
