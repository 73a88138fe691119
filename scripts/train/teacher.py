"""Sentences spoken by the teacher, hibari (Apache-2.0, distilled from Kokoro-82M), as features.

The network of hibari gives, for each frame of 12.5 ms, the spectrum of the harmonics, of the noise
and of a free-phase rest, and the pitch. From these come the features that the codes are made of,
and a wave whose pulses keep step with the codec's frames."""

import multiprocessing
import os
import pickle
import sys

import numpy as np
import onnx
import onnxruntime
from hibari import Hibari, dsp
from hibari.g2p import normalize

import pause
import settings
import texts
from settings import BANDS, FRAME, SUBS

HOP = 300  # samples of a frame of the teacher
BINS = 601
SHARD = 500  # sentences of a file
LONGEST = 120  # codec frames of a sentence
PITCHED = 40  # Hz; less is unvoiced

# A voice is the teacher with its pitch times `pitch` and its spectra stretched by `stretch`: a
# larger head has lower formants. Fewer cycles a second would be louder; `gain` takes that back.
SHAPES = {
    'heart': dict(pitch=1.0, stretch=1.0, gain=0.0),
    'oak': dict(pitch=0.6, stretch=0.87, gain=0.5 * np.log(0.6)),
}


def mel_bands(low=40, high=11500):
    """[BANDS, BINS] triangles of unit sum on the mel axis."""
    hertz = np.arange(BINS) * settings.RATE / (2 * (BINS - 1))
    edges = np.linspace(*(2595 * np.log10(1 + np.array([low, high]) / 700)), BANDS + 2)
    edges = 700 * (10 ** (edges / 2595) - 1)
    bands = np.zeros((BANDS, BINS), np.float32)
    for row, (a, b, c) in zip(bands, zip(edges, edges[1:], edges[2:])):
        row[:] = np.maximum(0, np.minimum((hertz - a) / (b - a), (c - hertz) / (c - b)))
        if row.sum() < 1e-3:  # a band narrower than a bin
            row[np.argmin(abs(hertz - b))] = 1
        row /= row.sum()
    return bands


def stretched(spectrum, by):
    """[BINS, frames] with what was at f at by * f. Phases have no values between bins: nearest."""
    at = np.minimum(np.round(np.arange(BINS) / by).astype(int), BINS - 1)
    return spectrum[at]


def cycles(pitch, begin, frames):
    """Whole pitch cycles in each codec frame, and whether it has voiced sound at all.

    pitch [n] is in Hz at the teacher's frames, and codec frame 0 begins at teacher frame `begin`.
    Whole cycles make the wave a function of the codes: every frame begins at the same phase."""
    step = FRAME / HOP
    at = begin + step * (np.arange(frames)[:, None] + (np.arange(8) + 0.5) / 8)
    at = np.clip(at, 0, len(pitch) - 1)
    pitched = pitch > PITCHED
    voiced = pitched[at.astype(int)].any(1)
    if not pitched.any():
        return np.full(frames, 15), voiced
    smooth = np.interp(at, np.flatnonzero(pitched), np.log(pitch[pitched]))
    turns = np.exp(smooth).mean(1) * FRAME / settings.RATE
    return np.clip(np.round(turns), 7, 31).astype(int), voiced


def phase_of(turns, voiced, begin, samples):
    """Phase in turns and frequency in Hz at each sample, whole turns in each codec frame.

    Inside a frame the phase is a cubic whose slope at a border is the mean of both sides where both
    are voiced, so that the pitch glides."""
    frames = len(turns)
    s = np.arange(FRAME) / FRAME
    rise, left, right = 3 * s**2 - 2 * s**3, s**3 - 2 * s**2 + s, s**3 - s**2
    d_rise, d_left, d_right = 6 * s - 6 * s**2, 3 * s**2 - 4 * s + 1, 3 * s**2 - 2 * s
    phase = np.zeros(samples + frames * FRAME)
    hertz = np.full(samples + frames * FRAME, 200.0)
    for k in range(frames):
        own = before = after = turns[k]
        if k > 0 and voiced[k] and voiced[k - 1]:
            before = (turns[k - 1] + own) / 2
        if k + 1 < frames and voiced[k] and voiced[k + 1]:
            after = (own + turns[k + 1]) / 2
        span = slice(begin * HOP + k * FRAME, begin * HOP + (k + 1) * FRAME)
        phase[span] = own * rise + before * left + after * right
        slope = own * d_rise + before * d_left + after * d_right
        hertz[span] = slope * settings.RATE / FRAME
    return phase[:samples] % 1.0, np.maximum(hertz[:samples], 50)


