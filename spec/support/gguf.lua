-- Writes GGUF files byte by byte, honest or not, and whole language models.

local ag = require 'argent'
local ffi = require 'ffi'
local json = require 'argent.json'

local M = {}

local function bytes(ctype, v)
  local at = ffi.new(ctype .. '[1]')
  at[0] = v
  return ffi.string(at, ffi.sizeof(at))
end

function M.u32(v) return bytes('uint32_t', v) end
function M.u64(v) return bytes('uint64_t', v) end

--- The bytes of an f16 tensor of one element.
function M.f16(t)
  local x = t:to 'f32':item() -- which is an f16 number
  if x == 0 then return '\0\0' end
  local m, e = math.frexp(math.abs(x)) -- x = m 2^e, m from 0.5
  local bits
  if e - 1 < -14 then bits = math.abs(x) * 2 ^ 24
  else bits = (e + 14) * 1024 + (2 * m - 1) * 1024 end
  bits = bits + (x < 0 and 32768 or 0)
  return string.char(bits % 256, math.floor(bits / 256))
end

--- A text with its length before it, which `length` lies about when given.
function M.text(s, length) return M.u64(length or #s) .. s end

--- The codes of the types of values.
M.types = {
  u8 = 0, i8 = 1, u16 = 2, i16 = 3, u32 = 4, i32 = 5, f32 = 6, bool = 7, text = 8, list = 9,
  u64 = 10, i64 = 11, f64 = 12,
}

--- A key with its value: `raw` are the bytes behind the type.
function M.value(key, type, raw)
  return M.text(key) .. M.u32(M.types[type] or type) .. raw
end

--- A tensor's entry: dimensions are innermost first, as the format has them.
function M.tensor(name, dims, type, offset)
  local out = {M.text(name), M.u32(#dims)}
  for _, d in ipairs(dims) do out[#out + 1] = M.u64(d) end
  return table.concat(out) .. M.u32(type) .. M.u64(offset)
end

--- A file of values and tensors, each made by the functions above. `t` may lie: version, tensors
--- and values as numbers, align for the padding.
function M.file(t)
  local values, tensors = t.values or {}, t.tensors or {}
  local head = 'GGUF' .. M.u32(t.version or 3) .. M.u64(t.n_tensors or #tensors)
    .. M.u64(t.n_values or #values) .. table.concat(values) .. table.concat(tensors)
  local align = t.align or 32
  return head .. ('\0'):rep(-#head % align) .. (t.data or '')
end

-- ---- models ----

local function number(v) return M.u32(v) end
local function float(v) return bytes('float', v) end
local function texts(list)
  local out = {M.u32(M.types.text), M.u64(#list)}
  for _, s in ipairs(list) do out[#out + 1] = M.text(s) end
  return table.concat(out)
end

local LAYER = {
  input_layernorm = 'attn_norm', post_attention_layernorm = 'ffn_norm', ['self_attn.q_proj'] =
    'attn_q', ['self_attn.k_proj'] = 'attn_k', ['self_attn.v_proj'] = 'attn_v',
  ['self_attn.o_proj'] = 'attn_output', ['mlp.gate_proj'] = 'ffn_gate', ['mlp.up_proj'] = 'ffn_up',
  ['mlp.down_proj'] = 'ffn_down',
}
local WHOLE = {['model.embed_tokens.weight'] = 'token_embd.weight',
  ['model.norm.weight'] = 'output_norm.weight', ['lm_head.weight'] = 'output.weight'}

local function name_of(name)
  local layer, part = name:match '^model%.layers%.(%d+)%.(.+)%.weight$'
  return WHOLE[name] or ('blk.%s.%s.weight'):format(layer, LAYER[part])
end

-- Rows of queries and keys with the halves of each head side by side.
local function together(w, heads)
  local rows, columns = unpack(w.shape)
  return w:view(heads, 2, rows / heads / 2, columns):transpose(2, 3):contiguous():view(rows,
    columns)
end

--- The bytes of a model of LLaMA's kind in a Hugging Face folder with tokenizer.json, as a GGUF
--- file in F32.
---@param be ag.Backend
---@param folder string
---@param o {pre: string, sentencepiece: {words: string[], kinds: integer[], scores: number[]}?,
---values: string[]?, extra: table<string, ag.Tensor>?, encode:
---(fun(name: string, w: ag.Tensor): string?, integer?)?} pre: the name of its pieces; values: more
---metadata; extra: more tensors; encode: the bytes of a tensor and their type where it is not F32
---@return string
function M.model(be, folder, o)
  local c = assert(json.read(folder .. '/config.json'))
  local tokenizer = assert(json.read(folder .. '/tokenizer.json'))
  local words, kinds, merges = {}, {}, {}
  for word, id in pairs(tokenizer.model.vocab) do words[id + 1] = word end
  for _, t in ipairs(tokenizer.added_tokens) do words[t.id + 1] = t.content end
  for i, word in ipairs(words) do kinds[i] = M.u32(word:find '^<|' and 3 or 1) end
  local scores = {}
  if o.sentencepiece then
    words = {unpack(o.sentencepiece.words)}
    while #words < c.vocab_size do words[#words + 1] = ('<unused%d>'):format(#words) end
    for i = 1, #words do kinds[i] = M.u32(o.sentencepiece.kinds[i] or 5) end
    for i, score in ipairs(o.sentencepiece.scores) do scores[i] = float(score) end
    for i = #o.sentencepiece.words + 1, #words do scores[i] = float(-1e4) end
  end
  for i, m in ipairs(tokenizer.model.merges) do merges[i] = table.concat(m, ' ') end
  local sp = o.sentencepiece
  local values = {
    M.value('general.architecture', 'text', M.text 'llama'),
    M.value('llama.context_length', 'u32', number(c.max_position_embeddings)),
    M.value('llama.embedding_length', 'u32', number(c.hidden_size)),
    M.value('llama.block_count', 'u32', number(c.num_hidden_layers)),
    M.value('llama.feed_forward_length', 'u32', number(c.intermediate_size)),
    M.value('llama.attention.head_count', 'u32', number(c.num_attention_heads)),
    M.value('llama.attention.head_count_kv', 'u32', number(c.num_key_value_heads)),
    M.value('llama.attention.layer_norm_rms_epsilon', 'f32', float(c.rms_norm_eps)),
    M.value('llama.rope.freq_base', 'f32', float(10000)),
    M.value('tokenizer.ggml.model', 'text', M.text(sp and 'llama' or 'gpt2')),
    M.value('tokenizer.ggml.pre', 'text', M.text(o.pre)),
    M.value('tokenizer.ggml.bos_token_id', 'u32', number(1)),
    M.value('tokenizer.ggml.tokens', 'list', texts(words)),
    M.value('tokenizer.ggml.token_type', 'list',
      M.u32(M.types.i32) .. M.u64(#kinds) .. table.concat(kinds)),
    M.value('tokenizer.ggml.merges', 'list', texts(merges)),
    M.value('tokenizer.ggml.eos_token_id', 'u32', number(0)),
  }
  if sp then
    values[#values + 1] = M.value('tokenizer.ggml.scores', 'list',
      M.u32(M.types.f32) .. M.u64(#scores) .. table.concat(scores))
  end
  for _, v in ipairs(o.values or {}) do values[#values + 1] = v end
  local tensors, data, at = {}, {}, 0
  local function add(name, w)
    local raw, kind = nil, nil
    if o.encode then raw, kind = o.encode(name, w) end
    if not raw then
      local host, n = w:host()
      raw, kind = ffi.string(host, 4 * n), 0
    end
    local dims = w.shape
    if #dims == 2 then dims = {dims[2], dims[1]} end
    tensors[#tensors + 1] = M.tensor(name, dims, kind, at)
    data[#data + 1] = raw .. ('\0'):rep(-#raw % 32)
    at = at + #data[#data]
  end
  for name, w in pairs(assert(ag.load(folder .. '/model.safetensors', {backend = be,
    dtype = 'f32'}))) do
    if not (c.tie_word_embeddings and name == 'lm_head.weight') then
      if name:find 'q_proj' then w = together(w, c.num_attention_heads) end
      if name:find 'k_proj' then w = together(w, c.num_key_value_heads) end
      add(name_of(name), w)
    end
  end
  for name, w in pairs(o.extra or {}) do add(name, w) end
  return M.file {values = values, tensors = tensors, data = table.concat(data)}
end

return M
