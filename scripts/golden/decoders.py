"""Writes spec/fixtures/golden/decoders: tiny random language models of each family in Hugging Face
folders, with what transformers computes of them.

    python scripts/golden/decoders.py spec/fixtures/golden/decoders

Needs torch, transformers 5, tokenizers and gguf of the Python registry. Each folder holds the
model, and golden.json: ids of texts, logits of positions, greedy ids, and rendered chats; that of
smollm also holds the model as a GGUF file.
"""
import json
import os
import sys

import gguf
import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, PreTrainedTokenizerFast
from transformers import Qwen2Config, Qwen3Config

SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|"
         r"\s*[\r\n]+|\s+(?!\S)|\s+")
TEXTS = [
    "Hello, world! It's 12345 o'clock.", "  two  spaces\tand a tab\n\n  lines \n", "I'LL we'Re 'S",
    "na\u00efve caf\u00e9, e\u0301 in two, \u4f60\u597d\u4e16\u754c 3\u00bd \u2460\u0664",
    "<|im_start|>user\nhi<|im_end|>", "a<|im_end|>b <|im_end|>", "x=1;\r\ny = 22;\u00a0\u3000z",
    "\U0001f600\u200d\U0001f4bb ok", "", " ", "123 4567 89a 0", "don't can't\n\n\n\nend   ",
]
SAMPLE = (" the of and to in that it is was for on with as at by from this have or one had not but "
          "what all were when we there can an your which their said if do will each about how up "
          "Hello world it's don't you're 12 123 2024\n\n  \u00e9\u4f60\u597d") * 3
CHAT = [[("user", "Hi")], [("system", "Be brief."), ("user", " a "), ("assistant", "b"),
                           ("user", "c\nd")]]
CHATML = ("{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + "
          "message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}"
          "{{ '<|im_start|>assistant\n' }}{% endif %}")
SYSTEM = ("{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
          "{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{% endif %}")
QWEN2 = SYSTEM + CHATML.removeprefix("{% for message in messages %}")
LLAMA3 = ("{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = "
          "'<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | "
          "trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}"
          "{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}"
          "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}")


def split(digits):
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(SPLIT % digits), "isolated", False),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def smollm():
    return pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])


SIZES = dict(hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
             num_key_value_heads=1, max_position_embeddings=256, vocab_size=352)
LLAMA31 = {"rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
           "original_max_position_embeddings": 64}
FAMILIES = {
    "llama": (LlamaConfig(**SIZES, rope_theta=10000.0, rope_scaling=LLAMA31), split(r"\p{N}{1,3}"),
              dict(ignore_merges=True), LLAMA3, ["<|begin_of_text|>", "<|eot_id|>",
                                                 "<|start_header_id|>", "<|end_header_id|>"]),
    "smollm": (LlamaConfig(**SIZES, tie_word_embeddings=True), smollm(), {}, CHATML, []),
    "mistral": (MistralConfig(**{**SIZES, "head_dim": 12}, sliding_window=7),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True), {}, CHATML, []),
    "qwen2": (Qwen2Config(**SIZES, rope_theta=1000000.0, tie_word_embeddings=True),
              split(r"\p{N}"), dict(nfc=True), QWEN2, []),
    "qwen3": (Qwen3Config(**{**SIZES, "head_dim": 16}, tie_word_embeddings=False), split(r"\p{N}"),
              dict(nfc=True), CHATML, []),
}


def tokenizer_of(pre, options, special):
    tokenizer = Tokenizer(models.BPE(ignore_merges=options.get("ignore_merges", False)))
    tokenizer.pre_tokenizer = pre
    if options.get("nfc"):
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.decoder = decoders.ByteLevel()
    names = ["<|im_end|>", "<|im_start|>"] + special
    trainer = trainers.BpeTrainer(
        vocab_size=SIZES["vocab_size"], show_progress=False, special_tokens=names,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator([SAMPLE], trainer)
    return tokenizer


NAMES = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
         "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
         "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
         "post_attention_layernorm": "ffn_norm", "model.embed_tokens": "token_embd",
         "model.norm": "output_norm", "model.layers.": "blk."}


