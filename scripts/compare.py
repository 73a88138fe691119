"""The other side of scripts/compare: llama.cpp and sentence-transformers; and the table."""
import resource
import sys
import time

PROMPT = [(i * 7919) % 40000 + 10 for i in range(1, 513)]
GENERATED = 128


def sentences():
    words = ("a cat dog runs across the old bridge while rain falls on quiet streets and people "
             "talk about prices music science cooking travel").split()
    return [" ".join(words[(i * 7 + j * (i % 5 + 1)) % len(words)] for j in range(5 + i % 16))
            for i in range(1000)]


def memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def quantize(source, target):
    import llama_cpp
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = llama_cpp.LLAMA_FTYPE_MOSTLY_Q8_0
    params.allow_requantize, params.nthread = True, 2
    assert llama_cpp.llama_model_quantize(source.encode(), target.encode(), params) == 0


def lm(path, name):
    import llama_cpp as c
    import numpy
    model = c.Llama(path, n_ctx=1024, n_threads=2, n_threads_batch=2, n_batch=512, n_ubatch=512,
                    verbose=False)

    def step(ids):
        # The library itself: eval() and sample() of the class do more than is compared here.
        kept = (c.llama_token * len(ids))(*ids)  # the batch only points to it
        assert c.llama_decode(model.ctx, c.llama_batch_get_one(kept, len(ids))) == 0
        logits = c.llama_get_logits_ith(model.ctx, -1)
        return int(numpy.ctypeslib.as_array(logits, (model.n_vocab(),)).argmax())

    step([step(PROMPT[:8])])  # what is set up once is not counted
    c.llama_memory_clear(c.llama_get_memory(model.ctx), True)
    began = time.perf_counter()
    id = step(PROMPT)
    read = time.perf_counter() - began
    began = time.perf_counter()
    for _ in range(GENERATED):
        id = step([id])
    wrote = time.perf_counter() - began
    print(f"llama.cpp {name}: {512 / read:.0f} {GENERATED / wrote:.1f} {memory():.0f}", flush=True)


def embed(path):
    import torch
    from sentence_transformers import SentenceTransformer
    torch.set_num_threads(2)
    model = SentenceTransformer(path, device="cpu")
    texts = sentences()
    model.encode(texts[:32])
    began = time.perf_counter()
    model.encode(texts, batch_size=32)
    print(f"sentence-transformers f32: {1000 / (time.perf_counter() - began):.0f} - "
          f"{memory():.0f}", flush=True)


def table(path):
    best = {}
    for line in open(path):
        if ": " not in line:
            continue
        name, numbers = line.split(": ")
        best.setdefault(name, []).append(numbers.split())
    print("\n| | prompt or sentences /s | generated /s | peak memory, MiB |\n|---|---|---|---|")
    for name, rows in best.items():
        first = max(float(r[0]) for r in rows)
        second = "" if rows[0][1] == "-" else f"{max(float(r[1]) for r in rows):.1f}"
        print(f"| {name} | {first:.0f} | {second} | {min(float(r[2]) for r in rows):.0f} |")


if __name__ == "__main__":
    {"quantize": quantize, "lm": lm, "embed": embed, "table": table}[sys.argv[1]](*sys.argv[2:])
