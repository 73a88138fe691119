/*
 * lines.cu: the ops on lines, see ../lines.h. map, combine, where, random and gather: a thread an
 * element; reduce, softmax, cumsum and sort: a thread a line, so that a sum has one order.
 */
#include "device.h"
#include "../lines.h"

/* An element of a tensor with the lines l. */
DEVICE float *element(const agi_lines *l, const agi_lined *t, int64_t i)
{
    return agi_line_f32(l, t, i / l->n) + i % l->n * t->step;
}

DEVICE void map_item(const agi_map_args *a, int64_t i, agi_fault *f)
{
    const agi_lines *l = &a->lines;
    const int64_t x = agi_line_at(l, &a->x, i / l->n) + i % l->n * a->x.step;
    (void)f;
    *element(l, &a->out, i) = agi_map_value(a->how, agi_map_load(a->x.p, a->dtype, x));
}
EACH(map, agi_map_args, map_item, a->lines.count * a->lines.n)

DEVICE void combine_item(const agi_combine_args *a, int64_t i, agi_fault *f)
{
    const agi_lines *l = &a->lines;
    (void)f;
    *element(l, &a->out, i) =
        agi_combine_value(a->how, *element(l, &a->a, i), *element(l, &a->b, i));
}
EACH(combine, agi_combine_args, combine_item, a->lines.count * a->lines.n)

DEVICE void where_item(const agi_where_args *a, int64_t i, agi_fault *f)
{
    const agi_lines *l = &a->lines;
    (void)f;
    *element(l, &a->out, i) =
        *element(l, &a->mask, i) != 0 ? *element(l, &a->a, i) : *element(l, &a->b, i);
}
EACH(where, agi_where_args, where_item, a->lines.count * a->lines.n)

DEVICE void random_item(const agi_random_args *a, int64_t i, agi_fault *f)
{
    (void)f;
    *element(&a->lines, &a->out, i) = agi_random_value(a, i);
}
EACH(random, agi_random_args, random_item, a->lines.count * a->lines.n)

DEVICE void gather_item(const agi_gather_args *a, int64_t i, agi_fault *f)
{
    const int64_t line = i / a->lines.n;
    int64_t id;
    if (!agi_gather_element(a, line, i % a->lines.n, &id))
        agi_report(f, AGI_FAULT_GATHER, id, line, a->first, a->first + a->n - 1);
}
EACH(gather, agi_gather_args, gather_item, a->lines.count * a->lines.n)

#define LINES(name)                                                                                \
    DEVICE void name##_item(const agi_##name##_args *a, int64_t i, agi_fault *f)                   \
    {                                                                                              \
        (void)f;                                                                                   \
        agi_##name##_line(a, i);                                                                   \
    }                                                                                              \
    EACH(name, agi_##name##_args, name##_item, a->lines.count)

LINES(reduce)
LINES(softmax)
LINES(cumsum)
LINES(sort)
