"""The codec's decoder, with the names and the arithmetic of the released layout: codes to a wave.

Codebooks, a small causal transformer at the frame rate, upsampling to 100 steps a second, then
blocks of transposed convolutions and dilated residual units to 24 kHz. Everything is causal."""

import torch
import torch.nn.functional as F
from torch import nn

from settings import BOOK, GROUPS

CODES = 192  # width of a quantizer's output; its books are half as wide
LATENT = 160
INNER = 384
HEADS, HEAD = 4, 48
LAYERS = 3
WINDOW = 16
STRETCH = (2, 2, 2)  # of the frame rate, before the blocks
RATES = (5, 6, 8)  # of the blocks
WIDTH = 128  # channels of the first block


class Conv(nn.Module):
    """A convolution that sees only the past."""

    def __init__(self, a, b, kernel, dilation=1, groups=1):
        super().__init__()
        self.conv = nn.Conv1d(a, b, kernel, dilation=dilation, groups=groups)
        self.past = (kernel - 1) * dilation

    def forward(self, x):
        return self.conv(F.pad(x, (self.past, 0)))


class Stretch(nn.Module):
    """A transposed convolution; what it makes beyond its input's time is cut off."""

    def __init__(self, a, b, kernel, rate):
        super().__init__()
        self.conv = nn.ConvTranspose1d(a, b, kernel, stride=rate)
        self.more = kernel - rate

    def forward(self, x):
        y = self.conv(x)
        return y[..., :y.shape[-1] - self.more]


