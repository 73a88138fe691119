-- Language models in GGUF files: the names of their tensors, and the order of the rows of queries
-- and keys, as Hugging Face folders have them.

local M = {}

local LAYER = {
  ['attn_norm'] = 'input_layernorm', ['ffn_norm'] = 'post_attention_layernorm',
  ['attn_q'] = 'self_attn.q_proj', ['attn_k'] = 'self_attn.k_proj',
  ['attn_v'] = 'self_attn.v_proj', ['attn_output'] = 'self_attn.o_proj',
  ['attn_q_norm'] = 'self_attn.q_norm', ['attn_k_norm'] = 'self_attn.k_norm',
  ['ffn_gate'] = 'mlp.gate_proj', ['ffn_up'] = 'mlp.up_proj', ['ffn_down'] = 'mlp.down_proj',
}
local WHOLE = {
  ['token_embd.weight'] = 'model.embed_tokens.weight', ['output_norm.weight'] = 'model.norm.weight',
  ['output.weight'] = 'lm_head.weight',
}

--- The name that a tensor has in Hugging Face folders; nil for one that has none.
---@param name string
---@return string?
function M.name(name)
  if WHOLE[name] then return WHOLE[name] end
  local layer, part, kind = name:match '^blk%.(%d+)%.([%w_]+)%.(%w+)$'
  return LAYER[part] and ('model.layers.%s.%s.%s'):format(layer, LAYER[part], kind)
end

--- Reads by what each rotary frequency is divided, where the file says it: LLaMA 3.1's scaling, of
--- which the metadata says nothing. Call inside weights.build.
---@param scope ag.Scope of the whole file
---@param cfg ag.DecoderConfig rope_scaling is set
function M.read_factors(scope, cfg)
  local t = scope:try('rope_freqs.weight', {cfg.head_dim / 2}, 'f32')
  if not t then return end
  if cfg.rope_scaling then
    scope:unusable('rope_freqs.weight', ('the metadata has a scaling of the kind %s too'):format(
      cfg.rope_scaling.rope_type))
  end
  local factors = t:totable()
  for i, factor in ipairs(factors) do
    if factor <= 0 then
      scope:unusable('rope_freqs.weight', ('value %d is %g'):format(i, factor))
    end
  end
  cfg.rope_scaling = {rope_type = 'factors', factors = factors}
end

-- GGUF has LLaMA's rotary pairs side by side, where Hugging Face has all first halves before all
-- second ones.
local function halves_apart(heads)
  return function(t)
    local rows = t.shape[1]
    local pairs_of = rows / heads / 2
    local rest = t:count() / rows
    local apart = t:view(heads, pairs_of, 2, rest)
    local turned = apart:transpose(2, 3)
    local copy = turned:contiguous()
    local out = copy:view(unpack(t.shape))
    -- The collector does not see how much they hold.
    for _, v in ipairs {t, apart, turned, copy} do v:release() end
    return out
  end
end

--- What puts the rows of a tensor into their order; nil where they are.
---@param name string of the Hugging Face folder
---@param cfg ag.DecoderConfig
---@return (fun(t: ag.Tensor): ag.Tensor)?
function M.order(name, cfg)
  if cfg.model_type ~= 'llama' then return nil end
  if name:find '%.q_proj%.' then return halves_apart(cfg.num_attention_heads) end
  if name:find '%.k_proj%.' then return halves_apart(cfg.num_key_value_heads) end
end

return M
