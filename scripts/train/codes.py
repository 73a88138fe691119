"""Four codes for each frame of 80 ms, by k-means on the teacher's features.

    group 0   the sound of speech: clusters in a space where the phonemes lie apart (LDA)
    group 1   pitch and loudness: whole pitch cycles of the frame x classes of energy and voicing
    group 2   what the envelope still lacks, by its cluster
    group 3   what it lacks then

Group 0 is what the talker must get right to be understood, so it is made to be predictable from
text, and all voices share it: it is taken from what the first voice says. Group 1 carries all of
the melody; a wrong code in the last two is hardly heard."""

import json
import pickle

import numpy as np
import scipy.linalg
import torch

import pause
import settings
from settings import BANDS, BOOK, DELAY, FRAME, RATE, SUBS

SPACE, STRESS = 16, (156, 157)  # phoneme ids of the teacher
PLANE = 20  # dimensions of the LDA
PARTS = 80  # principal components kept of an envelope patch
QUIET, LOUD = 64, 40  # classes of group 1: of frames without pitch, and of each count of cycles
LEAST = 7  # pitch cycles in a frame, of the lowest class
FIT = 12_000  # records that the books are made of


def sounds(record):
    """The phoneme at each subframe; a stress mark counts as what follows, a space as -1."""
    phone = record['phone'].astype(int)
    for i in range(len(phone) - 2, -1, -1):
        if phone[i] in STRESS:
            phone[i] = phone[i + 1]
    return np.where(phone == SPACE, -1, phone)


def context(record):
    """[subframes, 3 * (BANDS + 1)]: envelope and voicing of a subframe and of both neighbours."""
    x = np.concatenate([record['envelope'].astype(np.float32),
                        3 * record['voiced'].astype(np.float32)[:, None]], 1)
    x = np.concatenate([x[:1], x, x[-1:]])
    return np.concatenate([x[:-2], x[1:-1], x[2:]], 1)


def kmeans(x, k, rounds, generator):
    """[k, d] centres; one that owns next to nothing is put on a random point."""
    x = torch.as_tensor(x, dtype=torch.float32)
    centres = x[torch.randperm(len(x), generator=generator)[:k]].clone()
    if len(centres) < k:  # less data than clusters: a test
        centres = torch.cat([centres, centres[torch.arange(k - len(centres)) % len(centres)]])
    for turn in range(rounds):
        pause.wait()
        owner = torch.as_tensor(nearest(x, centres))
        count = torch.bincount(owner, minlength=k)
        total = torch.zeros_like(centres).index_add_(0, owner, x)
        centres = total / count.clamp(min=1)[:, None]
        poor = count < max(2, 0.02 * len(x) / k)
        if turn < rounds - 3 and poor.any():
            new = torch.randint(len(x), (int(poor.sum()),), generator=generator)
            centres[poor] = x[new]
    return centres.numpy()


def nearest(x, centres, rows=65536):
    x, c = torch.as_tensor(x, dtype=torch.float32), torch.as_tensor(centres)
    square = (c * c).sum(1)
    return torch.cat([(square - 2 * part @ c.T).argmin(1) for part in x.split(rows)]).numpy()


def lda(records):
    """The plane in which phonemes lie apart, white within a phoneme, and each one's place in it."""
    x = np.concatenate([context(r) for r in records])
    label = np.concatenate([sounds(r) for r in records])
    centre = x.mean(0)
    x -= centre
    within, between = np.eye(x.shape[1]) * 1e-2, np.zeros((x.shape[1],) * 2)
    kinds = [k for k in np.unique(label) if k >= 0 and (label == k).sum() > 50]
    total = sum((label == k).sum() for k in kinds)
    for k in kinds:
        own = x[label == k]
        mean = own.mean(0)
        within += (own - mean).T @ (own - mean) / total
        between += len(own) / total * np.outer(mean, mean)
    plane = scipy.linalg.eigh(between, within)[1][:, ::-1][:, :PLANE].astype(np.float32)
    places = np.zeros((256, PLANE), np.float32)
    for k in kinds:
        places[k] = (x[label == k] @ plane).mean(0)
    return dict(centre=centre.astype(np.float32), plane=plane, places=places)


def describe(record, books):
    """What the codes of a record are chosen by, a row for each frame: its path through the plane
    of the phonemes [4 * PLANE], its energies, voicing and cycles [9], its envelope [4 * BANDS]."""
    frames, label = len(record['turns']), sounds(record)
    path = (context(record.get('first', record)) - books['centre']) @ books['plane']
    # Half way to the mean of the phoneme: the code says which it is more than how it sounded here.
    path = np.where((label >= 0)[:, None], (path + books['places'][label]) / 2, path)
    envelope = record['envelope'].astype(np.float32)
    tone = np.concatenate([envelope.mean(1).reshape(frames, SUBS),
                           2.0 * record['voiced'].reshape(frames, SUBS),
                           record['turns'][:, None]], 1).astype(np.float32)
    return path.reshape(frames, -1), tone, envelope.reshape(frames, -1)


