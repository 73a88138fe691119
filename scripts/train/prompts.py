"""Utterances as the rows that the talker reads, in the layouts `whole` and `stream`, in batches."""

import dataclasses
import random

import numpy as np
import torch

import codes
from model import (BOS, ENGLISH, NONE, NOTHINK, PAD, SPEAKER, STOP, THINK, THINK_BOS, THINK_EOS)
from settings import BOOK, FRAME, GROUPS, RATE
from teacher import LONGEST

NEAR = 0.34  # of a word: how far beside the spoken place the guide still allows attention


@dataclasses.dataclass
class Batch:
    """B rows of T positions, and M places where a frame (or the end) is to be foretold."""
    text: torch.Tensor  # [B, T] text ids
    codec: torch.Tensor  # [B, T] codec ids, NONE where there is no codec side
    rest: torch.Tensor  # [B, T, GROUPS - 1] codes of the other groups, -1 outside of frames
    row: torch.Tensor  # [M]
    at: torch.Tensor  # [M]
    target: torch.Tensor  # [M, GROUPS] codes; STOP and zeros at the end
    heard: torch.Tensor  # [M, T] the positions of the text that is spoken there
    guided: torch.Tensor  # [M] 1 where there is such text


def join(a, b):
    """Two utterances of a voice as one."""
    later = len(a['codes']) * FRAME / RATE
    return dict(text=a['text'] + ' ' + b['text'], voice=a['voice'],
                words=np.concatenate([a['words'], b['words'] + later]),
                word=np.concatenate([a['word'], len(a['words']) + b['word']]),
                place=np.concatenate([a['place'], b['place']]),
                codes=np.concatenate([a['codes'], b['codes']]))


class Prompts:
    def __init__(self, s, tokens):
        self.s, self.tokens = s, tokens
        self.random = random.Random(s.seed)

    def rows(self, utterance, varied=False, stream=False):
        """(text, codec, rest, first, heard): lists of one utterance's positions, its frames from
        `first` on, and for each frame the positions of its text."""
        t, r = self.tokens, self.random
        ids, places = t.encode(utterance['text'], varied and r.random() < 0.4)
        thought = [THINK, THINK_BOS, ENGLISH, THINK_EOS] if varied and r.random() < 0.25 else \
            [NOTHINK, THINK_BOS, THINK_EOS]
        prefix = thought + [SPEAKER[utterance['voice']], PAD]
        frames = utterance['codes'].astype(np.int64)
        text = t.role + [t.pad] * (len(prefix) - 1) + [t.begin]
        codec = [NONE] * len(t.role) + prefix
        begin = len(text)
        if stream:
            later = (ids[1:] + [t.end])[:len(frames)]
            text += [ids[0]] + later + [t.pad] * (len(frames) - len(later))
            codec += [BOS]
        else:
            text += ids + [t.end, t.pad] + [t.pad] * len(frames)
            codec += [PAD] * (len(ids) + 1) + [BOS]
        first = len(codec)
        codec += frames[:, 0].tolist()
        rest = np.full((len(text), GROUPS - 1), -1)
        rest[first:] = frames[:, 1:]

        word, place = utterance['word'][:, None], utterance['place'].astype(np.float32)[:, None]
        of, low, high = (np.array(x) for x in zip(*places))
        heard = np.zeros((len(frames) + 1, len(text)), bool)
        heard[:-1, begin:begin + len(ids)] = (
            (of == word) & (low <= place + NEAR) & (high >= place - NEAR))[:, :len(text) - begin]
        if stream:  # text that has not come yet cannot be heard
            heard &= np.arange(len(text)) <= first - 1 + np.arange(len(heard))[:, None]
        return text, codec, rest, first, heard, frames

    def batch(self, utterances, train=False, streams=0.0):
        """streams: the share in the layout `stream`; 1 for all."""
        made = [self.rows(u, train, self.random.random() < streams) for u in utterances]
        B, T = len(made), max(len(m[0]) for m in made)
        M = sum(len(m[4]) for m in made)
        text = np.full((B, T), self.tokens.pad)
        codec, rest = np.full((B, T), NONE), np.full((B, T, GROUPS - 1), -1)
        row, at = np.zeros(M, np.int64), np.zeros(M, np.int64)
        target, heard, m = np.zeros((M, GROUPS), np.int64), np.zeros((M, T), bool), 0
        for i, (its_text, its_codec, its_rest, first, its_heard, frames) in enumerate(made):
            n, count = len(its_text), len(its_heard)
            text[i, :n], codec[i, :n], rest[i, :n] = its_text, its_codec, its_rest
            row[m:m + count], at[m:m + count] = i, np.arange(first - 1, first - 1 + count)
            target[m:m + count - 1], target[m + count - 1, 0] = frames, STOP
            heard[m:m + count, :n] = its_heard
            m += count
        return Batch(*(torch.from_numpy(x) for x in (text, codec, rest, row, at, target, heard)),
                     guided=torch.from_numpy(heard.any(1).astype(np.float32)))

    def epoch(self, utterances, train=True, streams=0.0):
        """Batches of about `positions` positions, alike in length; shuffled for training, where
        every tenth utterance is two sentences."""
        r, long = self.random, lambda u: len(u['codes']) + 0.45 * len(u['text']) + 11
        todo = list(utterances)
        if train:
            r.shuffle(todo)
            last = {}
            for i, u in enumerate(todo):
                before = last.get(u['voice'])
                if r.random() < 0.1 and before and \
                        len(before['codes']) + len(u['codes']) <= LONGEST:
                    todo[i] = join(before, u)
                last[u['voice']] = u
        batches, chunk = [], 4096
        for i in range(0, len(todo), chunk):
            now = []
            for u in sorted(todo[i:i + chunk], key=long):
                now.append(u)
                if len(now) * long(u) > self.s.positions:
                    batches.append(now)
                    now = []
            if now:
                batches.append(now)
        if train:
            r.shuffle(batches)
        return (self.batch(now, train, streams) for now in batches)


def corrupt(b, share):
    """The batch with some codes of the past wrong, as they will be when the model speaks: codes of
    group 0 from elsewhere in the batch, random ones in the others."""
    frame = b.rest[..., 0] >= 0
    pool = b.codec[frame]
    wrong = frame & (torch.rand(frame.shape) < share)
    codec = torch.where(wrong, pool[torch.randint(len(pool), frame.shape)], b.codec)
    wrong = frame & (torch.rand(frame.shape) < share / 2)
    rest = torch.where(wrong[..., None], torch.randint(BOOK, b.rest.shape), b.rest)
    return dataclasses.replace(b, codec=codec, rest=rest)


def utterances(s, held_out=False):
    """All records of codes of a run so far."""
    shards = sorted(s.path('codes').glob('*.pkl'))
    return [u for path in shards if (path.stem == 'heldout') == held_out for u in codes.load(path)]
