-- Rotary speeds. The numbers are those of transformers' formulas (_compute_default_rope_parameters,
-- _compute_linear_scaling_rope_parameters, _compute_llama3_parameters), evaluated with numpy in
-- double precision.

require 'support.near'
local Backbone = require 'argent.nn.backbone'
local ag = require 'argent'
local golden = require 'support.golden'
local json = require 'argent.json'
local rope = require 'argent.nn.rope'
local weights = require 'argent.weights'

-- LLaMA 3.1 8B and 3.2 1B as released.
local LLAMA31 = {head_dim = 128, rope_theta = 500000, rope_scaling = {rope_type = 'llama3',
  factor = 8, low_freq_factor = 1, high_freq_factor = 4, original_max_position_embeddings = 8192}}
local LLAMA32 = {head_dim = 64, rope_theta = 500000, rope_scaling = {rope_type = 'llama3',
  factor = 32, low_freq_factor = 1, high_freq_factor = 4, original_max_position_embeddings = 8192}}

-- expected: pair, from 0 -> radians a position.
local function same_speeds(cfg, expected)
  local got = rope.inv_freq(cfg)
  assert.equal(cfg.head_dim / 2, #got)
  for pair, want in pairs(expected) do
    assert.is_true(math.abs(got[pair + 1] / want - 1) < 1e-9,
      ('pair %d: expected %.10g, got %.10g'):format(pair, want, got[pair + 1]))
  end
end

describe('rope.inv_freq', function()
  it('is theta to the power of the pair\'s share where nothing is scaled', function()
    same_speeds({head_dim = 128, rope_theta = 1e6},
      {[0] = 1, [1] = 0.8058421878, [31] = 0.001240937761, [63] = 1.240937761e-06})
    same_speeds({head_dim = 4, rope_theta = 10000}, {[0] = 1, [1] = 0.01})
  end)

  it('is divided by the factor of linear scaling', function()
    same_speeds({head_dim = 4, rope_theta = 10000,
      rope_scaling = {rope_type = 'linear', factor = 8}}, {[0] = 0.125, [1] = 0.00125})
  end)

  it('keeps the fast pairs, slows down the slow ones and mixes between, as LLaMA 3 does', function()
    same_speeds(LLAMA31, {[0] = 1, [1] = 0.8146172339, [27] = 0.00394227603, [28] = 0.003211445995,
      [29] = 0.002166570764, [30] = 0.001371893568, [31] = 0.0008567514129, [32] = 0.000524846161,
      [33] = 0.0003126937504, [34] = 0.0001785078128, [35] = 9.556212354e-05,
      [36] = 7.784655274e-05, [63] = 3.068925989e-07})
    same_speeds(LLAMA32, {[0] = 1, [1] = 0.6636012377, [13] = 0.004839421346,
      [14] = 0.003211445995, [15] = 0.001290547928, [16] = 0.0004295567966,
      [17] = 9.708287803e-05, [18] = 1.946163818e-05, [31] = 9.418306725e-08})
  end)

  it('is what a network turns by', function()
    local model, be = golden.models()[1], assert(ag.backend 'cpu')
    local cfg, scaled = {}, {rope_type = 'linear', factor = 2}
    for k, v in pairs(assert(require('argent.qwen3_tts.config').read(model.model)).talker) do
      cfg[k] = v
    end
    local w = assert(weights.open(model.model, {backend = be}))
    local function load(scaling)
      cfg.rope_scaling = scaling
      return assert(weights.build(function()
        return Backbone.load(be, cfg, w:scope 'talker.model.', 'f32')
      end))
    end
    local plain, slow = load(nil), load(scaled)
    for i, f in ipairs(plain.inv_freq:totable()) do
      assert.near(f / 2, slow.inv_freq:totable()[i], 1e-9)
    end
  end)
end)

describe('rope.read', function()
  local ALL = {'default', 'linear', 'llama3'}

  local function read(scaling, types)
    return json.checked(function()
      return rope.read(json.object({rope_scaling = scaling}, 'config.json'), types or ALL)
    end)
  end

  it('takes what LLaMA 3.1 says, and the older name of the type', function()
    assert.same(LLAMA31.rope_scaling, read {factor = 8, low_freq_factor = 1, high_freq_factor = 4,
      original_max_position_embeddings = 8192, rope_type = 'llama3'})
    assert.same({rope_type = 'linear', factor = 2.5}, read {type = 'linear', factor = 2.5})
  end)

  it('is nil where nothing is scaled', function()
    for _, none in ipairs {json.null, {}, {type = 'default'}, {rope_type = 'default', a = 2}} do
      local scaling, err = read(none)
      assert.same({nil, nil}, {scaling, err})
    end
  end)

  it('refuses scalings that it does not know or the caller does not take, and wrong numbers',
    function()
      for _, case in ipairs {
        {{rope_type = 'yarn', factor = 4},
          "rope_type: expected one of default, linear, llama3, got string 'yarn'"},
        {{type = 'linear', factor = 0.5}, 'factor: expected a number from 1 to 1e+06, got 0.5'},
        {{type = 'linear'}, 'factor: expected a number from 1 to 1e+06, got nil'},
        {{rope_type = 'llama3', factor = 8, low_freq_factor = 4, high_freq_factor = 4,
          original_max_position_embeddings = 8192},
          'high_freq_factor: expected a number above low_freq_factor (4), got 4'},
        {{rope_type = 'llama3', factor = 8, low_freq_factor = 1, high_freq_factor = 4},
          'original_max_position_embeddings: expected an integer from 1 to 1073741824, got nil'},
      } do
        local scaling, err = read(case[1])
        assert.is_nil(scaling)
        assert.equal('config.json: rope_scaling.' .. case[2], err)
      end
      local _, err = read({type = 'linear', factor = 2}, {'default'})
      assert.equal("config.json: rope_scaling.type: expected default, got string 'linear'", err)
    end)
end)