def pitch_class(tone, books):
    """Group 1: QUIET classes without pitch, then LOUD classes for each number of cycles."""
    turns = np.clip(tone[:, 8].astype(int) - LEAST, 0, (BOOK - QUIET) // LOUD - 1)
    pitched = (tone[:, 4:8] > 0).any(1)
    return np.where(pitched, QUIET + turns * LOUD + nearest(tone[:, :8], books['loud']),
                    nearest(tone[:, :8], books['quiet']))


def encode(path, tone, envelope, books, groups=4):
    """Codes [frames, groups], and what they leave of the envelope's principal components."""
    left = (envelope - books['middle']) @ books['parts']
    codes = [nearest(path, books['phonetic']), pitch_class(tone, books)]
    left = left - books['part0'][codes[0]] - books['part1'][codes[1]]
    for book in ('part2', 'part3')[:groups - 2]:
        codes.append(nearest(left, books[book]))
        left = left - books[book][codes[-1]]
    return np.stack(codes, 1), left


def means(left, code):
    """[BOOK, PARTS] means of the rows of each code, drawn to 0 where they are few."""
    total = np.zeros((BOOK, left.shape[1]), np.float32)
    np.add.at(total, code, left)
    return total / (np.bincount(code, minlength=BOOK)[:, None] + 2)


def fit(records, seed):
    """The books; prints what each group leaves of the envelope's variance."""
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    books = lda([r for r in records if r['voice'] == settings.VOICES[0]][:2500])
    path, tone, envelope = (np.concatenate(x) for x in zip(*(describe(r, books) for r in records)))
    some = rng.permutation(len(path))[:220_000]
    path, tone, envelope = path[some], tone[some], envelope[some]

    books['phonetic'] = kmeans(path, BOOK, 18, generator)
    pitched = (tone[:, 4:8] > 0).any(1)
    books['quiet'] = kmeans(tone[~pitched, :8], QUIET, 20, generator)
    books['loud'] = kmeans(tone[pitched, :8], LOUD, 20, generator)

    books['middle'] = envelope.mean(0)
    centred = envelope - books['middle']
    books['parts'] = scipy.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, :PARTS].copy()
    left = centred @ books['parts']
    whole, shares = (left ** 2).sum(), []
    for group, code in enumerate((nearest(path, books['phonetic']), pitch_class(tone, books))):
        books[f'part{group}'] = means(left, code)
        left = left - books[f'part{group}'][code]
        shares.append((left ** 2).sum() / whole)
    for group in (2, 3):
        books[f'part{group}'] = kmeans(left, BOOK, 15, generator)
        left = left - books[f'part{group}'][nearest(left, books[f'part{group}'])]
        shares.append((left ** 2).sum() / whole)
    print('codes: left of the envelope after each group', *(f'{x:.1%}' for x in shares))
    return {k: v.astype(np.float32) for k, v in books.items()}, shares


def truth(s, count=100):
    """Writes times.json: codes of held-out sentences and when their words are said, to measure the
    word times of a model by."""
    rows = []
    for row in load(s.path('codes') / 'heldout.pkl'):
        if row['voice'] == settings.VOICES[0] and len(rows) < count:
            rows.append(dict(text=row['text'], codes=row['codes'].tolist(),
                             words=np.round(row['words'] + DELAY / RATE, 3).tolist()))
    s.path('times.json').write_text(json.dumps(rows, separators=(',', ':')))


def load(path):
    return pickle.loads(path.read_bytes())


def features(path):
    """The records of a shard; one of a later voice knows that of the first, which is before it."""
    records = load(path)
    for record in records:
        if record['voice'] == settings.VOICES[0]:
            first = record
        else:
            assert first['text'] == record['text']
            record['first'] = first
    return records


def run(s):
    """Writes books.npz and codes/*.pkl, a file for each shard of features."""
    shards = sorted(s.path('features').glob('*.pkl'))
    if not s.path('books.npz').exists():
        records = [r for path in shards if path.stem != 'heldout'
                   for r in features(path)[:FIT // 8]]
        rng = np.random.default_rng(s.seed)
        books, shares = fit([records[i] for i in rng.permutation(len(records))[:FIT]], s.seed)
        assert not s.check or (shares[0] < 0.3 and shares[3] < 0.05), 'the codes say too little'
        np.savez(s.path('books.npz'), **books)
    books = dict(np.load(s.path('books.npz')))
    folder = s.path('codes')
    folder.mkdir(exist_ok=True)
    frames = 0
    for shard in shards:
        pause.wait()
        if (folder / shard.name).exists():
            continue
        rows = []
        for record in features(shard):
            codes, _ = encode(*describe(record, books), books)
            rows.append(dict({k: record[k] for k in ('text', 'voice', 'words', 'word', 'place')},
                             codes=codes.astype(np.int16)))
            frames += len(codes)
        part = (folder / shard.name).with_suffix('.partial')
        part.write_bytes(pickle.dumps(rows, 4))
        part.rename(folder / shard.name)
    truth(s)
    print(f'codes: {frames * FRAME / RATE / 3600:.2f} hours more')
