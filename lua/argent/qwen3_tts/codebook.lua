-- Codebooks as the codec's files hold them: running sums and usage counts of the training, to be
-- divided once at load (REFERENCE.md, "Codebooks").

local status = require 'argent.status'
local lib = require 'argent.ffi'
local tensor = require 'argent.tensor'

local M = {}

--- E[k] = sum[k] / max(usage[k], 1e-5), in f32.
---@param backend ag.Backend
---@param scope ag.Scope of the codebook
---@param sum_name string 'embedding_sum' in the decoder, 'embed_sum' in the encoder
---@param size integer entries
---@param dim integer
---@param out ag.Tensor [size, dim] f32, contiguous
function M.load(scope, sum_name, size, dim, out)
  local sum = scope:get(sum_name, {size, dim}, 'f32'):host()
  local usage = scope:get('cluster_usage', {size}, 'f32'):host()
  for k = 0, size - 1 do
    -- A double quotient of two floats, rounded to float once, is the float quotient.
    local u = math.max(usage[k], 1e-5)
    for i = k * dim, k * dim + dim - 1 do sum[i] = sum[i] / u end
  end
  status.raise(lib.ag_tensor_write(out, sum, size * dim * 4))
  if lib.ag_tensor_count_nonfinite(out) > 0 then
    scope:unusable(sum_name, 'its entries are too large for their cluster_usage')
  end
end

--- A stack of codebooks, [#scopes, size, dim].
function M.stack(backend, scopes, sum_name, size, dim)
  local out = tensor.zeros(backend, {#scopes, size, dim})
  for i, scope in ipairs(scopes) do M.load(scope, sum_name, size, dim, out:select(1, i)) end
  return out
end

return M