def pairs_together(w, heads):
    """The rows of queries or keys in the order that GGUF has for LLaMA."""
    split = w.reshape(heads, 2, w.shape[0] // heads // 2, *w.shape[1:])
    return split.swapaxes(1, 2).reshape(w.shape)


def write_gguf(path, model, tokenizer, template):
    c, vocab = model.config, tokenizer.get_vocab()
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(c.max_position_embeddings)
    writer.add_embedding_length(c.hidden_size)
    writer.add_block_count(c.num_hidden_layers)
    writer.add_feed_forward_length(c.intermediate_size)
    writer.add_head_count(c.num_attention_heads)
    writer.add_head_count_kv(c.num_key_value_heads)
    writer.add_layer_norm_rms_eps(c.rms_norm_eps)
    writer.add_rope_freq_base(10000.0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    words = sorted(vocab, key=vocab.get)
    writer.add_token_list(words)
    writer.add_token_types([3 if w.startswith("<|") else 1 for w in words])
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    writer.add_token_merges([" ".join(m) for m in merges])
    writer.add_eos_token_id(0)
    writer.add_chat_template(template)
    for name, w in model.state_dict().items():
        if name == "lm_head.weight":
            continue
        w = w.float().numpy()
        if "q_proj" in name:
            w = pairs_together(w, c.num_attention_heads)
        if "k_proj" in name:
            w = pairs_together(w, c.num_key_value_heads)
        for old, new in NAMES.items():
            name = name.replace(old, new)
        if w.ndim == 1:
            writer.add_tensor(name, w)
        else:
            kind = gguf.GGMLQuantizationType.BF16
            writer.add_tensor(name, gguf.quants.quantize(w, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def older_fields(path):
    with open(path) as file:
        config = json.load(file)
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    config["rope_scaling"] = rope if rope["rope_type"] != "default" else None
    with open(path, "w") as file:
        json.dump(config, file, indent=1)


def write(folder, name):
    config, pre, options, template, special = FAMILIES[name]
    folder = os.path.join(folder, name)
    os.makedirs(folder, exist_ok=True)
    tokenizer = tokenizer_of(pre, options, special)
    tokenizer.save(f"{folder}/tokenizer.json")
    first = special[0] if special else "<|im_start|>"
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=first,
                                   chat_template=template)
    torch.manual_seed(16)
    config.eos_token_id = 0
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    with torch.no_grad():
        for tensor in model.parameters():
            scale = 1 + 0.2 * torch.randn_like(tensor) if tensor.dim() == 1 and tensor.mean() == 1 \
                else 0.25 * torch.randn_like(tensor)
            tensor.copy_(scale.bfloat16().float())
        ids = torch.tensor([[5 + (7 * i) % 300 for i in range(24)]])
        logits = model(ids).logits[0]
        greedy = model.generate(ids[:, :5], do_sample=False, max_new_tokens=40, eos_token_id=None)
    model.bfloat16().save_pretrained(folder)
    if name != "qwen2":  # of which the fields stay as transformers 5 writes them
        older_fields(f"{folder}/config.json")
    if name == "smollm":
        write_gguf(f"{folder}/model.gguf", model, tokenizer, template)
    golden = {
        "texts": TEXTS,
        "ids": [tokenizer.encode(text, add_special_tokens=False).ids for text in TEXTS],
        "prompt": ids[0].tolist(), "logits": [[round(x, 6) for x in logits[i].tolist()]
                                              for i in (0, 9, 23)],
        "greedy": greedy[0, 5:].tolist(),
        "chats": [{"messages": [dict(role=r, content=c) for r, c in chat],
                   "text": fast.apply_chat_template(
                       [dict(role=r, content=c) for r, c in chat], tokenize=False,
                       add_generation_prompt=True)} for chat in CHAT],
    }
    with open(f"{folder}/golden.json", "w") as out:
        json.dump(golden, out, separators=(",", ":"))
    with open(f"{folder}/tokenizer_config.json", "w") as out:
        json.dump({"chat_template": template}, out)


for family in FAMILIES:
    write(sys.argv[1], family)
