"""Writes spec/fixtures/golden/tensors.json: what torch computes of a few small tensors, beside the
Lua expression that is to give the same (spec/tensor/golden_spec.lua).

    python scripts/golden/tensors.py spec/fixtures/golden/tensors.json      # needs torch 2
"""
import json
import sys

import torch

nan, inf = float('nan'), float('inf')
torch.manual_seed(1)


def numbers(*shape):
    """Multiples of 1/64, which JSON and f32 hold exactly."""
    return torch.randint(-192, 192, shape).float() / 64


x, y, row, cube = numbers(3, 5), numbers(3, 5), numbers(5), numbers(2, 3, 4)
odd = torch.tensor([[nan, 2, -1, 2, nan], [inf, -inf, 0, 0, 1], [3, 3, 3, -3, -3]])
whole = torch.tensor([[2, 0, 1, 1, 2], [4, 3, 0, 4, 4], [1, 1, 1, 0, 0]])
a, b, c = numbers(2, 3, 4), numbers(2, 4, 5), numbers(3, 5)
inputs = {'x': x, 'y': y, 'row': row, 'cube': cube, 'odd': odd, 'a': a, 'b': b, 'c': c}


def values(r):
    """Both results of sort, topk and max; indices as Lua counts them."""
    return [r[0], r[1] + 1]


