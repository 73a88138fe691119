#!/usr/bin/env python3
"""The demo voice from nothing: python3 recipe.py all --work DIR

Stages: texts teacher codes tokens talker decoder export. Each can be named alone, checks what it
made, and goes on from its last checkpoint where it was stopped."""

import argparse
import importlib

import settings

STAGES = ['texts', 'teacher', 'codes', 'tokens', 'talker', 'decoder', 'export']


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('stage', choices=STAGES + ['all'])
    parser.add_argument('--work', required=True, help='the folder of the run')
    parser.add_argument('--small', action='store_true', help='tiny data, a few steps: a test')
    parser.add_argument('--set', action='append', default=[], metavar='NAME=NUMBER',
                        help='another size than that of settings.py, as talker_steps=9000')
    args = parser.parse_args()
    s = (settings.small if args.small else settings.full)(args.work)
    for pair in args.set:
        name, value = pair.split('=')
        assert isinstance(getattr(s, name), (int, float)), name
        setattr(s, name, type(getattr(s, name))(value))
    s.work.mkdir(parents=True, exist_ok=True)
    for stage in STAGES if args.stage == 'all' else [args.stage]:
        importlib.import_module(stage).run(s)


if __name__ == '__main__':
    main()
