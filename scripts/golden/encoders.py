"""Writes spec/fixtures/golden/encoders: tiny random text encoders of each family in Hugging Face
folders, with what transformers computes of them; and minilm.json, of all-MiniLM-L6-v2.

    python scripts/golden/encoders.py spec/fixtures/golden/encoders ~/.cache/argent/weights/minilm

Needs torch, transformers 5 and tokenizers of the Python registry; scripts/fetch_weights gets the
real model.
"""
import json
import os
import random
import sys

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoModel, AutoTokenizer, BertConfig, DistilBertConfig, RobertaConfig

TEXTS = [
    "Hello, World!", "na\u00efve CAF\u00c9 e\u0301", "\u4f60\u597d world\u4e16",
    "a\u0000b\ufffdc\u200bd\u00ade",
    "tab\tand\nline\r\n  end ", "$5+3=8 <x> ^~`|", "x" * 101 + " y", "don't; can't. won't?!",
    "[CLS] x[SEP]y [MASK].", "", " ", "\u0130stanbul \u00df \u03a3\u03a3 \u01c5",
    "\U0001f600 ok \u00bd",
    "\u00a0nbsp\u3000wide\u2028sep", "re-read co\u00f6perate \u1e9b\u0323",
    "UNKNOWNWORDS qqq\u0b95\u0bbf",
]
SIZES = dict(vocab_size=320, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
             intermediate_size=24, max_position_embeddings=48)
DISTIL = dict(vocab_size=320, dim=16, n_layers=2, n_heads=2, hidden_dim=24,
              max_position_embeddings=48)
FAMILIES = {
    "bert": (BertConfig(**SIZES, type_vocab_size=2), True, "mean"),
    "distilbert": (DistilBertConfig(**DISTIL), False, "cls"),
    "roberta": (RobertaConfig(**SIZES, type_vocab_size=1, pad_token_id=1), None, "max"),
}
SAMPLE = ["the cat sat on the mat, hello world: don't re read naive cafe ok x y 5 3 8 [a] (b)",
          "unknown words and more words in a world of text; sums = 1 + 2"] * 3
WORDS = ("a cat dog runs across the old bridge while rain falls on quiet streets and people talk "
         "about prices music science cooking travel caf\u00e9 2024 don't New-York "
         "\u4f60\u597d").split(" ")


def wordpiece(lower):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lower)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.train_from_iterator(SAMPLE, trainers.WordPieceTrainer(
        vocab_size=320, show_progress=False,
        special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]))
    return tokenizer, "[CLS]", "[SEP]"


def byte_level():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(SAMPLE, trainers.BpeTrainer(
        vocab_size=320, show_progress=False, special_tokens=["<s>", "<pad>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return tokenizer, "<s>", "</s>"


def pooled(states, how):
    if how == "cls":
        return states[0]
    return states.mean(0) if how == "mean" else states.max(0).values


def write(folder, name):
    config, lower, how = FAMILIES[name]
    folder = os.path.join(folder, name)
    os.makedirs(f"{folder}/1_Pooling", exist_ok=True)
    tokenizer, first, last = byte_level() if lower is None else wordpiece(lower)
    tokenizer.save(f"{folder}/tokenizer.json")
    torch.manual_seed(16)
    model = AutoModel.from_config(config, dtype=torch.float32).eval()
    with torch.no_grad():
        for tensor in model.parameters():
            noise = torch.randn_like(tensor)
            value = 1 + 0.2 * noise if tensor.dim() == 1 and tensor.mean() == 1 else 0.3 * noise
            tensor.copy_(value.bfloat16().float())
    most = 46 if lower is None else 48  # RoBERTa has two rows of positions before the first
    ids, vectors, layer = [], [], None
    for text in TEXTS:
        inner = tokenizer.encode(text, add_special_tokens=False).ids[:most - 2]
        whole = [tokenizer.token_to_id(first)] + inner + [tokenizer.token_to_id(last)]
        with torch.no_grad():
            result = model(torch.tensor([whole]), output_hidden_states=True)
        vector = pooled(result.last_hidden_state[0], how)
        ids.append(whole)
        vectors.append([round(x, 6) for x in (vector / vector.norm()).tolist()])
        layer = layer or [round(x, 6) for x in result.hidden_states[1][0, -1].tolist()]
    model.bfloat16().save_pretrained(folder)
    names = {"mean": "mean_tokens", "cls": "cls_token", "max": "max_tokens"}
    for path, value in {
        "golden.json": {"texts": TEXTS, "ids": ids, "vectors": vectors, "layer": layer},
        "modules.json": [
            {"path": "", "type": "sentence_transformers.models.Transformer"},
            {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
            {"path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}],
        "1_Pooling/config.json": {f"pooling_mode_{n}": k == how for k, n in names.items()},
    }.items():
        with open(f"{folder}/{path}", "w") as out:
            json.dump(value, out, separators=(",", ":"))


def minilm(out, folder):
    rng = random.Random(16)
    texts = []
    for _ in range(100):
        words = [rng.choice(WORDS) for _ in range(rng.randint(1, 40))]
        texts.append(" ".join(words) + rng.choice([".", "?", ""]))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder).eval()
    vectors = []
    for text in texts:
        ids = tokenizer(text, return_tensors="pt", padding=False)
        with torch.no_grad():
            vector = model(**ids).last_hidden_state[0].mean(0)
        vectors.append([round(x, 6) for x in (vector / vector.norm())[::32].tolist()])
    with open(out, "w") as file:
        json.dump({"texts": texts, "every": 32, "vectors": vectors}, file, separators=(",", ":"))


for family in FAMILIES:
    write(sys.argv[1], family)
minilm(f"{sys.argv[1]}/minilm.json", os.path.expanduser(sys.argv[2]))
