"""The talker and the code predictor, with the names and the arithmetic of the released layout.

Sizes are those of a demo. Every tensor here is one of the exported file; what a released model has
and this one lacks is size alone."""

import dataclasses

import torch
import torch.nn.functional as F
from torch import nn

from settings import BOOK, GROUPS, VOICES

VOCAB = BOOK + 1024  # codec ids: the codes of group 0, then marks
NONE = VOCAB  # no codec vector at this position
PAD, BOS, EOS = BOOK + 100, BOOK + 101, BOOK + 102
THINK, NOTHINK, THINK_BOS, THINK_EOS = (BOOK + i for i in (106, 107, 108, 109))
ENGLISH = BOOK + 2
SPEAKER = {voice: BOOK + 813 + i for i, voice in enumerate(VOICES)}
STOP = BOOK  # the end among the talker's targets, after the codes


@dataclasses.dataclass
class Shape:
    width: int
    inner: int
    layers: int
    heads: int
    key_heads: int
    head: int


TALKER = Shape(width=256, inner=704, layers=5, heads=4, key_heads=2, head=64)
PREDICTOR = Shape(width=160, inner=448, layers=2, heads=4, key_heads=2, head=48)
TEXT = 192  # width of a text vector
GUIDED = (1, 2)  # layers whose first head is taught where the text is


class Normalise(torch.autograd.Function):
    """x / rms(x) * weight in f32. By hand, as it is half of a step on a CPU otherwise."""

    @staticmethod
    def forward(ctx, x, weight):
        x = x.float()
        scale = torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)
        unit = x * scale
        ctx.save_for_backward(unit, scale, weight)
        return unit * weight

    @staticmethod
    def backward(ctx, up):
        unit, scale, weight = ctx.saved_tensors
        to_weight = (up * unit).reshape(-1, *weight.shape).sum(0)
        up = up * weight
        return torch.addcmul(up, unit, -(up * unit).mean(-1, keepdim=True)).mul_(scale), to_weight


class Gate(torch.autograd.Function):
    """silu(gate) * up of [..., 2n], by hand for the same reason."""

    @staticmethod
    def forward(ctx, both):
        ctx.save_for_backward(both)
        gate, up = both.chunk(2, -1)
        return F.silu(gate) * up

    @staticmethod
    def backward(ctx, to):
        both, = ctx.saved_tensors
        gate, up = both.chunk(2, -1)
        sigmoid = torch.sigmoid(gate)
        silu = gate * sigmoid
        slope = torch.addcmul(sigmoid, silu, 1 - sigmoid)
        return torch.cat([slope.mul_(up).mul_(to), silu.mul_(to)], -1)


class Norm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return Normalise.apply(x, self.weight)


def linear(a, b):
    return nn.Linear(a, b, bias=False)


