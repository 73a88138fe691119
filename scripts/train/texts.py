"""Sentences to learn from: examples and definitions of WordNet 3.0, and sentences from templates.

The held-out sentences are a file of the tree, fixed before any training. None of them, in any
spelling of its letters, gets into the training text."""

import collections
import random
import re

import settings

PLAIN = re.compile(r"[A-Za-z][A-Za-z' ,-]*[A-Za-z][?!]?")
UNSPOKEN = re.compile(r"\b[A-Z]{2,}\b|''|' | '|[a-z][A-Z]|--| -|- |\b[b-hj-zB-HJ-Z]\b")

NAMES = ('Anna Ben Clara David Emma Frank Grace Henry Jack Kate Laura Mary Nina Oliver Paul Rose '
         'Sam Tom Lucy George Alice Peter Sarah John James Robert Michael Argent').split()
DAYS = 'Monday Tuesday Wednesday Thursday Friday Saturday Sunday'.split()
MONTHS = ('January February March April May June July August September October November '
          'December').split()
COUNTS = ('one two three four five six seven eight nine ten eleven twelve thirteen fourteen '
          'fifteen sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy '
          'eighty ninety').split()
PLACES = ['London', 'Paris', 'Berlin', 'the station', 'the market', 'the river', 'the school',
          'the city', 'the office', 'the park', 'the mountains', 'the sea', 'the library',
          'the kitchen', 'America', 'the village', 'the hotel', 'the harbour']
THINGS = ['a cup of tea', 'a glass of water', 'the red book', 'a new computer', 'the old house',
          'a small dog', 'the blue car', 'my brother', 'your letter', 'the answer', 'a good idea',
          'the morning train', 'a warm coat', 'the green door', 'some bread and butter',
          'the weather report', 'an open window', 'a quiet room', 'the last word', 'a long story',
          'the voice', 'a small model', 'the machine', 'this text', 'the sound', 'our garden',
          'the music', 'a short message', 'the key', 'a black cat', 'the second line']
VERBS = ['like', 'need', 'want', 'see', 'remember', 'found', 'bought', 'lost', 'heard', 'wanted',
         'love', 'know about', 'cannot find', 'will take', 'would like', 'wrote about']
MOODS = ('good nice cold warm late early easy hard quiet ready happy sorry tired busy clear simple '
         'open small loud fast slow beautiful wonderful important possible interesting').split()

# `{name}` and so on are drawn anew at each place. Numbers in digits are read by the teacher.
TEMPLATES = """
Hello, my name is {name}.|Hello, this is {name} speaking.|Hello {name}, how are you today?
Good morning, {name}.|Good evening, {name}, and welcome.|Hello world.|Hello, world!
Thank you, {name}.|Nice to meet you, {name}.|See you on {day}.|See you at {place} at {hour}.
I {verb} {thing}.|We {verb} {thing} and {thing}.|They {verb} {thing} in {place}.
It is {hour} in the morning.|The train to {place} leaves at {hour}.|It was in {year}.
Today is {day}, the {nth} of {month}.|On {day} we go to {place}.|In {month} it is {mood} here.
That is {mood}.|It was {mood} and {mood}.|This is very {mood}, {name}.|Is it {mood} in {place}?
Where is {thing}?|Can you see {thing}?|Did {name} find {thing}?|Please bring me {thing}.
{name} and {name} are going to {place}.|{name} has {count} brothers and {count} sisters.
The number is {count}, {count}, {count}, {count}.|There are {n} people in {place}.
Please say {thing} again.|I am speaking to you from {place}.|What time is it, {name}?
This voice was made by a very small model.|I can read any text you give me.
You can type a sentence and hear it.|The weather will be {mood} on {day}.
My birthday is in {month}.|What do you think of {thing}?|I think {thing} is {mood}.
{name} said that {thing} was {mood}.|Turn left at {place} and walk to {place}.
Do not be {mood}, {name}.|Open the door and close {thing}.|Yes, {thing} is {mood}.
No, {thing} is not {mood}.|Why is {thing} so {mood}?|She gave {thing} to {name}.
He went to {place} with {name}.|We live in {place}.|The {mood} man walked to {place}.
The {mood} woman lives near {place}.|A {mood} child sat by {thing}.|Chapter {n}, page {n}.
I would be {mood} to help you.|{n} and {n} make {n}.|It costs {n} dollars.|Add {n} to {n}.
{name} was born in {year}.|From {year} to {year} they lived in {place}.|Room {n} is {mood}.
The {nth} of {month} is a {day}.|It is {n} miles from {place} to {place}.
{name} told {name} that {thing} was in {place}, and that it would be {mood} until {day}.
If {thing} is too {mood}, we can meet {name} in {place} on {day} instead of {day}.
When {name} came to {place}, {thing} was still there, but {thing} was gone.
""".replace('\n', '|').strip('|').split('|')


