/*
 * cache.h: addresses in the key and value caches of attention: [capacity, rows, heads, d], of which
 * only the first bytes are committed. A position's slot is position mod capacity.
 */
#ifndef ARGENT_KERNELS_CACHE_H
#define ARGENT_KERNELS_CACHE_H

#include "../runtime/ops.h"
#include "both.h"

#include <stdbool.h>

AGI_BOTH float *agi_cache_at(const agi_cache *c, int64_t slot, int64_t row, int64_t head)
{
    return c->p + slot * c->slot + row * c->row + head * c->head;
}

/* Whether the d elements there, and so those of all lower slots, may be touched. */
AGI_BOTH bool agi_cache_has(const agi_cache *c, int64_t slot, int64_t row, int64_t head, int64_t d)
{
    const char *end = (const char *)(agi_cache_at(c, slot, row, head) + d);
    return !c->committed || end - c->base <= *c->committed;
}

#endif
