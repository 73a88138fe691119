-- A logit lens: what a language model would say next if it stopped after each of its layers. The
-- state behind every layer goes through the final norm and the head, as only the last one does.
--
--   argent run scripts/examples/logit_lens.lua 'The capital of France is' lens.png \
--     -m ~/.cache/argent/weights/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
--
-- The lines are the layers, each with its likeliest token at the last position and how likely that
-- is. The picture shows for each layer (row) and token of the text (column) how likely the layer
-- finds what the last layer says there.

local ag = require 'argent'
local argparse = require 'argparse'

local p = argparse('logit_lens.lua', 'Reads the layers of a language model out.')
p:argument('text', 'A text.')
p:argument('output', 'Picture (PNG).')
p:option('-m --model', 'A language model: a folder or a GGUF file.')
local ok, args = p:pparse(arg)
if not ok then return nil, args, 'usage' end
if not args.model then return nil, '--model FILE is missing', 'usage' end

local lm, why, code = ag.decoder.open(args.model)
if not lm then return nil, why, code end
local ids
ids, why, code = lm:ids(args.text)
if not ids then return nil, why, code end
if #ids == 0 then return nil, 'the text has no tokens', 'value' end

-- The states behind each layer; a long text comes in several parts.
local layers = lm.cfg.num_hidden_layers
local states = {}
for i = 1, layers do
  states[i] = {}
  lm:watch(('layers.%d.out'):format(i - 1), function(x)
    states[i][#states[i] + 1] = x:view(-1, lm.cfg.hidden_size):clone()
  end)
end
local logits
logits, why, code = lm:logits(ids)
if not logits then return nil, why, code end

local function argmax(row, n)
  local best = 0
  for v = 1, n - 1 do
    if row[v] > row[best] then best = v end
  end
  return best
end

-- The probability of an id, of logits on the host.
local function probability(row, n, id)
  local most, sum = row[argmax(row, n)], 0
  for v = 0, n - 1 do sum = sum + math.exp(row[v] - most) end
  return math.exp(row[id] - most) / sum
end

local V = lm.cfg.vocab_size
local said = {}
local host = logits:host()
for i = 1, #ids do said[i] = argmax(host + (i - 1) * V, V) end

local image = {}
for i = 1, layers do
  image[i] = {}
  local at = 0
  for _, part in ipairs(states[i]) do
    local n = part.shape[1]
    local normed, out = part:clone(), ag.zeros(lm.backend, {n, V})
    lm.backbone.norm:forward(normed, part)
    lm.head:forward(out, normed)
    local rows = out:host()
    for r = 0, n - 1 do
      at = at + 1
      image[i][at] = probability(rows + r * V, V, said[at])
    end
    if at == #ids then
      local row = rows + (n - 1) * V
      local best = argmax(row, V)
      print(('layer %d: %q %.3f'):format(i - 1, lm.tokenizer:decode {best},
        probability(row, V, best)))
    end
  end
end
local picture
picture, why, code = ag.plot.heat(image, {xlabel = 'token', ylabel = 'layer', label = 'probability',
  title = args.text})
if not picture then return nil, why, code end
return picture:save(args.output)
