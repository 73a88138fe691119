/*
 * linear.c: the ops linear and conv1d: both are one sum, whose outputs are cut into parts.
 * The sums themselves are in the isa tables; no output is ever split, so that the cuts change no
 * bit.
 */
#include "../weight.h"
#include "isa.h"
#include "scratch.h"
#include "../../runtime/backend_cpu.h"
#include "../../runtime/ops.h"

/* Outputs are cut into panels; rows of weights go in eights, which divide them. */
enum { OUTS = AGI_PANEL };

/*
 * By outputs, so that each weight is read in one part, unless they are too few for all parts and
 * the rows are not: the last convolution of the codec has one output and thousands of rows.
 */
static bool split_outputs(const agi_linear_args *a, int parts)
{
    int64_t blocks = (a->outs + OUTS - 1) / OUTS;
    return blocks >= parts || blocks >= a->rows;
}

static int dot(const agi_linear_args *a, const agi_worker *w)
{
    int64_t r0 = 0, r1 = a->rows, o0 = 0, o1 = a->outs;
    if (split_outputs(a, w->count)) agi_share(w, a->outs, OUTS, &o0, &o1);
    else agi_share(w, a->rows, 1, &r0, &r1);
    if (r0 >= r1 || o0 >= o1) return AG_OK;
    w->isa->dot(a, r0, r1, o0, o1);
    return AG_OK;
}

/* The rows of x as blocks, in the worker's scratch, where they may be already. */
static agi_block_rows blocks_of(const agi_linear_args *a, const agi_blocks *blocks,
                                const agi_worker *w, bool kept)
{
    const int bias = a->w.kind == AGI_WEIGHT_Q8 ? blocks->q8_bias : AGI_Q4_BIAS;
    const int64_t chunks = (a->k + AGI_CHUNK - 1) / AGI_CHUNK;
    const int64_t rows = (a->rows + AGI_BLOCK_ROWS - 1) / AGI_BLOCK_ROWS * AGI_BLOCK_ROWS;
    agi_block_rows x = {.code = w->scratch, .chunks = chunks};
    x.scale = (float *)(void *)(x.code + rows * chunks * AGI_CHUNK);
    x.begin = (int32_t *)(void *)(x.scale + rows * chunks);
    for (int64_t r = 0; r < a->rows && !kept; r++) {
        const int64_t first = agi_block_of(&x, r, 0);
        w->isa->blocks->quantize(x.code + first * AGI_CHUNK, x.scale + first,
                                 a->x + r * a->x_stride, a->k);
        for (int64_t c = 0; c < chunks; c++) {
            const int64_t b = first + c * AGI_BLOCK_ROWS;
            int32_t sum = 0;
            for (int i = 0; i < AGI_CHUNK; i++) sum += x.code[b * AGI_CHUNK + i];
            x.begin[b] = -bias * sum;
        }
    }
    return x;
}

/* By outputs always. Each worker makes the codes of x for itself, some hundred rows at a time. */
static int dot_blocks(const agi_linear_args *all, agi_worker *w)
{
    const agi_blocks *blocks = all->w.chunks ? w->isa->blocks : &agi_blocks_plain;
    int64_t o0, o1;
    agi_share(w, all->outs, OUTS, &o0, &o1);
    if (o0 >= o1) {
        w->last = NULL; /* this part makes no codes for the next one */
        return AG_OK;
    }
    agi_linear_args a = *all;
    for (int64_t r = 0; r < all->rows; r += AGI_BLOCKED_ROWS) {
        a.rows = all->rows - r < AGI_BLOCKED_ROWS ? all->rows - r : AGI_BLOCKED_ROWS;
        a.x = all->x + r * all->x_stride;
        a.out = all->out + r * all->out_stride;
        const bool kept = w->again && all->rows <= AGI_BLOCKED_ROWS;
        const agi_block_rows x = blocks_of(&a, blocks, w, kept);
        blocks->dot(&a, &x, o0, o1);
    }
    return AG_OK;
}

int agi_cpu_linear(const void *args, agi_worker *w)
{
    const agi_linear_args *a = args;
    return a->w.scale ? dot_blocks(a, w) : dot(a, w);
}

int agi_cpu_conv1d(const void *args, agi_worker *w) { return dot(args, w); }
