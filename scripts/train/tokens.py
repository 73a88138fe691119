"""The text tokenizer in the released form: byte-level BPE, a few hundred merges from the sentences.

Its parts are pieces of a word, at most six characters, so that a token is a few sounds."""

import json

from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

ADDED = ['<|endoftext|>', '<|im_start|>', '<|im_end|>', '<tts_pad>', '<tts_text_bos>',
         '<tts_text_eod>']
# How the released models cut text before any merge.
PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
           r"|\s*[\r\n]+|\s+(?!\S)|\s+")


def byte_bpe(vocab=None, merges=None, dropout=None):
    tokenizer = Tokenizer(models.BPE(vocab, merges, dropout=dropout) if vocab else models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PATTERN), 'isolated'),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    return tokenizer


def learn(lines, count):
    """Vocabulary {token: id} and merges [(a, b)]; the prompt's word `assistant` is one token."""
    tokenizer = byte_bpe()
    tokenizer.train_from_iterator(lines, trainers.BpeTrainer(
        vocab_size=256 + count, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False, max_token_length=6))
    model = json.loads(tokenizer.to_str())['model']
    vocab, merges = model['vocab'], [tuple(m) for m in model['merges']]
    pieces = byte_bpe(vocab, merges).encode('assistant').tokens
    while len(pieces) > 1:
        joined = pieces[0] + pieces[1]
        merges.append((pieces[0], pieces[1]))
        vocab.setdefault(joined, len(vocab))
        pieces[:2] = [joined]
    return vocab, merges


class Tokens:
    def __init__(self, folder):
        self.vocab = json.loads((folder / 'vocab.json').read_text())
        lines = (folder / 'merges.txt').read_text().splitlines()
        merges = [tuple(line.split(' ')) for line in lines if not line.startswith('#version')]
        self.exact = byte_bpe(self.vocab, merges)
        # Now and then a merge is left out: the talker meets rare spellings from common pieces.
        self.varied = byte_bpe(self.vocab, merges, dropout=0.1)
        self.added = {text: len(self.vocab) + i for i, text in enumerate(ADDED)}
        self.size = -(-(len(self.vocab) + len(ADDED)) // 8) * 8
        self.role = [self.added['<|im_start|>'], self.vocab['assistant'], self.vocab['Ċ']]
        self.pad, self.begin, self.end = (self.added[x] for x in ADDED[3:])

    def encode(self, text, varied=False):
        """Ids, and for each the word (counted by spaces) and the part of it that the token covers,
        as (word, from, to) with 0 <= from <= to <= 1; a lone space is the start of what follows."""
        code = (self.varied if varied else self.exact).encode(text)
        starts = [0] + [i + 1 for i, c in enumerate(text) if c == ' ']
        ends = [i - 1 for i in starts[1:]] + [len(text)]
        places = []
        for a, b in code.offsets:
            while a < b and text[a] == ' ':
                a += 1
            word = sum(start <= a for start in starts) - 1
            long = ends[word] - starts[word]
            places.append((word, (a - starts[word]) / long, (b - starts[word]) / long))
        return code.ids, places


def run(s):
    """Writes vocab.json and merges.txt."""
    lines = s.path('texts.txt').read_text().splitlines()
    if not s.path('vocab.json').exists():
        vocab, merges = learn(lines, s.merges)
        s.path('vocab.json').write_text(json.dumps(vocab, ensure_ascii=False))
        s.path('merges.txt').write_text(
            '#version: 0.2\n' + ''.join(f'{a} {b}\n' for a, b in merges))
    tokens = Tokens(s.work)
    some = lines[:1000]
    for text in some:
        ids, places = tokens.encode(text)
        assert [w for w, *_ in places] == sorted(w for w, *_ in places)
        assert places[-1][0] == text.count(' ') and all(0 <= a <= b <= 1 for _, a, b in places)
    length = sum(map(len, some)) / sum(len(tokens.encode(x)[0]) for x in some)
    print(f'tokens: {tokens.size} ids, {length:.2f} characters a token')
    assert not s.check or length > 2
