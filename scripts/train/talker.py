"""Trains the talker and the code predictor on the codes; run() is the stage."""

import torch

import prompts
from loop import Loop, adamw
from model import Talker
from tokens import Tokens

RATE = 2e-3
WRONG = 0.15  # of the codes of the past


def optimiser(model):
    """AdamW that leaves tables and norms without decay."""
    decayed, free = [], []
    for name, w in model.named_parameters():
        (decayed if w.dim() > 1 and 'embedding' not in name else free).append(w)
    return adamw([dict(params=decayed, weight_decay=0.05), dict(params=free, weight_decay=0.0)],
                 betas=(0.9, 0.98))


@torch.no_grad()
def evaluate(model, batches):
    """Means of the losses over held-out batches."""
    sums, count = {}, 0
    for b in batches:
        with torch.autocast('cpu', torch.bfloat16):
            out = model(b)
        count += len(b.row)
        for k, v in out.items():
            sums[k] = sums.get(k, 0) + float(v) * len(b.row)
    return {k: v / count for k, v in sums.items()}


def run(s, rate=RATE):
    """Writes talker.pt, and the curve into talker.log."""
    torch.set_num_threads(1)
    torch.manual_seed(s.seed)
    tokens = Tokens(s.work)
    maker = prompts.Prompts(s, tokens)
    held = prompts.utterances(s, held_out=True)
    tests = {}
    for name, voice, streams in (('heart', 'heart', 0), ('oak', 'oak', 0), ('stream', 'heart', 1)):
        some = [u for u in held if u['voice'] == voice][:200 if s.check else 8]
        tests[name] = list(maker.epoch(some, train=False, streams=streams))
    model = Talker(tokens.size)
    opt = optimiser(model)
    # Half of the time of a step; compiling takes minutes, so a test goes without.
    learner = torch.compile(model, dynamic=True) if s.check else model
    loop = Loop(s, 'talker', s.talker_steps, rate, dict(model=model), dict(opt=opt), warmup=150)
    torch.manual_seed(s.seed + loop.step)
    maker.random.seed(s.seed + loop.step)

    def test():
        model.eval()
        result = {name: evaluate(model, batches) for name, batches in tests.items()}
        model.train()
        loop.tell(step=loop.step, trained=loop.trained, **{
            f'held_{name}_{k}': v for name, one in result.items() for k, v in one.items()})
        return result

    before = test()
    while loop.progress() < 1:
        for b in maker.epoch(prompts.utterances(s), streams=0.15):
            if not loop.going():
                break
            with torch.autocast('cpu', torch.bfloat16):
                out = learner(prompts.corrupt(b, WRONG), part=0.5)
                # The guide leads at first; later the model may look where it likes.
                guide = 0.5 if loop.step < 0.3 * s.talker_steps and loop.began == 0 else 0.1
                loss = (out['ce0'] + 0.4 * out['ce1'] + 0.15 * out['ce2'] + 0.1 * out['ce3']
                        + guide * out['guide'])
            opt.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            opt.step()
            loop.did({k: v.detach() for k, v in out.items()})
            if loop.step % 1000 == 0:
                test()
    after = test()
    loop.save()
    assert after['heart']['ce0'] < before['heart']['ce0'] or loop.began, 'nothing was learnt'
    assert not s.check or after['heart']['ce0'] < 1.3, 'the talker has not learnt to speak'
