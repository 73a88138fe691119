"""Writes spec/fixtures/golden/smollm2.json: what transformers computes of SmolLM2-135M-Instruct in
Q4_1, dequantised to f32.

    python scripts/golden/smollm2.py FILE.gguf spec/fixtures/golden/smollm2.json

Needs torch, transformers, tokenizers and gguf of the Python registry; scripts/fetch_weights gets
the file. Ids are those of the released tokenizer's steps: digits one by one, then GPT-2's pieces.
"""
import json
import os
import random
import sys

import gguf
import torch
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from transformers import AutoModelForCausalLM

PROMPTS = [
    "The capital of France is", "def fibonacci(n):\n", "Once upon a time, in a small village,",
    "<|im_start|>user\nWhat is gravity?<|im_end|>\n<|im_start|>assistant\n", "1, 2, 3, 4,",
]
WORDS = ("the quick brown fox isn't here, we'll see 42 or 1999; na\u00efve \u4f60\u597d "
         "\u00bd \u0664 x_1=f(y) \U0001f600 <|im_start|> I'M don't http://a.b/c?d=e \u00a0 "
         "\t \n \n\n  ...").split(" ")


def tokenizer_of(path):
    fields = gguf.GGUFReader(path).fields

    def texts(key):
        field = fields[key]
        return [bytes(field.parts[i]).decode() for i in field.data]

    words, kinds = texts("tokenizer.ggml.tokens"), fields["tokenizer.ggml.token_type"]
    merges = [tuple(m.split(" ")) for m in texts("tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE({w: i for i, w in enumerate(words)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    tokenizer.add_special_tokens([
        AddedToken(words[i], special=True, normalized=False)
        for i, at in enumerate(kinds.data) if int(kinds.parts[at][0]) == 3])
    return tokenizer


def main(path, out):
    rng = random.Random(16)
    tokenizer = tokenizer_of(path)
    texts = ["".join(rng.choice(WORDS) + rng.choice([" ", " ", "", "  "])
                     for _ in range(rng.randint(0, 12))) for _ in range(300)]
    model = AutoModelForCausalLM.from_pretrained(
        os.path.dirname(path), gguf_file=os.path.basename(path), dtype=torch.float32).eval()
    golden = {"texts": texts, "ids": [tokenizer.encode(t).ids for t in texts], "greedy": []}
    with torch.no_grad():
        for prompt in PROMPTS:
            ids = torch.tensor([tokenizer.encode(prompt).ids])
            # Without a mask generate takes <|im_end|> in a prompt for padding.
            made = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False,
                                  max_new_tokens=200, eos_token_id=None, repetition_penalty=1.0)
            # By how much the choice of each id was certain.
            logits = model(made).logits[0, ids.shape[1] - 1:-1]
            two = logits.topk(2).values
            margin = [round(x, 5) for x in (two[:, 0] - two[:, 1]).tolist()]
            golden["greedy"].append({"prompt": prompt, "ids": made[0, ids.shape[1]:].tolist(),
                                     "margin": margin})
        ids = torch.tensor([tokenizer.encode(PROMPTS[2] + " there lived a baker.").ids])
        result = model(ids, output_hidden_states=True)
        chosen = sorted(rng.sample(range(49152), 48))
        golden["text"] = ids[0].tolist()
        golden["chosen"] = chosen
        golden["logits"] = {str(i): [round(x, 5) for x in result.logits[0, i, chosen].tolist()]
                            for i in (0, 4, ids.shape[1] - 1)}
        golden["hidden"] = [[round(x, 5) for x in h[0, -1, ::72].tolist()]
                            for h in result.hidden_states]
    with open(out, "w") as file:
        json.dump(golden, file, separators=(",", ":"))


main(*sys.argv[1:])
