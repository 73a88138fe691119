"""Writes the trained model as a folder in the released layout, in bf16."""

import json
import shutil

import torch
from safetensors.torch import save

import codec
import model
from settings import BOOK, DELAY, FRAME, GENERATION, GROUPS, RATE, VOICES
from tokens import ADDED, Tokens

COMMON = dict(
    attention_bias=False, attention_dropout=0, hidden_act='silu', rms_norm_eps=1e-6,
    rope_theta=1000000.0, max_position_embeddings=8192, num_code_groups=GROUPS,
    use_sliding_window=False, sliding_window=None, use_cache=True, initializer_range=0.02,
    tie_word_embeddings=False)


def decoder_shape(s):
    return dict(hidden_size=s.width, intermediate_size=s.inner, num_hidden_layers=s.layers,
                num_attention_heads=s.heads, num_key_value_heads=s.key_heads, head_dim=s.head)


def config(tokens):
    added = tokens.added
    pairs = model.TALKER.head // 2  # of rotary angles, shared out to three axes that agree here
    talker = dict(
        COMMON, **decoder_shape(model.TALKER), model_type='qwen3_tts_talker',
        vocab_size=model.VOCAB, text_vocab_size=tokens.size, text_hidden_size=model.TEXT,
        position_id_per_seconds=13,
        rope_scaling=dict(interleaved=True, rope_type='default', type='default',
                          mrope_section=[pairs - 2 * (pairs // 3), pairs // 3, pairs // 3]),
        codec_pad_id=model.PAD, codec_bos_id=model.BOS, codec_eos_token_id=model.EOS,
        codec_think_id=model.THINK, codec_nothink_id=model.NOTHINK,
        codec_think_bos_id=model.THINK_BOS, codec_think_eos_id=model.THINK_EOS,
        codec_language_id=dict(english=model.ENGLISH), spk_id=model.SPEAKER,
        spk_is_dialect={voice: False for voice in VOICES},
        code_predictor_config=dict(
            COMMON, **decoder_shape(model.PREDICTOR),
            model_type='qwen3_tts_talker_code_predictor', vocab_size=BOOK, max_window_layers=28,
            layer_types=['full_attention'] * model.PREDICTOR.layers, rope_scaling=None))
    return dict(
        architectures=['Qwen3TTSForConditionalGeneration'], model_type='qwen3_tts',
        tokenizer_type='qwen3_tts_tokenizer_12hz', tts_model_size='demo',
        tts_model_type='custom_voice', transformers_version='4.57.3',
        im_start_token_id=added['<|im_start|>'], im_end_token_id=added['<|im_end|>'],
        tts_pad_token_id=tokens.pad, tts_bos_token_id=tokens.begin, tts_eos_token_id=tokens.end,
        assistant_token_id=tokens.vocab['assistant'], talker_config=talker)


def codec_config():
    return dict(
        architectures=['Qwen3TTSTokenizerV2Model'], model_type='qwen3_tts_tokenizer_12hz',
        encoder_valid_num_quantizers=GROUPS, input_sample_rate=RATE, output_sample_rate=RATE,
        decode_upsample_rate=FRAME, encode_downsample_rate=FRAME,
        decoder_config=dict(
            attention_bias=False, attention_dropout=0.0, hidden_act='silu', rms_norm_eps=1e-5,
            rope_theta=10000, max_position_embeddings=8000, latent_dim=codec.LATENT,
            codebook_dim=codec.CODES, codebook_size=BOOK, decoder_dim=codec.WIDTH,
            hidden_size=codec.LATENT, intermediate_size=codec.INNER,
            num_attention_heads=codec.HEADS, num_key_value_heads=codec.HEADS,
            head_dim=codec.HEAD, num_hidden_layers=codec.LAYERS, num_quantizers=GROUPS,
            sliding_window=codec.WINDOW, upsample_rates=codec.RATES,
            upsampling_ratios=codec.STRETCH, layer_scale_initial_scale=0.01),
        encoder_config=dict(model_type='mimi'))


def tokenizer_config(tokens):
    return dict(
        tokenizer_class='Qwen2Tokenizer', add_prefix_space=False, add_bos_token=False,
        bos_token=None, eos_token='<|im_end|>', pad_token='<|endoftext|>', unk_token=None,
        errors='replace', model_max_length=131072, split_special_tokens=False,
        clean_up_tokenization_spaces=False, additional_special_tokens=ADDED[1:],
        added_tokens_decoder={str(id): dict(content=text, special=True, lstrip=False, rstrip=False,
                                            normalized=False, single_word=False)
                              for text, id in tokens.added.items()})


def alignment():
    """What word times are read from: the heads that were guided to the text, and how much later
    than the frame a sound is heard that they look at. The wave lags by a frame, and the heads look
    ahead by most of one (measured on times.json)."""
    return dict(heads=[dict(layer=layer, head=0) for layer in model.GUIDED],
                delay=DELAY / RATE + 0.065)


def half(state, prefix=''):
    return {prefix + k: v.to(torch.bfloat16).contiguous() for k, v in state.items()}


def run(s):
    """Writes the folder `model` of the run."""
    tokens, out = Tokens(s.work), s.path('model')
    (out / 'speech_tokenizer').mkdir(parents=True, exist_ok=True)
    talker, decoder = model.Talker(tokens.size), codec.Codec()
    talker.load_state_dict(torch.load(s.path('talker.pt'))['model'])
    decoder.load_state_dict(torch.load(s.path('decoder.pt'))['model'])
    (out / 'model.safetensors').write_bytes(save(half(talker.state_dict())))
    (out / 'speech_tokenizer/model.safetensors').write_bytes(
        save(half(decoder.state_dict(), 'decoder.')))
    for name, what in {
            'config.json': config(tokens), 'generation_config.json': GENERATION,
            'tokenizer_config.json': tokenizer_config(tokens), 'alignment.json': alignment(),
            'speech_tokenizer/config.json': codec_config(),
            'speech_tokenizer/preprocessor_config.json': dict(
                feature_extractor_type='EncodecFeatureExtractor', feature_size=1,
                sampling_rate=RATE, padding_side='right', padding_value=0.0,
                return_attention_mask=True, chunk_length_s=None, overlap=None)}.items():
        (out / name).write_text(json.dumps(what, indent=2) + '\n')
    for name in ('vocab.json', 'merges.txt'):
        shutil.copy(s.path(name), out)
    size = sum(f.stat().st_size for f in out.rglob('*') if f.is_file())
    print(f'export: {out}, {size / 1e6:.2f} MB')
    assert size < 20e6