def pulse_train(phase, hertz, pitch, high=11000.0):
    """Every harmonic below `high` Hz at unit amplitude; silence where the pitch is none."""
    voiced = np.interp((np.arange(len(phase)) + 0.5) / HOP - 0.5, np.arange(len(pitch)),
                       pitch) > PITCHED
    order = np.floor(high / hertz) + 0.5
    half = np.sin(np.pi * phase)
    near = np.abs(half) < 1e-3  # the quotient's limit
    pulses = np.where(near, order, np.sin(2 * np.pi * order * phase)
                      / np.where(near, 1, 2 * half)) - 0.5
    return np.where(voiced, pulses, 0).astype(np.float32)


def polar(size, angle):
    z = np.empty(size.shape, np.complex64)
    z.real, z.imag = size * np.cos(angle), size * np.sin(angle)
    return z


class Teacher:
    def __init__(self, folder):
        """folder: where the network with its durations as one more output is kept."""
        path = folder / 'teacher.onnx'
        if not path.exists():
            network = onnx.load(os.path.join(os.path.dirname(sys.modules['hibari'].__file__),
                                             'assets', 'hibari.onnx'))
            network.graph.output.append(onnx.helper.make_tensor_value_info(
                '/Cast_32_output_0', onnx.TensorProto.INT64, None))
            onnx.save(network, path)
        onnxruntime.set_default_logger_severity(3)
        self.hibari = Hibari(model=str(path))
        # One thread: there is a process for each core, and threads that wait would spin.
        alone = onnxruntime.SessionOptions()
        alone.intra_op_num_threads = 1
        self.hibari.sess = onnxruntime.InferenceSession(str(path), alone,
                                                        ['CPUExecutionProvider'])
        self.bands = mel_bands()

    def phonemes(self, text):
        """Phoneme ids with a pad at both ends, and the 0-based word that each belongs to; None
        where the words of the text and those that are read do not pair up.

        A word ends where the text has white space; a number in digits is one word however many are
        read. A space belongs to no word (-1), nor do punctuation and the pads."""
        read = normalize(text)
        if len(read.split()) != len(text.split()):
            return None
        g2p, vocab = self.hibari.g2p, self.hibari.vocab
        ids, owner, word = [0], [-1], 0
        for token in g2p.phonemize_tokens(g2p.tokenize(read)):
            for c in token.phonemes or '':
                if c in vocab:
                    ids.append(vocab[c])
                    owner.append(word if vocab[c] > vocab[' '] else -1)
            if token.whitespace:
                word += 1
                ids.append(vocab[' '])
                owner.append(-1)
        if word + 1 != len(text.split()) or len(ids) > 400:
            return None
        return ids + [0], owner + [-1]

    def speak(self, text, voices, wave=False, seed=0):
        """One record of features for each of the voices, or None for a text that is left out.

        words [n, 2] has the seconds at which each word of the text begins and ends, word and place
        the word that each codec frame is in and the share of its phonemes that have gone by."""
        read = self.phonemes(text)
        if not read:
            return None
        ids, owner = read
        out = self.hibari.sess.run(None, {'ids': np.array([ids], np.int64),
                                          'speed': np.ones(1, np.float32)})
        # The durations are in units of two frames.
        spectra, spans = [o[0] for o in out[:5]], 2 * out[6].reshape(-1)
        pitch, n = out[5][0], spectra[0].shape[1]
        assert spans.sum() == n, f'{text}: {spans.sum()} frames of durations, {n} of sound'
        begin, end = max(0, int(spans[0]) - 6), n - max(0, int(spans[-1]) - 14)
        features = [self.features(spectra, pitch, SHAPES[v], begin, end) for v in voices]
        frames = self.trimmed(features[0][0])
        if frames > LONGEST:
            return None

        index = np.repeat(np.arange(len(ids)), spans)  # the phoneme at each of the teacher's frames
        at = begin + (np.arange(frames * SUBS) + 0.5) * FRAME / SUBS / HOP
        phone = np.array(ids, np.uint8)[index[np.clip((at + 0.5).astype(int), 0, n - 1)]]
        of_word = [np.flatnonzero(np.array(owner) == w) for w in range(max(owner) + 1)]
        if any(len(p) == 0 for p in of_word):
            return None  # a word without a sound
        edge = (np.concatenate([[0], np.cumsum(spans)]) - begin) * HOP / settings.RATE
        times = np.array([(edge[p[0]], edge[p[-1] + 1]) for p in of_word], np.float32)
        middle = index[np.clip(at[SUBS // 2::SUBS].astype(int), 0, n - 1)]
        # The space in front of a word is on the way to it.
        word = np.clip(np.searchsorted([p[0] - 1 for p in of_word], middle, 'right') - 1, 0, None)
        place = [np.clip((m - p[0]) / len(p), 0, 1) for m, p in
                 zip(middle, (of_word[w] for w in word))]

        records = []
        for voice, (envelope, voiced) in zip(voices, features):
            shape = SHAPES[voice]
            turns, any_voiced = cycles(pitch * shape['pitch'], begin, frames)
            record = dict(
                text=text, voice=voice, words=times, word=word.astype(np.uint8),
                place=np.array(place, np.float16), phone=phone,
                envelope=envelope[:frames * SUBS], voiced=voiced[:frames * SUBS],
                turns=turns.astype(np.uint8))
            if wave:
                record['wave'] = self.wave(spectra, pitch, shape, turns, any_voiced, begin, end,
                                           frames, seed)
            records.append(record)
        return records

    def features(self, spectra, pitch, shape, begin, end):
        """The envelope without its pitch [subframes, BANDS], f16 logarithms, and voicing 0 or 1."""
        harmonics, _, noise, rest, _ = (np.minimum(x, 7) for x in spectra)
        voiced = (pitch > PITCHED).astype(np.float32)
        power = (np.exp(2 * (harmonics + shape['gain'])) * voiced + 2 * np.exp(2 * noise)
                 + np.exp(2 * rest))
        if shape['stretch'] != 1:
            power = stretched(power, shape['stretch'])
        mel = np.log(self.bands @ power + 1e-7).T
        last = len(mel) - 1
        count = int(np.ceil((end - begin) * HOP / FRAME)) * SUBS
        at = begin + (np.arange(count) * FRAME / SUBS + FRAME / SUBS / 2) / HOP
        low = np.clip(at.astype(int), 0, last - 1)
        part = np.clip(at - low, 0, 1)[:, None].astype(np.float32)
        envelope = mel[low] * (1 - part) + mel[low + 1] * part
        envelope[at >= end] = mel[min(end, last + 1) - 1]
        return (envelope.astype(np.float16),
                voiced[np.clip(np.round(at).astype(int), 0, last)].astype(np.uint8))

    @staticmethod
    def trimmed(envelope):
        """Codec frames up to 160 ms after the last sound."""
        level = envelope.astype(np.float32).mean(1)
        last = np.flatnonzero(level > level.max() - 9)[-1]
        return min(len(level) // SUBS, int(np.ceil((last + 1 + 8) / SUBS)))

    @staticmethod
    def wave(spectra, pitch, shape, turns, voiced, begin, end, frames, seed):
        """The sound, int16 [frames * FRAME], with pulses that keep step with the codec frames."""
        n = len(pitch)
        if shape['stretch'] != 1:
            spectra = [stretched(x, shape['stretch']) for x in spectra]
        harmonics, theta, noise, rest, phi = spectra
        phase, hertz = phase_of(turns, voiced, begin, n * HOP)
        pulses = dsp.stft(pulse_train(phase, hertz, pitch), n)
        random = np.random.default_rng(seed)
        hiss = random.standard_normal((BINS, 2 * n), dtype=np.float32).view(np.complex64)
        spectrum = (pulses * polar(dsp.ex(harmonics + shape['gain']), np.pi * np.tanh(theta))
                    + hiss * dsp.ex(noise) + polar(dsp.ex(rest), phi))
        sound = dsp.ola(spectrum)[begin * HOP:end * HOP][:frames * FRAME]
        wave = np.zeros(frames * FRAME, np.float32)
        wave[:len(sound)] = sound
        return (np.clip(wave, -1, 1) * 32767).astype(np.int16)


def work_on(job):
    """One shard, written whole or not at all. Every other sentence is spoken by all voices."""
    folder, path, first, lines, waves = job
    teacher, records = Teacher(folder), []
    for k, text in enumerate(lines, first):
        pause.wait()
        voices = settings.VOICES if waves == 'all' or k % 2 == 0 else settings.VOICES[:1]
        records += teacher.speak(text, voices, wave=waves == 'all' or k < waves, seed=k) or []
    part = path.with_suffix('.partial')
    part.write_bytes(pickle.dumps(records, 4))
    part.rename(path)
    return sum(len(r['turns']) for r in records) * FRAME / settings.RATE / 3600


def jobs(s):
    """The shards that are still to be made, the held-out one first."""
    folder = s.path('features')
    folder.mkdir(exist_ok=True)
    todo = [(s.work, folder / 'heldout.pkl', 0, [text for _, text in texts.held_out()], 'all')]
    lines = s.path('texts.txt').read_text().splitlines()
    for first in range(0, len(lines), SHARD):
        todo.append((s.work, folder / f'{first:06d}.pkl', first, lines[first:first + SHARD],
                     s.waves))
    if not s.check:
        todo[0][3][60:] = []
    return [job for job in todo if not job[1].exists()]


def run(s):
    """Writes features/*.pkl; shards that are there are kept."""
    todo = jobs(s)
    Teacher(s.work)  # makes the network's file once
    hours = 0.0
    with multiprocessing.Pool(int(os.environ.get('TRAIN_JOBS', os.cpu_count()))) as pool:
        for k, made in enumerate(pool.imap(work_on, todo), 1):
            hours += made
            print(f'teacher: {k} of {len(todo)} shards, {hours:.2f} hours', flush=True)
