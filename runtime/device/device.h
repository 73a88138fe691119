/*
 * device.h: the backend of a GPU, which is a shared object of its own (libargent_cuda.so), opened
 * when a script asks for it, so that one build runs with and without a driver.
 * libargent_emulated.so is the same object with the kernels as plain C and host memory: what CI can
 * run.
 *
 * device.c is the backend; fuse.c makes the launches of a plan from its ops; cuda.c and host.c are
 * the two machines under them.
 */
#ifndef ARGENT_DEVICE_H
#define ARGENT_DEVICE_H

#include "../backend.h"
#include "../../kernels/cuda/fused.h"

/* What the object needs of libargent; abi and ops (AG_ABI, AGI_OPS) are those that libargent was
 * built with, and must be the object's own. */
typedef struct {
    int abi, ops;
    int (*fail)(int code, const char *fmt, ...);
    int (*fault)(int what, int64_t a, int64_t b, int64_t c, int64_t d); /* agi_fault_fail */
} agi_device_host;

/* The one exported function, "agi_device_open"; number: which device, from 0. */
typedef int agi_device_open_fn(ag_backend **out, const agi_device_host *host, int number);

/* ---- from ops to launches ---- */

/* An op of a plan, and the bytes that it touches, in the order in which its front (ops_*.c) names
 * them: the rows that a product, conv1d or norm works on come first. */
enum { AGI_ROWS_ACCESS = 0 };
typedef struct {
    enum agi_op op;
    void *args;
    size_t size;
    int n;
    agi_access access[AGI_MAX_ACCESS];
    bool taken; /* by a launch */
} agi_entry;

/* A launch is an op's, or one of several ops (kernels/cuda/fused.h). */
enum agi_launch_kind {
    AGI_LAUNCH_PRODUCT = AGI_OPS,
    AGI_LAUNCH_ATTEND,
    AGI_LAUNCH_SMALL,
    AGI_LAUNCHES
};

/* Takes a launch. early: it may be started before the one before it has ended. */
typedef int agi_emit(void *ctx, int kind, const void *args, size_t size, bool early);

/* Emits the launches that do what the entries do, in an order and with bits that cannot be told
 * from theirs. 0, or the first other thing that emit returned. The entries are changed. */
int agi_fuse(agi_entry *entries, int n, agi_emit *emit, void *ctx);

/* ---- the machine ---- */
/* Functions return 0, or fail with a message through `host`. But for open, close and those that
 * only tell something they, and launches, stand between enter and leave: these make the machine's
 * device the thread's current one, and the one that was current before current again. */
typedef struct agi_machine agi_machine;

int agi_machine_open(agi_machine **out, const agi_device_host *host, int number);
void agi_machine_close(agi_machine *m);
void agi_machine_enter(agi_machine *m);
void agi_machine_leave(agi_machine *m);
const char *agi_machine_kind(void);                /* "cuda", "cuda-emulated" */
const char *agi_machine_isa(const agi_machine *m); /* "sm_90", "emulated" */
void *agi_machine_stream(const agi_machine *m);
/* Whether launches may begin before those before them end. */
bool agi_machine_dependent(const agi_machine *m);

int agi_machine_alloc(agi_machine *m, int64_t bytes, char **out); /* zeroed */
void agi_machine_free(agi_machine *m, char *data, int64_t bytes);
int64_t agi_machine_page(const agi_machine *m); /* what commit works in */
int agi_machine_reserve(agi_machine *m, int64_t bytes, char **out);
/* from is a multiple of the page, or where an earlier commit ended. */
int agi_machine_commit(agi_machine *m, char *data, int64_t from, int64_t to); /* zeroed */
void agi_machine_unreserve(agi_machine *m, char *data, int64_t bytes);
/* Zeroed memory that host and device both see at the same address. */
void *agi_machine_shared(agi_machine *m, int64_t bytes);
void agi_machine_unshare(agi_machine *m, void *p);
/* In the order of the stream; upload may return before the device has the bytes, src is free by
 * then. */
int agi_machine_upload(agi_machine *m, char *dst, const void *src, int64_t bytes);
int agi_machine_download(agi_machine *m, void *dst, const char *src, int64_t bytes);
int agi_machine_sync(agi_machine *m);
/* Asks a library of the machine's for a product; false: it has none, or none that takes this one.
 * *rc is 0 or what the machine failed with. */
bool agi_machine_matmul(agi_machine *m, const agi_matmul_args *a, int *rc);
/* Says what a launch that returned an error of the machine has met. */
int agi_machine_launch_failed(agi_machine *m, const char *op, int rc);

/* A plan: `launch` makes all of its launches on the machine's stream. The first time they are just
 * that; from the second on they are a graph, kept in *graph, that starts them at once. */
int agi_machine_replay(agi_machine *m, void **graph, int runs, int (*launch)(void *plan),
                       void *plan);
void agi_machine_forget(agi_machine *m, void *graph);

#endif