class ConvNext(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.dwconv = Conv(n, n, 7, groups=n)
        self.norm = nn.LayerNorm(n, eps=1e-6)
        self.pwconv1, self.pwconv2 = nn.Linear(n, 4 * n), nn.Linear(4 * n, n)
        self.gamma = nn.Parameter(torch.full((n,), 0.1))

    def forward(self, x):
        y = self.norm(self.dwconv(x).transpose(1, 2))
        return x + (self.gamma * self.pwconv2(F.gelu(self.pwconv1(y)))).transpose(1, 2)


class Snake(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.alpha, self.beta = nn.Parameter(torch.zeros(n)), nn.Parameter(torch.zeros(n))

    def forward(self, x):
        a, b = (p.exp()[None, :, None] for p in (self.alpha, self.beta))
        return x + (x * a).sin().square() / (b + 1e-9)


class Residual(nn.Module):
    def __init__(self, n, dilation):
        super().__init__()
        self.act1, self.conv1 = Snake(n), Conv(n, n, 7, dilation)
        self.act2, self.conv2 = Snake(n), Conv(n, n, 1)

    def forward(self, x):
        return x + self.conv2(self.act2(self.conv1(self.act1(x))))


class Block(nn.Module):
    def __init__(self, a, b, rate):
        super().__init__()
        self.block = nn.Sequential(Snake(a), Stretch(a, b, 2 * rate, rate),
                                   *(Residual(b, d) for d in (1, 3, 9)))

    def forward(self, x):
        return self.block(x)


class Norm(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(n))

    def forward(self, x):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-5) * self.weight


class Scale(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.scale = nn.Parameter(torch.full((n,), 0.1))

    def forward(self, x):
        return self.scale * x


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        for name in ('q_proj', 'k_proj', 'v_proj'):
            setattr(self, name, nn.Linear(LATENT, HEADS * HEAD, bias=False))
        self.o_proj = nn.Linear(HEADS * HEAD, LATENT, bias=False)

    def forward(self, x, cos, sin, mask):
        def heads(y):
            return y.view(*y.shape[:2], HEADS, HEAD).transpose(1, 2)

        def turned(y):
            return y * cos + torch.cat([-y[..., HEAD // 2:], y[..., :HEAD // 2]], -1) * sin

        q, k, v = (heads(p(x)) for p in (self.q_proj, self.k_proj, self.v_proj))
        scores = turned(q) @ turned(k).transpose(2, 3) / HEAD ** 0.5
        y = scores.masked_fill(~mask, -1e9).softmax(-1) @ v
        return self.o_proj(y.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate_proj = nn.Linear(LATENT, INNER, bias=False)
        self.up_proj = nn.Linear(LATENT, INNER, bias=False)
        self.down_proj = nn.Linear(INNER, LATENT, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.self_attn, self.mlp = Attention(), Mlp()
        self.input_layernorm, self.post_attention_layernorm = Norm(LATENT), Norm(LATENT)
        self.self_attn_layer_scale, self.mlp_layer_scale = Scale(LATENT), Scale(LATENT)

    def forward(self, x, *where):
        x = x + self.self_attn_layer_scale(self.self_attn(self.input_layernorm(x), *where))
        return x + self.mlp_layer_scale(self.mlp(self.post_attention_layernorm(x)))


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.input_proj, self.output_proj = nn.Linear(LATENT, LATENT), nn.Linear(LATENT, LATENT)
        self.norm = Norm(LATENT)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))

    def forward(self, x):
        """x [B, T, LATENT]."""
        t = torch.arange(x.shape[1])
        angle = t[:, None] * 10000 ** (-torch.arange(0, HEAD, 2) / HEAD)
        angle = torch.cat([angle, angle], -1)
        ago = t[:, None] - t
        x = self.input_proj(x)
        for layer in self.layers:
            x = layer(x, angle.cos(), angle.sin(), (ago >= 0) & (ago < WINDOW))
        return self.output_proj(self.norm(x))


class Book(nn.Module):
    """The released layout keeps sums of vectors and how often each was used; here, 1."""

    def __init__(self):
        super().__init__()
        self.embedding_sum = nn.Parameter(torch.randn(BOOK, CODES // 2) * 0.1)
        self.register_buffer('cluster_usage', torch.ones(BOOK))


class Quantizer(nn.Module):
    """Some groups' books and the projection of their sum. input_proj belongs to an encoder, which
    the demo has not; the layout asks for it."""

    def __init__(self, groups):
        super().__init__()
        self.vq = nn.Module()
        self.vq.layers = nn.ModuleList(nn.Module() for _ in range(groups))
        for layer in self.vq.layers:
            layer._codebook = Book()
        self.output_proj = nn.Conv1d(CODES // 2, CODES, 1, bias=False)
        self.input_proj = nn.Module()
        self.input_proj.register_buffer('weight', torch.zeros(CODES // 2, CODES, 1))

    def books(self):
        return [layer._codebook.embedding_sum for layer in self.vq.layers]

    def forward(self, codes):
        """codes [B, T, groups] to [B, CODES, T]."""
        x = sum(F.embedding(codes[..., i], book) for i, book in enumerate(self.books()))
        return self.output_proj(x.transpose(1, 2))


class Codec(nn.Module):
    def __init__(self):
        super().__init__()
        self.quantizer = nn.Module()
        self.quantizer.rvq_first, self.quantizer.rvq_rest = Quantizer(1), Quantizer(GROUPS - 1)
        self.pre_conv = Conv(CODES, LATENT, 3)
        self.pre_transformer = Transformer()
        self.upsample = nn.ModuleList(
            nn.Sequential(Stretch(LATENT, LATENT, r, r), ConvNext(LATENT)) for r in STRETCH)
        width, blocks = WIDTH, [Conv(LATENT, WIDTH, 7)]
        for rate in RATES:
            blocks.append(Block(width, width // 2, rate))
            width //= 2
        self.decoder = nn.Sequential(*blocks, Snake(width), Conv(width, 1, 7))
        with torch.no_grad():  # begin near silence
            self.decoder[-1].conv.weight.mul_(0.1)
            self.decoder[-1].conv.bias.zero_()

    def forward(self, codes):
        """codes [B, T, GROUPS] to samples [B, T * FRAME]."""
        q = self.quantizer
        x = self.pre_conv(q.rvq_first(codes[..., :1]) + q.rvq_rest(codes[..., 1:]))
        x = self.pre_transformer(x.transpose(1, 2)).transpose(1, 2)
        for stage in self.upsample:
            x = stage(x)
        return self.decoder(x)[:, 0]

    @torch.no_grad()
    def begin_from(self, books):
        """Code vectors that lie as the clusters do: what each code means for the envelope, and for
        group 1 pitch, voicing and energy besides."""
        def vectors(name):
            return torch.from_numpy(books[name])

        size = vectors('part0').std() / 0.3
        first, = self.quantizer.rvq_first.books()
        parts = min(books['part0'].shape[1], CODES // 2)
        first[:, :parts] = vectors('part0')[:, :parts] / size
        rest = self.quantizer.rvq_rest.books()
        for book, name in zip(rest, ('part1', 'part2', 'part3')):
            book[:, :parts] = vectors(name)[:, :parts] / size
        quiet, loud = vectors('quiet'), vectors('loud')
        tone = torch.zeros(BOOK, 16)
        tone[:len(quiet), :8] = (quiet - loud.mean(0)) * 0.2
        rows = torch.arange(BOOK - len(quiet))
        turns = rows // len(loud)
        tone[len(quiet):, :8] = (loud[rows % len(loud)] - loud.mean(0)) * 0.2
        tone[len(quiet):, 8] = (turns - 8) / 8
        for h in range(3):
            angle = turns / turns.max() * torch.pi * (h + 1)
            tone[len(quiet):, 9 + 2 * h], tone[len(quiet):, 10 + 2 * h] = angle.sin(), angle.cos()
        tone[len(quiet):, 15] = 1
        rest[0][:, -16:] += tone