def definitions(folder):
    """The examples and the definitions of WordNet, as two lists of raw strings."""
    examples, glosses = [], []
    for part in ('noun', 'verb', 'adj', 'adv'):
        with open(folder / f'data.{part}', encoding='latin-1') as lines:
            for line in lines:
                if line.startswith('  ') or '|' not in line:
                    continue  # the licence at the top
                gloss = line.split('|', 1)[1]
                examples += re.findall(r'"([^"]+)"', gloss)
                for piece in re.sub(r'"[^"]*"', '', gloss).split(';'):
                    glosses.append(re.sub(r'\([^)]*\)', ' ', piece))
    return examples, glosses


def sentence(raw):
    """A raw string as a sentence with a capital and a stop, or None where it is not a plain one."""
    text = re.sub(r'\s+', ' ', raw.replace('`', "'")).strip(' -:,.')
    if not PLAIN.fullmatch(text) or UNSPOKEN.search(text):
        return None
    if not 3 <= len(text.split()) <= 20 or len(text) > 120:
        return None
    text = text[0].upper() + text[1:]
    return text if text[-1] in '?!' else text + '.'


def words(text):
    return re.findall(r"[a-z']+", text.lower())


def key(text):
    """What two spellings of one sentence share."""
    return ' '.join(re.findall(r"[a-z0-9']+", text.lower()))


def from_template(rng):
    n = rng.choice([rng.randrange(2, 100), rng.randrange(100, 1000), rng.randrange(2, 20)])
    made = {
        'name': lambda: rng.choice(NAMES), 'day': lambda: rng.choice(DAYS),
        'month': lambda: rng.choice(MONTHS), 'count': lambda: rng.choice(COUNTS),
        'place': lambda: rng.choice(PLACES), 'thing': lambda: rng.choice(THINGS),
        'verb': lambda: rng.choice(VERBS), 'mood': lambda: rng.choice(MOODS),
        'n': lambda: str(rng.randrange(2, n + 1)), 'year': lambda: str(rng.randrange(1800, 2030)),
        'nth': lambda: nth(rng.randrange(1, 32)),
        'hour': lambda: f"{rng.randrange(1, 13)} o'clock",
    }
    text = re.sub(r'\{(\w+)\}', lambda m: made[m.group(1)](), rng.choice(TEMPLATES))
    return text[0].upper() + text[1:]


def nth(n):
    return str(n) + ('th' if n in (11, 12, 13) else {1: 'st', 2: 'nd', 3: 'rd'}.get(n % 10, 'th'))


def held_out():
    """The held-out sentences as (frames the teacher takes, text); the first 40 are the test."""
    rows = [line.split('\t') for line in settings.HELD_OUT.read_text().splitlines()]
    return [(int(frames), text) for frames, text in rows]


def run(s):
    """Writes texts.txt: one sentence a line, in the order in which they are spoken."""
    rng = random.Random(s.seed)
    seen = {key(text) for _, text in held_out()}
    assert len(seen) >= 460, 'the held-out set is not whole'

    def fresh(texts):
        kept = []
        for text in texts:
            if text and key(text) not in seen:
                seen.add(key(text))
                kept.append(text)
        return kept

    examples, glosses = (fresh(map(sentence, raw)) for raw in definitions(settings.wordnet()))
    count = collections.Counter(w for text in examples + glosses for w in words(text))

    def common(texts, times):
        return [t for t in texts if all(count[w] >= times for w in words(t))]

    # A word seen once or twice teaches nothing but itself; definitions have more of those.
    texts = common(examples, 3) + common(glosses, 5)
    texts += fresh(from_template(rng) for _ in range(12_000))
    rng.shuffle(texts)
    texts = texts[:s.sentences]
    s.path('texts.txt').write_text('\n'.join(texts) + '\n')
    print(f'texts: {len(texts)} sentences, {sum(map(len, texts)) / len(texts):.1f} characters each')
