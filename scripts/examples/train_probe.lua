-- A linear probe: whether a layer of a language model knows something, by a logistic regression on
-- its hidden states. The file has a text a line, with its class (0 or 1) and a tab in front; every
-- fifth line is kept for the test.
--
--   argent run scripts/examples/train_probe.lua feelings.tsv --layer 12 \
--     -m ~/.cache/argent/weights/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
--
-- It prints how many texts the probe gets right, of those it was trained on and of the others.

local ag = require 'argent'
local argparse = require 'argparse'
local files = require 'argent.files'

local p = argparse('train_probe.lua', 'Trains a linear probe on the states of a layer.')
p:argument('file', 'Lines of CLASS, a tab, a text.')
p:option('-m --model', 'A language model: a folder or a GGUF file.')
p:option('--layer', 'Behind which layer, from 0 (default: the middle one).'):convert(tonumber)
p:option('--steps', 'Of gradient descent.', '300'):convert(tonumber)
p:option('--rate', 'Learning rate.', '0.5'):convert(tonumber)
p:option('--decay', 'Of the weights.', '0.01'):convert(tonumber)
p:option('--output', 'Keep the probe: weight [1, D], bias [1], mean [D], scale [D] (safetensors).')
local ok, args = p:pparse(arg)
if not ok then return nil, args, 'usage' end
if not args.model then return nil, '--model FILE is missing', 'usage' end

local content, err = files.read(args.file, 2 ^ 26)
if not content then return nil, err, 'io' end
local texts, classes = {}, {}
for line in (content .. '\n'):gmatch '(.-)\r?\n' do
  local class, text = line:match '^([01])\t(.+)$'
  if class then
    texts[#texts + 1], classes[#classes + 1] = text, tonumber(class)
  elseif line:find '%S' then
    return nil, ('%s: expected 0 or 1, a tab and a text, got %s'):format(args.file, line), 'value'
  end
end
if #texts < 10 then return nil, args.file .. ': ten texts at least are needed', 'value' end

local lm, why, code = ag.decoder.open(args.model)
if not lm then return nil, why, code end
local layer = args.layer or math.floor(lm.cfg.num_hidden_layers / 2)
if not (layer >= 0 and layer < lm.cfg.num_hidden_layers and layer % 1 == 0) then
  return nil, ('--layer: the model has layers 0 to %d'):format(lm.cfg.num_hidden_layers - 1),
    'usage'
end

-- The state behind the layer at the last token of each text.
local state
lm:watch(('layers.%d.out'):format(layer), function(x)
  local rows = x:view(-1, lm.cfg.hidden_size)
  state = rows:select(1, #rows):totable()
end)
local states = {}
for i, text in ipairs(texts) do
  local ids, done
  ids, why, code = lm:ids(text)
  if not ids then return nil, ('text %d: %s'):format(i, why), code end
  done, why, code = lm:logits(ids)
  if not done then return nil, ('text %d: %s'):format(i, why), code end
  done:release()
  states[i] = state
end

-- Each value with mean 0 and size 1 over the texts that are learnt from.
local D, learnt = lm.cfg.hidden_size, {}
for i = 1, #texts do
  if i % 5 ~= 0 then learnt[#learnt + 1] = i end
end
local mean, scale = {}, {}
for c = 1, D do
  local sum, squares = 0, 0
  for _, i in ipairs(learnt) do sum = sum + states[i][c] end
  mean[c] = sum / #learnt
  for _, i in ipairs(learnt) do squares = squares + (states[i][c] - mean[c]) ^ 2 end
  scale[c] = 1 / math.sqrt(squares / #learnt + 1e-6)
end
local function rows_of(list)
  local rows = {}
  for k, i in ipairs(list) do
    rows[k] = {}
    for c = 1, D do rows[k][c] = (states[i][c] - mean[c]) * scale[c] end
  end
  return rows
end

-- Gradient descent on the mean of -ln p of the right class. The gradient of it is the states times
-- what the probe was wrong by, which is one more linear layer.
local be, N = lm.backend, #learnt
local rows = rows_of(learnt)
local x = ag.tensor(be, rows)                            -- [N, D]
local columns = x:transpose(1, 2):contiguous()           -- [D, N]
local weight, bias = ag.zeros(be, {1, D}), 0
local out, gradient = ag.zeros(be, {N, 1}), ag.zeros(be, {1, D})
for _ = 1, args.steps do
  ag.ops.linear(out, x, weight)
  local wrong, total = {}, 0
  for k, y in ipairs(out:view(-1):totable()) do
    wrong[k] = (1 / (1 + math.exp(-(y + bias))) - classes[learnt[k]]) / N
    total = total + wrong[k]
  end
  ag.ops.linear(gradient, ag.tensor(be, {wrong}), columns)
  weight = weight * (1 - args.rate * args.decay) - gradient * args.rate
  bias = bias - args.rate * total
end

local function right(list)
  if #list == 0 then return 0 end
  local y, count = ag.zeros(be, {#list, 1}), 0
  ag.ops.linear(y, ag.tensor(be, rows_of(list)), weight)
  for k, v in ipairs(y:view(-1):totable()) do
    count = count + ((v + bias > 0) == (classes[list[k]] == 1) and 1 or 0)
  end
  return count
end
local others = {}
for i = 5, #texts, 5 do others[#others + 1] = i end
print(('layer %d: %d of %d learnt texts right, %d of %d others'):format(layer, right(learnt), N,
  right(others), #others))
if not args.output then return 0 end
return ag.save(args.output, {weight = weight, bias = ag.tensor(be, {bias}),
  mean = ag.tensor(be, mean), scale = ag.tensor(be, scale)})
