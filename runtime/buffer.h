/* buffer.h: memory of a backend, counted by reference. Tensors are shapes over it; plans keep it. */
#ifndef ARGENT_BUFFER_H
#define ARGENT_BUFFER_H

#include "argent.h"

typedef struct agi_buffer {
    ag_backend *be; /* retained */
    int refs;
    char *data;
    int64_t bytes;    /* usable now: allocated or committed */
    int64_t reserved; /* addresses held; equals bytes but for reserved buffers */
    enum { AGI_HEAP, AGI_RESERVED, AGI_MAPPED } kind;
    char *told;  /* AGI_RESERVED where kernels cannot read `bytes`: a copy of it that they can */
    void *owner; /* AGI_MAPPED: what keeps the mapping, given back by drop(owner) */
    void (*drop)(void *owner);
} agi_buffer;

/* Each makes a buffer with one reference; *out is NULL after a failure. */
int agi_buffer_alloc(agi_buffer **out, ag_backend *be, int64_t bytes); /* zeroed */
int agi_buffer_reserve(agi_buffer **out, ag_backend *be, int64_t bytes);
/* Memory that somebody else keeps (a mapped file), read only: drop(owner) is called when the last
 * reference goes, and also when this function fails. */
int agi_buffer_wrap(agi_buffer **out, ag_backend *be, void *data, int64_t bytes, void *owner,
                    void (*drop)(void *owner));

/* Makes the first `bytes` of a reserved buffer usable, zeroed where they are new. It never moves or
 * shrinks, and a failure leaves it as it was. */
int agi_buffer_commit(agi_buffer *b, int64_t bytes);

void agi_buffer_retain(agi_buffer *b);
void agi_buffer_free(agi_buffer *b); /* drops one reference; accepts NULL */

#endif
