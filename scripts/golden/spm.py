"""Writes spec/fixtures/golden/sentencepiece.json: a small BPE of SentencePiece with bytes for what
it does not know, and the ids that the sentencepiece package gives for texts.

    python scripts/golden/spm.py spec/fixtures/golden/sentencepiece.json
"""
import io
import json
import sys

import sentencepiece

SAMPLE = ["the of and to in that it is was for on with as at by from this have or one had not",
          "hello world, it's 12 o'clock; the cat sat on the mat and the other cats ate",
          "naïve café 你好 über die Brücke ging er heute"] * 20
TEXTS = ["hello world", " the  cat\nsat", "", " ", "   ", "théâtre 你好世界 \U0001f600",
         "aaaaaaaaaa", "it's 12 o'clock.\t(really)", "ther other at hat that", "\u2581 x",
         "the" * 40, "ging heute naïvely", "a\u0000b"]

model = io.BytesIO()
sentencepiece.SentencePieceTrainer.train(
    sentence_iterator=iter(SAMPLE), model_writer=model, vocab_size=340, model_type="bpe",
    byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
    add_dummy_prefix=True, split_digits=True, minloglevel=2)
sp = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
n = sp.get_piece_size()
kinds = [2 if sp.is_unknown(i) else 3 if sp.is_control(i) else 6 if sp.is_byte(i) else 1
         for i in range(n)]
with open(sys.argv[1], "w") as out:
    json.dump({
        "words": [sp.id_to_piece(i) for i in range(n)],
        "scores": [sp.get_score(i) for i in range(n)], "kinds": kinds,
        "texts": TEXTS, "ids": [sp.encode(text) for text in TEXTS],
    }, out, separators=(",", ":"), ensure_ascii=False)
