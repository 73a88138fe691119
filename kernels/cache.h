/*
 * cache.h: the slots of rows, and addresses in the key and value caches of attention: [slots,
 * blocks, 2^shift, heads, d], of which each slot has its own first bytes committed. Position p of a
 * slot lies in place p mod capacity.
 */
#ifndef ARGENT_KERNELS_CACHE_H
#define ARGENT_KERNELS_CACHE_H

#include "../runtime/ops.h"
#include "../runtime/both.h"

#include <stdbool.h>

/* The slot of a row; -1 when there is none of that number. */
AGI_BOTH int64_t agi_slot_of(const agi_slots *s, int64_t row)
{
    if (!s->p) return row;
    const int64_t slot = s->p[row * s->stride];
    return slot >= 0 && slot < s->count ? slot : -1;
}

AGI_BOTH char *agi_cache_at(const agi_cache *c, int64_t slot, int64_t place, int64_t head)
{
    const int64_t block = place >> c->shift, inside = place - (block << c->shift);
    return c->p + slot * c->slot + block * c->block + inside * c->place + head * c->head;
}

/* Whether the d elements there, and so those of all lower places, may be touched. */
AGI_BOTH bool agi_cache_has(const agi_cache *c, int64_t slot, int64_t place, int64_t head,
                            int64_t d)
{
    const char *end = agi_cache_at(c, slot, place, head) + d * agi_dtype_size(c->dtype);
    return !c->committed || end - (c->base + slot * c->slot_bytes) <= c->committed[slot];
}

#endif
