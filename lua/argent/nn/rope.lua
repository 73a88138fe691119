-- Rotary positions: how fast each pair of a head's values turns. A model that was trained on short
-- texts and then taught longer ones turns the slow pairs more slowly (rope_scaling); the formulas
-- are those of transformers.

local M = {}

--- What is known of rope_scaling, each with the fields it takes from there.
local SCALINGS = {
  default = function() return nil end,
  linear = function(r) return {factor = r:number('factor', 1, 1e6)} end,
  llama3 = function(r)
    local t = {
      factor = r:number('factor', 1, 1e6),
      low_freq_factor = r:number('low_freq_factor', 1e-3, 1e6),
      high_freq_factor = r:number('high_freq_factor', 1e-3, 1e6),
      original_max_position_embeddings = r:int('original_max_position_embeddings', 1, 2 ^ 30),
    }
    r:expect(t.high_freq_factor > t.low_freq_factor, 'high_freq_factor',
      'a number above low_freq_factor (%g)', t.low_freq_factor)
    return t
  end,
}

---@class argent.RopeScaling
---@field rope_type string 'linear', 'llama3', or 'factors', which no config.json has
---@field factors number[]? factors: by what the speed of each pair is divided
---@field factor number
---@field low_freq_factor number? llama3
---@field high_freq_factor number? llama3
---@field original_max_position_embeddings integer? llama3: what the model was first trained on

--- The rope_scaling of a transformer's object in a config.json, checked, or its rope_parameters,
--- which hold rope_theta too: transformers 5 writes these.
---@param s argent.json.Object
---@param types string[] which of 'default', 'linear', 'llama3' the caller takes
---@return argent.RopeScaling? scaling nil where there is none
function M.read(s, types)
  local key = s:get 'rope_parameters' ~= nil and 'rope_parameters' or 'rope_scaling'
  if s:get(key) == nil then return nil end
  local r, kind = s:object(key), 'default'
  for _, name in ipairs {'type', 'rope_type'} do -- the first is the older name
    if r:get(name) ~= nil then kind = r:one_of(name, types) end
  end
  local scaling = SCALINGS[kind](r)
  if scaling then scaling.rope_type = kind end
  return scaling
end

-- Pairs that turn at least high_freq_factor times in the texts of the first training keep their
-- speed, those that turn at most low_freq_factor times are slowed down by the factor, and the ones
-- between by a mixture of both.
local function llama3(f, s)
  local turns = s.original_max_position_embeddings * f / (2 * math.pi)
  local keep = (turns - s.low_freq_factor) / (s.high_freq_factor - s.low_freq_factor)
  keep = math.min(math.max(keep, 0), 1)
  return keep * f + (1 - keep) * f / s.factor
end

--- Radians that each pair of a head turns from one position to the next.
---@param cfg {head_dim: integer, rope_theta: number, rope_scaling: argent.RopeScaling?}
---@return number[] head_dim / 2 of them
function M.inv_freq(cfg)
  local scaling, out = cfg.rope_scaling, {}
  for j = 0, cfg.head_dim / 2 - 1 do
    local f = cfg.rope_theta ^ (-2 * j / cfg.head_dim)
    if scaling and scaling.rope_type == 'linear' then f = f / scaling.factor
    elseif scaling and scaling.rope_type == 'factors' then f = f / scaling.factors[j + 1]
    elseif scaling then f = llama3(f, scaling) end
    out[j + 1] = f
  end
  return out
end

return M