cases = [
    ('x:sum()', x.sum()), ('x:sum(1)', x.sum(1 - 1, keepdim=True)),
    ('cube:sum(2)', cube.sum(1, keepdim=True)), ('x:mean(2)', x.mean(1, keepdim=True)),
    ('x:mean()', x.mean()), ('x:var()', x.var()), ('x:var(1)', x.var(0, keepdim=True)),
    ('x:var(2, true)', x.var(1, correction=0, keepdim=True)),
    ('x:narrow(1, 1, 1):var(1)', x[:1].var(0, keepdim=True)),
    ('x:norm()', x.norm()), ('x:norm(2, 1)', x.norm(2, 0, keepdim=True)),
    ('x:norm(1, 2)', x.norm(1, 1, keepdim=True)),
    ('x:norm(3, 2)', x.norm(3, 1, keepdim=True)),
    ('x:norm(math.huge, 1)', x.norm(inf, 0, keepdim=True)),
    ('odd:sum(2)', odd.sum(1, keepdim=True)), ('odd:mean(2)', odd.mean(1, keepdim=True)),
    ('both(x:max(2))', values(x.max(1, keepdim=True))),
    ('both(x:min(1))', values(x.min(0, keepdim=True))),
    ('odd:max(2)', odd.max(1, keepdim=True)[0]), ('odd:min(2)', odd.min(1, keepdim=True)[0]),
    ('cube:argmax(2)', cube.argmax(1, keepdim=True) + 1),
    ('both(x:sort())', values(x.sort())), ('both(x:sort(1, true))', values(x.sort(0, True))),
    ('both(odd:sort())', values(odd.sort(stable=True))),
    ('both(odd:sort(2, true))', values(odd.sort(descending=True, stable=True))),
    ('both(x:topk(3))', values(x.topk(3))),
    ('both(x:topk(2, 1, true))', values(x.topk(2, 0, largest=False))),
    ('x:softmax()', x.softmax(1)), ('x:softmax(1)', x.softmax(0)),
    ('odd:softmax()', odd.softmax(1)), ('cube:log_softmax(2)', cube.log_softmax(1)),
    ('x:log_softmax()', x.log_softmax(1)), ('x:cumsum(1)', x.cumsum(0)),
    ('odd:cumsum()', odd.cumsum(1)),
    ('x:exp()', x.exp()), ('x:log()', x.log()), ('x:sqrt()', x.sqrt()), ('odd:abs()', odd.abs()),
    ('x:clamp(-1, 0.5)', x.clamp(-1, 0.5)), ('odd:clamp(-1, 2)', odd.clamp(-1, 2)),
    ('x:abs() ^ y', x.abs() ** y), ('x ^ -2', x ** -2), ('x:abs():pow(0.5)', x.abs() ** 0.5),
    ('2 ^ x', 2 ** x), ('odd ^ 2', odd ** 2), ('x / y', x / y), ('x / 3', x / 3), ('1 / x', 1 / x),
    ('odd / 0', odd / 0),
    ('x + row', x + row), ('row - x', row - x), ('x * x:mean(2)', x * x.mean(1, keepdim=True)),
    ('x:narrow(2, 1, 1) / row', x[:, :1] / row), ('cube + cube[1]', cube + cube[0]),
    ('x:gt(y)', (x > y).float()), ('x:ge(0)', (x >= 0).float()), ('x:lt(row)', (x < row).float()),
    ('x:le(y)', (x <= y).float()), ('odd:eq(odd)', (odd == odd).float()),
    ('odd:ne(3)', (odd != 3).float()),
    ('ag.where(x:gt(0), x, y)', torch.where(x > 0, x, y)),
    ('ag.where(x:lt(0), 0, row)', torch.where(x < 0, torch.zeros(()), row)),
    ('ag.where(odd, 1, 0)', torch.where(odd.bool(), 1.0, 0.0)),
    ('x:masked_fill(x:gt(y), -9)', x.masked_fill(x > y, -9)),
    ('ag.cat({x, y}, 1)', torch.cat([x, y])), ('ag.cat {x, y}', torch.cat([x, y], -1)),
    ('ag.stack {x, y}', torch.stack([x, y])), ('ag.stack({x, y}, 3)', torch.stack([x, y], 2)),
    ('x:tile(2, 3)', x.repeat(2, 3)), ('row:tile(2, 1, 2)', row.repeat(2, 1, 2)),
    ('cube:permute(3, 1, 2)', cube.permute(2, 0, 1)), ('row:expand(2, 5)', row.expand(2, 5)),
    ('cube:unsqueeze(2):squeeze()', cube), ('x:chunk(2, 2)[2]', x.chunk(2, 1)[1]),
    ('x:split(2)[2]', x.split(2)[1]), ('x:gather(2, whole)', x.gather(1, whole)),
    ('x:transpose(1, 2):gather(1, whole:transpose(1, 2))', x.T.gather(0, whole.T)),
    ('x:index_select(1, {3, 1, 3})', x[[2, 0, 2]]),
    ('cube:index_select(3, {4, 2})', cube[:, :, [3, 1]]),
    ('cube[{ {}, {2, 3}, -1 }]', cube[:, 1:3, -1]), ('cube[-1][{1, {2, 3}}]', cube[-1][0, 1:3]),
    ('ag.arange(be, 2, 5)', torch.arange(2, 5)),
    ('ag.arange(be, 1, 0, -0.25)', torch.arange(1, 0, -0.25)),
    ('ag.linspace(be, -1, 2, 7)', torch.linspace(-1, 2, 7)),
    ('a:matmul(b)', a @ b), ('a:bmm(b)', a.bmm(b)), ('cube:matmul(b[1])', cube @ b[0]),
    ('x:matmul(row)', x @ row), ('row:matmul(x:transpose(1, 2))', row @ x.T),
    ('row:matmul(row)', row @ row), ('row:dot(row)', row @ row),
    ('c:addmm(a[1], b[1], 0.5, 2)', torch.addmm(c, a[0], b[0], alpha=0.5, beta=2)),
    ('row:addmm(a[1], b[1])', torch.addmm(row, a[0], b[0])),
]


def plain(v):
    if isinstance(v, list):
        return [plain(e) for e in v]
    return v.tolist()


out = {'inputs': {name: plain(t) for name, t in inputs.items()}, 'whole': plain(whole + 1),
       'cases': [{'lua': lua, 'is': plain(v)} for lua, v in cases]}
with open(sys.argv[1], 'w') as f:
    # What torch computes is f32: nine digits say which.
    f.write(json.dumps(json.loads(json.dumps(out), parse_float=lambda s: float('%.9g' % float(s))),
                       separators=(',', ':')) + '\n')