class Attention(nn.Module):
    """Grouped-query attention with normalised queries and keys and rotary positions."""

    def __init__(self, s):
        super().__init__()
        self.s = s
        self.q_proj = linear(s.width, s.heads * s.head)
        self.k_proj = linear(s.width, s.key_heads * s.head)
        self.v_proj = linear(s.width, s.key_heads * s.head)
        self.o_proj = linear(s.heads * s.head, s.width)
        self.q_norm, self.k_norm = Norm(s.head), Norm(s.head)

    def forward(self, x, angles, mask, scores=False):
        """x [B, T, width]; mask [T, T] is added. With scores, those of head 0 [B, T, T] as well."""
        (rows, count, _), s = x.shape, self.s
        share, n = s.heads // s.key_heads, s.heads + s.key_heads
        y = F.linear(x, torch.cat([self.q_proj.weight, self.k_proj.weight, self.v_proj.weight]))
        y = y.view(rows, count, n + s.key_heads, s.head)
        # One normalisation and one rotation for queries and keys; 1/sqrt(head) is in the weight.
        weight = torch.cat([(self.q_norm.weight * s.head ** -0.5).expand(s.heads, s.head),
                            self.k_norm.weight.expand(s.key_heads, s.head)])
        qk = Normalise.apply(y[:, :, :n], weight)
        cos, sin = (t[:count, None] for t in angles)
        qk = torch.addcmul(qk * cos, qk.roll(s.head // 2, -1), sin)
        q = qk[:, :, :s.heads].reshape(rows, count, s.key_heads, share, s.head)
        q = q.permute(0, 2, 3, 1, 4).reshape(rows, s.key_heads, share * count, s.head)
        k, v = qk[:, :, s.heads:].transpose(1, 2), y[:, :, n:].transpose(1, 2)
        a = (q @ k.transpose(2, 3)).view(rows, s.key_heads, share, count, count).float() + mask
        first = a[:, 0, 0] if scores else None
        a = a.softmax(-1).view(rows, s.key_heads, share * count, count)
        o = (a.to(v.dtype) @ v).view(rows, s.key_heads, share, count, s.head)
        return self.o_proj(o.permute(0, 3, 1, 2, 4).reshape(rows, count, -1)), first


class Mlp(nn.Module):
    def __init__(self, s):
        super().__init__()
        self.gate_proj, self.up_proj = linear(s.width, s.inner), linear(s.width, s.inner)
        self.down_proj = linear(s.inner, s.width)

    def forward(self, x):
        return self.down_proj(Gate.apply(
            F.linear(x, torch.cat([self.gate_proj.weight, self.up_proj.weight]))))


class Layer(nn.Module):
    def __init__(self, s):
        super().__init__()
        self.self_attn, self.mlp = Attention(s), Mlp(s)
        self.input_layernorm, self.post_attention_layernorm = Norm(s.width), Norm(s.width)

    def forward(self, x, angles, mask, scores=False):
        a, first = self.self_attn(self.input_layernorm(x), angles, mask, scores)
        x = x + a
        return x + self.mlp(self.post_attention_layernorm(x)), first


class Decoder(nn.Module):
    """Layers and their last norm. Rotary angles: the halves of a head turn together."""

    def __init__(self, s, longest, guided=()):
        super().__init__()
        self.guided = guided
        self.layers = nn.ModuleList(Layer(s) for _ in range(s.layers))
        self.norm = Norm(s.width)
        speed = 1e6 ** (-torch.arange(0, s.head, 2) / s.head)
        angle = torch.arange(longest)[:, None] * speed
        self.register_buffer('cos', torch.cat([angle, angle], -1).cos(), persistent=False)
        self.register_buffer('sin', torch.cat([-angle.sin(), angle.sin()], -1), persistent=False)

    def run(self, x):
        """Hidden states [B, T, width] of x, and the scores of the guided heads."""
        mask = torch.full((x.shape[1],) * 2, -1e9).triu(1)
        scores = []
        for i, layer in enumerate(self.layers):
            x, first = layer(x, (self.cos, self.sin), mask, i in self.guided)
            if first is not None:
                scores.append(first)
        return self.norm(x), scores


class Projection(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear_fc1, self.linear_fc2 = nn.Linear(TEXT, TEXT), nn.Linear(TEXT, TALKER.width)

    def forward(self, x):
        return self.linear_fc2(F.silu(self.linear_fc1(x)))


class Talker(nn.Module):
    """Losses of a batch (see prompts.py), all that is trained at once."""

    def __init__(self, text_ids):
        super().__init__()
        self.talker = t = nn.Module()
        t.model = Decoder(TALKER, 512, GUIDED)
        t.model.text_embedding = nn.Embedding(text_ids, TEXT)
        t.model.codec_embedding = nn.Embedding(VOCAB, TALKER.width)
        t.text_projection = Projection()
        t.codec_head = linear(TALKER.width, VOCAB)
        t.code_predictor = p = nn.Module()
        p.small_to_mtp_projection = nn.Linear(TALKER.width, PREDICTOR.width)
        p.model = Decoder(PREDICTOR, GROUPS + 1)
        p.model.codec_embedding = nn.ModuleList(
            nn.Embedding(BOOK, TALKER.width) for _ in range(GROUPS - 1))
        p.lm_head = nn.ModuleList(linear(PREDICTOR.width, BOOK) for _ in range(GROUPS - 1))
        for name, w in self.named_parameters():
            if 'embedding' in name:
                nn.init.normal_(w, std=0.05)
            elif 'head' in name:
                nn.init.normal_(w, std=0.02)
            elif w.dim() > 1:
                narrow = 0.5 if 'o_proj' in name or 'down_proj' in name else 1.0
                nn.init.normal_(w, std=narrow * w.shape[1] ** -0.5)
            elif 'bias' in name:
                nn.init.zeros_(w)

    def vectors(self, text, codec, rest):
        """[B, T, width] what the talker reads: a text vector, a codec vector where there is one,
        and at frames the codes of the other groups (-1: none)."""
        t = self.talker
        nothing = torch.zeros(1, TALKER.width)
        table = t.text_projection(t.model.text_embedding.weight)
        x = F.embedding(text, table)
        x = x + F.embedding(codec, torch.cat([t.model.codec_embedding.weight, nothing]))
        for g, book in enumerate(t.code_predictor.model.codec_embedding):
            code = torch.where(rest[..., g] < 0, BOOK, rest[..., g])
            x = x + F.embedding(code, torch.cat([book.weight, nothing]))
        return x

    def guess_rest(self, hidden, codes):
        """Logits [M, BOOK] of each group after the first, from the talker's states [M, width] and
        the true codes [M, GROUPS]."""
        t, p = self.talker, self.talker.code_predictor
        seen = [hidden, F.embedding(codes[:, 0], t.model.codec_embedding.weight)]
        seen += [book(codes[:, g]) for g, book in enumerate(p.model.codec_embedding, 1)
                 if g < GROUPS - 1]
        y, _ = p.model.run(p.small_to_mtp_projection(torch.stack(seen, 1)))
        return [head(y[:, g]) for g, head in enumerate(p.lm_head, 1)]

    def forward(self, b, part=1.0):
        """part: of the frames, those on which the predictor is trained."""
        t = self.talker
        hidden, scores = t.model.run(self.vectors(b.text, b.codec, b.rest))
        hidden = hidden[b.row, b.at]
        logits = F.linear(hidden, torch.cat([t.codec_head.weight[:BOOK],
                                             t.codec_head.weight[EOS:EOS + 1]]))
        target = b.target[:, 0]
        out = dict(ce0=F.cross_entropy(logits, target),
                   right0=(logits.argmax(-1) == target).float().mean())
        some = torch.nonzero((target != STOP) & (torch.rand(len(target)) < part))[:, 0]
        codes = b.target[some]
        for g, guess in enumerate(self.guess_rest(hidden[some], codes), 1):
            out[f'ce{g}'] = F.cross_entropy(guess, codes[:, g])
        # The guide: how little of a head's attention lies on the text of the word that is spoken.
        away = 0.0
        for a in scores:
            a = a[b.row, b.at].log_softmax(-1).masked_fill(~b.heard, -1e9)
            away = away - (a.logsumexp(-1) * b.guided).sum() / b.guided.sum()
        out['guide'] = away / len(scores)
        return out
