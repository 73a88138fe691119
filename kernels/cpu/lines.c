/*
 * lines.c: the ops on lines: map, combine, where and random, which are cut anywhere, and reduce,
 * softmax, cumsum, sort and gather, which are cut between lines. What they compute is in
 * ../lines.h.
 */
#include "../lines.h"
#include "share.h"
#include "../../runtime/backend_cpu.h"
#include "../../runtime/fault.h"

static agi_pieces pieces_of(const agi_lines *l, const agi_worker *w)
{
    return agi_pieces_of(w, l->count, l->n, false);
}

/* The first element of a piece. */
static float *at(const agi_lines *l, const agi_lined *t, const agi_pieces *p)
{
    return agi_line_f32(l, t, p->row) + p->col * t->step;
}

int agi_cpu_map(const void *args, agi_worker *w)
{
    const agi_map_args *a = args;
    agi_pieces p = pieces_of(&a->lines, w);
    while (agi_next_piece(&p)) {
        float *out = at(&a->lines, &a->out, &p);
        const int64_t x = agi_line_at(&a->lines, &a->x, p.row) + p.col * a->x.step;
        for (int64_t i = 0; i < p.len; i++)
            out[i * a->out.step] =
                agi_map_value(a->how, agi_map_load(a->x.p, a->dtype, x + i * a->x.step));
    }
    return AG_OK;
}

int agi_cpu_combine(const void *args, agi_worker *w)
{
    const agi_combine_args *a = args;
    agi_pieces p = pieces_of(&a->lines, w);
    while (agi_next_piece(&p)) {
        float *out = at(&a->lines, &a->out, &p);
        const float *x = at(&a->lines, &a->a, &p), *y = at(&a->lines, &a->b, &p);
        for (int64_t i = 0; i < p.len; i++)
            out[i * a->out.step] = agi_combine_value(a->how, x[i * a->a.step], y[i * a->b.step]);
    }
    return AG_OK;
}

int agi_cpu_where(const void *args, agi_worker *w)
{
    const agi_where_args *a = args;
    agi_pieces p = pieces_of(&a->lines, w);
    while (agi_next_piece(&p)) {
        float *out = at(&a->lines, &a->out, &p);
        const float *mask = at(&a->lines, &a->mask, &p);
        const float *x = at(&a->lines, &a->a, &p), *y = at(&a->lines, &a->b, &p);
        for (int64_t i = 0; i < p.len; i++)
            out[i * a->out.step] =
                mask[i * a->mask.step] != 0 ? x[i * a->a.step] : y[i * a->b.step];
    }
    return AG_OK;
}

int agi_cpu_random(const void *args, agi_worker *w)
{
    const agi_random_args *a = args;
    agi_pieces p = pieces_of(&a->lines, w);
    while (agi_next_piece(&p)) {
        float *out = at(&a->lines, &a->out, &p);
        for (int64_t i = 0; i < p.len; i++)
            out[i * a->out.step] = agi_random_value(a, p.row * a->lines.n + p.col + i);
    }
    return AG_OK;
}

#define LINES(name)                                                                                \
    int agi_cpu_##name(const void *args, agi_worker *w)                                            \
    {                                                                                              \
        const agi_##name##_args *a = args;                                                         \
        int64_t lo, hi;                                                                            \
        agi_share(w, a->lines.count, 1, &lo, &hi);                                                 \
        for (int64_t i = lo; i < hi; i++) agi_##name##_line(a, i);                                 \
        return AG_OK;                                                                              \
    }

LINES(reduce)
LINES(softmax)
LINES(cumsum)
LINES(sort)

int agi_cpu_gather(const void *args, agi_worker *w)
{
    const agi_gather_args *a = args;
    const int64_t last = a->first + a->n - 1;
    agi_pieces p = pieces_of(&a->lines, w);
    int64_t id;
    while (agi_next_piece(&p))
        for (int64_t i = 0; i < p.len; i++)
            if (!agi_gather_element(a, p.row, p.col + i, &id))
                return agi_fault_fail(AGI_FAULT_GATHER, id, p.row, a->first, last);
    return AG_OK;
}
