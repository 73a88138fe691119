"""What all stages agree on: the shape of the codes, the sizes of the models, where files lie.

A run lives in one folder. Each stage reads what the stages before it left there, so that any of
them can be repeated alone."""

import dataclasses
import os
import pathlib

RATE = 24000  # samples a second
FRAME = 1920  # samples of a codec frame: 80 ms, one step of the talker
SUBS = 4  # features of the teacher in a frame, 20 ms each
BANDS = 64  # mel bands of a feature
BOOK = 1024  # codes of a group
GROUPS = 4
DELAY = FRAME  # the wave lags its codes by a frame: what the causal decoder may look ahead

VOICES = ('heart', 'oak')

# A book of 1024 sounds has no room for a penalty on what was said before. A long text is spoken in
# parts of part_tokens, each prompted with the one before it: the talker knows two sentences.
GENERATION = dict(
    do_sample=True, repetition_penalty=1.0, temperature=0.6, top_p=1.0, top_k=20,
    subtalker_dosample=True, subtalker_temperature=0.4, subtalker_top_p=1.0, subtalker_top_k=10,
    max_new_tokens=1024, part_tokens=32)

HELD_OUT = pathlib.Path(__file__).with_name('heldout.tsv')


@dataclasses.dataclass
class Settings:
    """The size of a run. The defaults are the demo voice; `small` is what a test can wait for."""
    work: pathlib.Path
    sentences: int = 100_000  # at most; half of them are spoken by the second voice too
    waves: int = 4_000  # sentences of each voice whose sound is kept for the decoder
    merges: int = 500
    talker_steps: int = 17_000
    decoder_steps: int = 30_000
    adversarial_steps: int = 4_000  # of the decoder's steps, the last ones
    positions: int = 2_400  # of a batch of the talker
    clips: int = 4  # of a batch of the decoder
    clip_frames: int = 14
    save_every: int = 200  # seconds
    minutes: float = 0  # where it is set: how long the schedule of this start takes at most
    rate: float = 1.0  # times the learning rates; a later sitting wants less than the first
    check: bool = True  # a stage that misses its figure fails
    seed: int = 7

    def path(self, name):
        return self.work / name


def full(work):
    return Settings(work=pathlib.Path(work))


def small(work):
    """Minutes on one core: it learns something, exports and loads. Nobody understands it."""
    return Settings(work=pathlib.Path(work), sentences=60, waves=40, merges=60, talker_steps=40,
                    decoder_steps=24, adversarial_steps=4, positions=600, clips=2, clip_frames=8,
                    check=False)


def wordnet():
    """The folder of WordNet's data files (Debian: wordnet-base)."""
    return pathlib.Path(os.environ.get('WORDNET', '/usr/share/wordnet'))
