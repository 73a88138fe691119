/*
 * linear.c: the ops linear and conv1d: both are one sum, whose outputs are cut into parts.
 * The sums themselves are in the isa tables; no output is ever split, so that the cuts change no
 * bit.
 */
#include "isa.h"
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

int agi_cpu_linear(const void *args, agi_worker *w) { return dot(args, w); }

int agi_cpu_conv1d(const void *args, agi_worker *w) { return dot(args, w); }
