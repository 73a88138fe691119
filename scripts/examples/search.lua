-- A search by meaning: which paragraphs of a text are nearest to what is asked.
--
--   scripts/fetch_weights
--   argent run scripts/examples/search.lua DESIGN.md 'who owns the memory of a row?' \
--     -m ~/.cache/argent/weights/minilm
--
-- Each line is a paragraph: its likeness (1 is the same), the line it begins at, its first words.

local ag = require 'argent'
local argparse = require 'argparse'
local files = require 'argent.files'

local p = argparse('search.lua', 'Finds the paragraphs that are nearest to a question.')
p:argument('file', 'A text; paragraphs have blank lines between them.')
p:argument('question', 'What is looked for.')
p:option('-m --model', 'A text encoder: a folder.')
p:option('--top', 'How many to show.', '5'):convert(tonumber)
local ok, args = p:pparse(arg)
if not ok then return nil, args, 'usage' end
if not args.model then return nil, '--model DIR is missing', 'usage' end

local text, err = files.read(args.file, 2 ^ 26)
if not text then return nil, err, 'io' end
local paragraphs, line, current = {}, 0, nil
for content in (text .. '\n'):gmatch '(.-)\r?\n' do
  line = line + 1
  if not content:find '%S' then
    current = nil
  elseif current then
    current.text = current.text .. ' ' .. content
  else
    current = {line = line, text = content}
    paragraphs[#paragraphs + 1] = current
  end
end
if #paragraphs == 0 then return nil, args.file .. ': there is no text in it', 'value' end

local enc, why, code = ag.encoder.open(args.model)
if not enc then return nil, why, code end
local texts = {}
for i, paragraph in ipairs(paragraphs) do texts[i] = paragraph.text end
local vectors, asked
vectors, why, code = enc:embed(texts)
if not vectors then return nil, why, code end
asked, why, code = enc:embed(args.question)
if not asked then return nil, why, code end

-- The cosine of each vector and the question: a linear layer whose weight are the vectors.
local function lengths(x)
  local out = {}
  for i, row in ipairs(x:totable()) do
    local sum = 0
    for _, v in ipairs(row) do sum = sum + v * v end
    out[i] = math.sqrt(sum)
  end
  return out
end
local question = asked:view(1, -1)
local dots = ag.zeros(enc.backend, {1, #texts})
ag.ops.linear(dots, question, vectors)
local near, long, own = dots:totable()[1], lengths(vectors), lengths(question)[1]
for i, paragraph in ipairs(paragraphs) do paragraph.near = near[i] / (long[i] * own) end
table.sort(paragraphs, function(a, b)
  if a.near ~= b.near then return a.near > b.near end
  return a.line < b.line
end)
for i = 1, math.min(args.top, #paragraphs) do
  local found = paragraphs[i]
  local shown = found.text:gsub('%s+', ' ')
  if #shown > 70 then shown = shown:sub(1, 70):gsub('[\192-\255][\128-\191]*$', '') .. '...' end
  print(('%.3f  line %d: %s'):format(found.near, found.line, shown))
end
return 0
