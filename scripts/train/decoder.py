"""Trains the codec's decoder on the teacher's waves; run() is the stage.

Spectra at four resolutions, mel bands, and the wave itself: the pulses keep step with the frames,
so that the wave is a function of the codes and a squared error can be learnt. The last steps have a
discriminator of spectrograms besides, which takes the dullness off that averages have."""

import functools
import random

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import codes
import prompts
from codec import Codec
from loop import Loop, adamw
from model import Talker
from settings import BOOK, DELAY, FRAME, GENERATION, GROUPS, RATE
from tokens import Tokens

LEARN = 1e-3
WINDOWS = (2048, 1024, 512, 192)
MELS = {1024: 80, 512: 48}
JUDGED = (1024, 256)  # windows of the discriminators
LEAD = 3 * FRAME  # of a clip: its codes have no past, so its sound is not counted
LOUD = 2.0  # the teacher is quiet


def spectrum(x, n):
    """[B, n/2 + 1, T] magnitudes."""
    z = torch.stft(x, n, n // 4, n, torch.hann_window(n), return_complex=True)
    return torch.view_as_real(z).square().sum(-1).add(1e-7).sqrt()


@functools.cache
def mel_bands(n, count):
    """[count, n/2 + 1] triangles of unit sum."""
    hertz = torch.arange(n // 2 + 1) * RATE / n
    top = 2595 * np.log10(1 + 11900 / 700)
    edges = 700 * (10 ** (torch.linspace(2595 * np.log10(1 + 20 / 700), top, count + 2) / 2595) - 1)
    low, mid, high = (e[:, None] for e in (edges[:-2], edges[1:-1], edges[2:]))
    bands = torch.minimum((hertz - low) / (mid - low), (high - hertz) / (high - mid)).clamp(min=0)
    return bands / bands.sum(1, keepdim=True).clamp(min=1e-6)


def losses(made, true):
    """Distances of waves [B, samples]: spectra, mel, and the wave's squared error, relative."""
    out = dict(spectra=0.0, mel=0.0)
    for n in WINDOWS:
        a, b = spectrum(made, n), spectrum(true, n)
        floor = 1e-3 * n ** 0.5 / 16
        out['spectra'] += (0.5 * (F.mse_loss(a, b, reduction='sum')
                                  / (b.square().sum() + 1e-4)).sqrt()
                           + ((a + floor).log() - (b + floor).log()).abs().mean())
        if n in MELS:
            a, b = (mel_bands(n, MELS[n]) @ x for x in (a, b))
            out['mel'] += ((a + 1e-3).log() - (b + 1e-3).log()).abs().mean()
    out['wave'] = F.mse_loss(made, true, reduction='sum') / (true.square().sum() + 1e-3)
    return out


class Judge(nn.Module):
    """Says of each place of a log spectrogram whether it is real: some convolutions."""

    def __init__(self, window, width=24):
        super().__init__()
        self.window = window
        sizes = [1, width, width, width, width]
        self.layers = nn.ModuleList(nn.Conv2d(a, b, (5, 3), (2, 1), (2, 1))
                                    for a, b in zip(sizes, sizes[1:]))
        self.last = nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, x):
        """Scores, and what each layer saw."""
        x, seen = spectrum(x, self.window).log()[:, None], []
        with torch.autocast('cpu', torch.bfloat16):
            for layer in self.layers:
                x = F.leaky_relu(layer(x), 0.1)
                seen.append(x.float())
            return self.last(x).float(), seen


class Clips:
    """Codes and the waves that belong to them, one frame late."""

    def __init__(self, s, held_out=False):
        self.s, self.rows, self.codes, self.waves = s, [], [], []
        for path in sorted(s.path('codes').glob('*.pkl')):
            if (path.stem == 'heldout') != held_out:
                continue
            for coded, record in zip(codes.load(path), codes.load(s.path('features') / path.name)):
                if 'wave' not in record:
                    continue
                assert (coded['text'], coded['voice']) == (record['text'], record['voice'])
                wave = np.concatenate([np.zeros(DELAY, np.int16), record['wave'][:-DELAY]])
                self.rows.append(coded)
                self.codes.append(torch.from_numpy(coded['codes'].astype(np.int64)))
                self.waves.append(torch.from_numpy(wave))
        print(f'decoder: {sum(map(len, self.waves)) / RATE / 3600:.2f} hours of sound')

    def wave(self, i, begin=0, frames=None):
        end = None if frames is None else (begin + frames) * FRAME
        return self.waves[i][begin * FRAME:end].float() * (LOUD / 32767)

    def batch(self, rng, guesser=None):
        """codes [clips, frames, GROUPS] and waves of random places. With a guesser a third of the
        batches has the residual codes that the model would have drawn."""
        n, chosen = self.s.clip_frames, []
        while len(chosen) < self.s.clips:
            i = rng.randrange(len(self.codes))
            if len(self.codes[i]) >= n:
                chosen.append((i, rng.randrange(len(self.codes[i]) - n + 1)))
        waves = torch.stack([self.wave(i, k, n) for i, k in chosen])
        if guesser and rng.random() < 1 / 3:
            codes = [guesser.codes(self.rows[i])[k:k + n] for i, k in chosen]
        else:
            codes = [misheard(self.codes[i][k:k + n], rng) for i, k in chosen]
        return torch.stack(codes), waves


class Guesser:
    """The trained talker, which draws residual codes from what it read of an utterance: the decoder
    learns to sound well with those, too."""

    def __init__(self, s):
        tokens = Tokens(s.work)
        self.maker, self.model = prompts.Prompts(s, tokens), Talker(tokens.size).eval()
        self.model.load_state_dict(torch.load(s.path('talker.pt'))['model'])

    @torch.no_grad()
    def codes(self, utterance):
        """[frames, GROUPS]: the true codes of the first two groups, and drawn ones."""
        b = self.maker.batch([utterance])
        hidden, _ = self.model.talker.model.run(self.model.vectors(b.text, b.codec, b.rest))
        codes = b.target[:-1].clone()
        guesses = self.model.guess_rest(hidden[b.row, b.at][:-1], codes)
        for group in range(2, GROUPS):
            likely, which = (guesses[group - 1] / GENERATION['subtalker_temperature']).topk(
                GENERATION['subtalker_top_k'])
            drawn = torch.multinomial(likely.softmax(-1), 1)
            codes[:, group] = which.gather(1, drawn)[:, 0]
        return codes


def misheard(code, rng):
    """In half of the clips some residual codes are wrong, as the predictor's will be."""
    if rng.random() < 0.5:
        return code
    code = code.clone()
    for group, share in ((GROUPS - 2, 0.1), (GROUPS - 1, 0.25)):
        wrong = torch.rand(len(code)) < share
        code[..., group] = torch.where(wrong, torch.randint(BOOK, wrong.shape), code[..., group])
    return code


@torch.no_grad()
def evaluate(model, clips, count):
    sums = {}
    for i in range(0, len(clips.codes), max(1, len(clips.codes) // count)):
        for k, v in losses(model(clips.codes[i][None]), clips.wave(i)[None]).items():
            sums[k] = sums.get(k, 0) + float(v) / count
    return sums


def run(s):
    """Writes decoder.pt, and the curve into decoder.log."""
    torch.set_num_threads(1)
    torch.manual_seed(s.seed)
    train, held = Clips(s), Clips(s, held_out=True)
    model, judges = Codec(), nn.ModuleList(Judge(n) for n in JUDGED)
    model.begin_from(dict(np.load(s.path('books.npz'))))
    # A third less time a step; compiling takes a minute, so a test goes without.
    learner = torch.compile(model) if s.check else model
    opt, against = (adamw(m.parameters(), betas=(0.8, 0.98), weight_decay=0.01)
                    for m in (model, judges))
    loop = Loop(s, 'decoder', s.decoder_steps, LEARN, dict(model=model, judges=judges),
                dict(opt=opt, against=against), warmup=50)
    torch.manual_seed(s.seed + loop.step)
    rng = random.Random(s.seed + loop.step)
    guesser = Guesser(s) if s.path('talker.pt').exists() else None

    def test():
        model.eval()
        result = evaluate(model, held, 24 if s.check else 2)
        model.train()
        loop.tell(step=loop.step, trained=loop.trained,
                  **{f'held_{k}': v for k, v in result.items()})
        return result

    before = test()
    while loop.going():
        code, true = train.batch(rng, guesser)
        made = learner(code)[:, LEAD:]
        true = true[:, LEAD:]
        out = losses(made, true)
        loss = out['spectra'] + 2 * out['mel'] + 2 * out['wave']
        if loop.progress() > 1 - s.adversarial_steps / s.decoder_steps:
            # Least squares: the judges draw real sound to 1 and made sound to 0. They cost as much
            # as all else, so they see every other clip.
            some, wanted = made[::2], []
            doubt, fooled, like = 0.0, 0.0, 0.0
            for judge in judges:
                score, seen = judge(true[::2])
                doubt = doubt + (score - 1).square().mean() \
                    + judge(some.detach())[0].square().mean()
                wanted.append([x.detach() for x in seen])
            against.zero_grad(set_to_none=True)
            doubt.backward()
            against.step()
            for judge, real in zip(judges, wanted):
                score, seen = judge(some)
                fooled = fooled + (score - 1).square().mean()
                like = like + sum(F.l1_loss(a, b) for a, b in zip(seen, real)) / len(seen)
            loss = loss + 0.5 * fooled + 2 * like
            out.update(doubt=doubt, fooled=fooled, like=like)
        opt.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        opt.step()
        loop.did({k: v.detach() for k, v in out.items()}, every=50)
        if loop.step % 500 == 0:
            test()
    after = test()
    loop.save()
    assert after['mel'] < before['mel'] or loop.began, 'nothing was learnt'
    assert not s.check or after['mel'] < 1.3, 'the decoder has not learnt to sound'
