/* buffer.h: memory of a backend, counted by reference. Tensors are shapes over it; plans retain
 * it. */
#ifndef ARGENT_BUFFER_H
#define ARGENT_BUFFER_H

#include "argent.h"

#include <stdbool.h>

typedef struct agi_buffer {
    ag_backend *be; /* retained */
    int refs;
    char *data;
    int64_t bytes; /* usable now: allocated or committed */
    enum { AGI_HEAP, AGI_RESERVED, AGI_MAPPED } kind;
    /* AGI_RESERVED: rows of row_size bytes that begin row_bytes apart, of which each has its first
     * committed[row]; told is a copy of these counts for kernels that cannot read the host's. */
    int64_t rows, row_size, row_bytes, *committed;
    char *told;
    void *owner; /* AGI_MAPPED: what keeps the mapping, given back by drop(owner) */
    void (*drop)(void *owner);
} agi_buffer;

/* Each makes a buffer with one reference; *out is NULL after a failure. */
int agi_buffer_alloc(agi_buffer **out, ag_backend *be, int64_t bytes); /* zeroed */
/* Addresses for rows of row_size bytes; no memory yet. */
int agi_buffer_reserve(agi_buffer **out, ag_backend *be, int64_t rows, int64_t row_size);
/* Memory that somebody else keeps (a mapped file), read only: drop(owner) is called when the last
 * reference goes, and also when this function fails. */
int agi_buffer_wrap(agi_buffer **out, ag_backend *be, void *data, int64_t bytes, void *owner,
                    void (*drop)(void *owner));

/* Makes the first `bytes` of a reserved buffer's row usable, zeroed where they are new. It never
 * moves or shrinks, and a failure leaves it as it was. */
int agi_buffer_commit(agi_buffer *b, int64_t row, int64_t bytes);
int agi_buffer_decommit(agi_buffer *b, int64_t row); /* where the backend can */
/* Whether the bytes lo .. hi - 1 are usable. */
bool agi_buffer_has(const agi_buffer *b, int64_t lo, int64_t hi);

void agi_buffer_retain(agi_buffer *b);
void agi_buffer_free(agi_buffer *b); /* drops one reference; accepts NULL */

#endif
