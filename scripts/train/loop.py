"""What both trainings share: the schedule, checkpoints, the log."""

import inspect
import json
import math
import time

import torch

import pause


def adamw(weights, **how):
    """AdamW, in one pass over all weights where this torch can."""
    if 'fused' in inspect.signature(torch.optim.AdamW).parameters:
        how['fused'] = True
    return torch.optim.AdamW(weights, **how)


class Loop:
    """Counts steps. A checkpoint holds everything that a later start needs to go on; one that was
    done when it was left begins a new cosine (a warm restart) if it is given more steps."""

    def __init__(self, s, name, steps, rate, modules, optimisers, warmup=100):
        self.s, self.name, self.steps, self.warmup = s, name, steps, warmup
        self.rate = rate * s.rate
        self.modules, self.optimisers = modules, optimisers
        self.path, self.log = s.path(name + '.pt'), s.path(name + '.log')
        self.step = self.began = 0
        self.until, self.trained = steps, 0.0
        self.sums, self.count = {}, 0
        if self.path.exists():
            saved = torch.load(self.path)
            for key, module in modules.items():
                module.load_state_dict(saved[key])
            for key, optimiser in optimisers.items():
                if key in saved:
                    optimiser.load_state_dict(saved[key])
            self.step, self.trained = saved['step'], saved['trained']
            self.began, self.until = saved['began'], saved['until']
            if self.until != steps or s.minutes:
                self.began, self.until = self.step, steps
        self.started = self.saved = self.told = time.time()

    def progress(self):
        """0 to 1, how far the schedule is: by steps, or by the clock where there are minutes."""
        done = (self.step - self.began) / max(1, self.until - self.began)
        if self.s.minutes:
            done = max(done, (time.time() - self.started) / 60 / self.s.minutes)
        return min(1.0, done)

    def going(self):
        """Sets the rate of the next step; false when the schedule is over."""
        waited = pause.wait()
        self.started += waited  # a pause is no time of training
        self.told += waited
        if self.progress() >= 1:
            return False
        warm = min(1, (self.step - self.began + 1) / self.warmup)
        rate = self.rate * warm * (0.02 + 0.98 * (1 + math.cos(math.pi * self.progress())) / 2)
        for optimiser in self.optimisers.values():
            for group in optimiser.param_groups:
                group['lr'] = rate
        return True

    def did(self, losses, every=100):
        """Counts a step with its losses {name: tensor}, and saves when it is time."""
        self.step += 1
        self.count += 1
        for k, v in losses.items():
            self.sums[k] = self.sums.get(k, 0) + float(v)
        if self.step % every == 0:
            pace = (time.time() - self.told) / self.count
            self.tell(step=self.step, progress=self.progress(), pace=pace,
                      **{k: v / self.count for k, v in self.sums.items()})
            self.sums, self.count, self.told = {}, 0, time.time()
        if time.time() - self.saved > self.s.save_every:
            self.save()

    def tell(self, **what):
        line = json.dumps({k: round(v, 4) if isinstance(v, float) else v for k, v in what.items()})
        print(self.name, line, flush=True)
        with open(self.log, 'a') as log:
            log.write(line + '\n')

    def save(self):
        now = time.time()
        self.trained += now - self.saved
        self.saved = now
        part = self.path.with_suffix('.partial')
        state = {k: v.state_dict() for k, v in {**self.modules, **self.optimisers}.items()}
        torch.save(dict(state, step=self.step, trained=self.trained, began=self.began,
                        until=self.until), part)
        part.rename(self.path)
