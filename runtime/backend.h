/* backend.h: what a backend is: memory slots, and ways to run an op and to record it. The CPU is
 * backend_cpu.c and plan_cpu.c, a GPU device/device.c. */
#ifndef ARGENT_BACKEND_H
#define ARGENT_BACKEND_H

#include "argent.h"

#include <stdbool.h>
#include <stddef.h>

enum agi_op {
#define AG_OP(name, ...) AGI_OP_##name,
#include "ops.def"
#undef AG_OP
    AGI_OPS
};

extern const char *const agi_op_names[AGI_OPS];

typedef struct agi_buffer agi_buffer; /* buffer.h */

/* Bytes [lo, hi) of a buffer that an op reads, or reads and writes. */
typedef struct {
    agi_buffer *buf;
    int64_t lo, hi;
    bool write;
} agi_access;

/* Whether the order of the two makes a difference. */
static inline bool agi_conflict(const agi_access *a, const agi_access *b)
{
    return a->buf == b->buf && (a->write || b->write) && a->lo < b->hi && b->lo < a->hi;
}

/* One validated call. `args` is the op's argument struct (ops.h), copied when it is recorded. */
enum { AGI_MAX_ACCESS = 12 };
typedef struct {
    enum agi_op op;
    const void *args;
    size_t args_size;
    double work; /* multiply-adds or bytes, roughly: small eager ops stay on the calling thread */
    int n_access;
    agi_access access[AGI_MAX_ACCESS];
} agi_call;

typedef struct {
    bool far;    /* kernels do not see the host's memory */
    bool packed; /* products read packed weights */
    int (*alloc)(ag_backend *be, int64_t bytes, char **out); /* zeroed, 64-byte aligned */
    void (*free)(ag_backend *be, char *data, int64_t bytes);
    int64_t (*page)(const ag_backend *be); /* what commit works in */
    int (*reserve)(ag_backend *be, int64_t bytes, char **out);
    int (*commit)(ag_backend *be, char *data, int64_t from, int64_t to); /* zeroed */
    int (*decommit)(ag_backend *be, char *data, int64_t from, int64_t to); /* NULL: keeps it */
    void (*unreserve)(ag_backend *be, char *data, int64_t bytes);
    int (*upload)(ag_backend *be, char *dst, const void *src, int64_t bytes);
    int (*download)(ag_backend *be, void *dst, const char *src, int64_t bytes);
    /* n elements of host memory at src become those at dst; NULL: convert on the host, then
     * upload. */
    int (*convert)(ag_backend *be, char *dst, int to, const char *src, int from, int64_t n);
    int (*sync)(ag_backend *be);
    int (*scan)(ag_backend *be, const char *data, int64_t bytes, int streams, int ahead,
                uint32_t *seen); /* ag_tensor_scan; may be NULL */
    int (*pin)(ag_backend *be); /* ag_backend_pin; may be NULL */
    int (*peak)(ag_backend *be, int i, int64_t rounds, double *done); /* ag_peak_run; may be NULL */
    /* Floats that packed weights take; NULL where there is no packed_conv1d. */
    int64_t (*packed_conv1d_size)(const ag_backend *be, int64_t outs, int64_t taps,
                                  int64_t channels);
    /* What matmul goes through, opened when it is first asked for; NULL, also given: nothing. */
    const struct agi_blas *(*blas)(ag_backend *be);
    int (*run)(ag_backend *be, const agi_call *call);
    int (*record)(ag_backend *be, ag_plan *plan, const agi_call *call);
    int (*plan_end)(ag_plan *plan); /* all is recorded; may be NULL */
    int (*plan_run)(ag_plan *plan);
    /* plan_run, then download, with one wait; NULL: one after the other. */
    int (*plan_read)(ag_plan *plan, void *dst, const char *src, int64_t bytes);
    void (*plan_free)(ag_plan *plan); /* what record and plan_run made; not the plan itself */
    void (*destroy)(ag_backend *be);
} agi_backend_slots;

struct ag_backend {
    int refs;
    const char *kind, *isa;
    int threads;
    const agi_backend_slots *slots;
    int64_t live;       /* bytes */
    ag_plan *recording; /* between ag_capture_begin and _end */
};

#endif
