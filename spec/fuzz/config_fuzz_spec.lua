-- Configurations with random changes: read, or refused in one line that names the file.

local cjson = require 'cjson'
local config = require 'argent.qwen3_tts.config'
local decoder = require 'argent.decoder.config'
local encoder_config = require 'argent.qwen3_tts.encoder_config'
local golden = require 'support.golden'
local models = require 'argent.models'
local mutate = require 'support.mutate'
local st = require 'support.st'

local LLAMA = {
  model_type = 'llama', hidden_act = 'silu', hidden_size = 64, intermediate_size = 128,
  num_hidden_layers = 2,
  num_attention_heads = 4, num_key_value_heads = 2, head_dim = 16, rms_norm_eps = 1e-6,
  rope_theta = 10000, vocab_size = 300, max_position_embeddings = 512, eos_token_id = {1, 2},
  rope_scaling = {rope_type = 'llama3', factor = 8, low_freq_factor = 1, high_freq_factor = 4,
    original_max_position_embeddings = 128},
}

describe('a configuration with random changes', function()
  local folder, remove = mutate.folder()
  teardown(remove)

  -- Of each kind of configuration its files, of which one is changed at a time, and what reads it.
  local KINDS = {
    {name = 'decoder', files = {['config.json'] = LLAMA,
      ['generation_config.json'] = {temperature = 0.6, top_k = 20, top_p = 0.9, eos_token_id = 2}},
      read = decoder.read},
  }
  for _, m in ipairs(golden.models()) do
    local files = {}
    for _, name in ipairs {
      'config.json', 'generation_config.json', 'speech_tokenizer/config.json',
    } do
      files[name] = golden.json(m.model .. '/' .. name)
    end
    KINDS[#KINDS + 1] = {name = m.name, files = files, read = function(dir)
      local cfg, err = config.read(dir)
      if not cfg then return nil, err end
      local codec, speaker
      codec, err = encoder_config.codec(cfg)
      if not codec then return nil, err end
      if cfg.kind == 'base' then
        speaker, err = encoder_config.speaker(cfg)
        if not speaker then return nil, err end
      end
      return cfg
    end}
  end

  for k, kind in ipairs(KINDS) do
    it(('(%s) is read or refused'):format(kind.name), function()
      local dir = folder .. '/' .. k
      os.execute('mkdir -p ' .. dir .. '/speech_tokenizer')
      local names, opened, refused = {}, 0, 0
      for name, value in pairs(kind.files) do
        names[#names + 1] = name
        st.write(cjson.encode(value), dir .. '/' .. name)
      end
      table.sort(names)
      assert(kind.read(dir))
      mutate.each(k, #KINDS, function(round, say)
        local name = names[round % #names + 1]
        local text = mutate.json(kind.files[name])
        say(text)
        st.write(text, dir .. '/' .. name)
        local cfg, err = kind.read(dir)
        if cfg then
          opened = opened + 1
        else
          refused = refused + 1
          assert(mutate.is_plain(err), err)
          assert(err:find('.json', 1, true), err)
        end
        local model, why = models.of(dir)
        assert(model or mutate.is_plain(why), why)
        st.write(cjson.encode(kind.files[name]), dir .. '/' .. name)
      end)
      assert.is_true(opened > 0 and refused > 0, ('%d, %d'):format(opened, refused))
    end)
  end
end)
