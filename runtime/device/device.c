/* device.c: a GPU as a backend: launches, plans, and the faults that kernels find in the data. See
 * device.h. */
#include "device.h"
#include "../grow.h"
#include "../ops.h"
#include "../plan.h"

#include <stdlib.h>
#include <string.h>

typedef int kernel_fn(const void *args, const agi_launch *l);

/* Weak: an op that has no kernel here is an empty slot, not a library that does not open. */
#define AG_OP(name, ...) __attribute__((weak)) kernel_fn agi_cuda_##name;
#include "../ops.def"
#undef AG_OP

static const struct {
    kernel_fn *launch;
    const char *name;
} kernels[AGI_LAUNCHES] = {
#define AG_OP(name, ...) [AGI_OP_##name] = {agi_cuda_##name, #name},
#include "../ops.def"
#undef AG_OP
    [AGI_LAUNCH_PRODUCT] = {agi_cuda_product, "linear"},
    [AGI_LAUNCH_ATTEND] = {agi_cuda_attend, "attention"},
    [AGI_LAUNCH_SMALL] = {agi_cuda_small, "small ops"},
};

typedef struct {
    ag_backend base;
    agi_machine *machine;
    agi_device_host host;
    agi_fault *fault; /* shared */
} device;

static device *of(ag_backend *be) { return (device *)be; }

static device *enter(ag_backend *be)
{
    agi_machine_enter(of(be)->machine);
    return of(be);
}

static int leave(device *d, int rc)
{
    agi_machine_leave(d->machine);
    return rc;
}

/* ---- faults of the data ---- */

/* What the kernels have met, once they have ended. */
static int take_fault(device *d)
{
    const agi_fault f = *d->fault;
    if (f.what == AGI_NO_FAULT) return AG_OK;
    d->fault->what = AGI_NO_FAULT;
    return d->host.fault(f.what, f.a, f.b, f.c, f.d);
}

static int settle(device *d)
{
    int rc = agi_machine_sync(d->machine);
    return rc ? rc : take_fault(d);
}

/* ---- ops ---- */

static int64_t scratch_of(int kind, const void *args)
{
    switch (kind) {
    case AGI_OP_sample: return agi_cuda_sample_scratch(args);
    case AGI_OP_attention: return agi_cuda_attention_scratch(args);
    case AGI_LAUNCH_ATTEND:
        return agi_cuda_attention_scratch(&((const agi_attend_args *)args)->attention);
    default: return 0;
    }
}

static int no_kernel(const device *d, enum agi_op op)
{
    return d->host.fail(AG_EUNSUPPORTED, "%s: the backend '%s' has no kernel for it; use the cpu",
                        kernels[op].name, d->base.kind);
}

static int launch(device *d, int kind, const void *args, char *scratch, bool dependent,
                  int *started)
{
    const agi_launch l = {agi_machine_stream(d->machine), d->fault, scratch, dependent, started};
    int rc;
    if (kind == AGI_OP_matmul && agi_machine_matmul(d->machine, args, &rc)) {
        *started = 1;
        return rc;
    }
    rc = kernels[kind].launch(args, &l);
    if (rc == AGI_NO_KERNEL)
        return d->host.fail(AG_EUNSUPPORTED, "%s: heads this wide have no kernel on this backend",
                            kernels[kind].name);
    return rc ? agi_machine_launch_failed(d->machine, kernels[kind].name, rc) : AG_OK;
}

/* Ops whose data can be at fault; the others need no wait. */
static bool may_fault(enum agi_op op)
{
    return op == AGI_OP_embedding || op == AGI_OP_nearest || op == AGI_OP_sample ||
           op == AGI_OP_attention || op == AGI_OP_attention_probs || op == AGI_OP_rope_append ||
           op == AGI_OP_rope_angles || op == AGI_OP_advance || op == AGI_OP_gather;
}

static int run_call(device *d, const agi_call *call)
{
    const int64_t need = scratch_of((int)call->op, call->args);
    char *scratch = NULL;
    int rc = AG_OK, started;
    if (need) rc = agi_machine_alloc(d->machine, need, &scratch);
    if (rc == AG_OK) rc = launch(d, (int)call->op, call->args, scratch, false, &started);
    if (rc == AG_OK && may_fault(call->op)) rc = settle(d);
    if (scratch) agi_machine_free(d->machine, scratch, need);
    return rc;
}

static int run(ag_backend *be, const agi_call *call)
{
    if (!kernels[call->op].launch) return no_kernel(of(be), call->op);
    device *d = enter(be);
    return leave(d, run_call(d, call));
}

/* ---- plans ---- */

typedef struct {
    int kind;
    bool early;
    void *args;
    char *scratch;
    int64_t scratch_bytes;
} step;

typedef struct {
    device *d;
    agi_entry *entries; /* until the end of the recording */
    int n_entries, cap_entries;
    step *steps;
    int n, cap, runs;
    void *graph;
} plan_list;

static int no_memory(const device *d) { return d->host.fail(AG_ENOMEM, "capture: out of memory"); }

static int record(ag_backend *be, ag_plan *plan, const agi_call *call)
{
    device *d = of(be);
    plan_list *p = plan->impl;
    if (!kernels[call->op].launch) return no_kernel(d, call->op);
    if (!p && !(p = plan->impl = calloc(1, sizeof *p))) return no_memory(d);
    p->d = d;
    if (!agi_grow((void **)&p->entries, p->n_entries, &p->cap_entries, sizeof *p->entries))
        return no_memory(d);
    agi_entry e = {.op = call->op, .size = call->args_size, .n = call->n_access};
    memcpy(e.access, call->access, sizeof e.access);
    e.args = malloc(call->args_size);
    if (!e.args) return no_memory(d);
    memcpy(e.args, call->args, call->args_size);
    p->entries[p->n_entries++] = e;
    return AG_OK;
}

static int add_step(void *plan, int kind, const void *args, size_t size, bool early)
{
    plan_list *p = plan;
    step s = {kind, early, malloc(size), NULL, scratch_of(kind, args)};
    if (!s.args || !agi_grow((void **)&p->steps, p->n, &p->cap, sizeof *p->steps)) {
        free(s.args);
        return no_memory(p->d);
    }
    memcpy(s.args, args, size);
    int rc = s.scratch_bytes ? agi_machine_alloc(p->d->machine, s.scratch_bytes, &s.scratch) : 0;
    if (rc) {
        free(s.args);
        return rc;
    }
    p->steps[p->n++] = s;
    return AG_OK;
}

static void drop_entries(plan_list *p)
{
    for (int i = 0; i < p->n_entries; i++) free(p->entries[i].args);
    free(p->entries);
    p->entries = NULL;
    p->n_entries = p->cap_entries = 0;
}

static int plan_end(ag_plan *plan)
{
    plan_list *p = plan->impl;
    enter(plan->be);
    int rc = agi_fuse(p->entries, p->n_entries, add_step, p);
    drop_entries(p);
    plan->barriers = p->n;
    return leave(p->d, rc);
}

/* The first kernel waits for all that was done before the plan; the others know what they
 * follow. */
static int launch_all(void *plan)
{
    plan_list *p = plan;
    int started = 0;
    for (int i = 0; i < p->n; i++) {
        const step *s = &p->steps[i];
        const bool dependent = started && s->early && agi_machine_dependent(p->d->machine);
        int rc = launch(p->d, s->kind, s->args, s->scratch, dependent, &started);
        if (rc) return rc;
    }
    return AG_OK;
}

static int replay(plan_list *p)
{
    int rc = agi_machine_replay(p->d->machine, &p->graph, p->runs, launch_all, p);
    if (rc == AG_OK && p->runs < 2) p->runs++;
    return rc;
}

static int plan_run(ag_plan *plan)
{
    plan_list *p = plan->impl;
    if (!p) return AG_OK;
    device *d = enter(plan->be);
    int rc = replay(p);
    return leave(d, rc ? rc : settle(d));
}

static int plan_read(ag_plan *plan, void *dst, const char *src, int64_t bytes)
{
    plan_list *p = plan->impl;
    device *d = enter(plan->be);
    int rc = p ? replay(p) : AG_OK;
    if (rc == AG_OK) rc = agi_machine_download(d->machine, dst, src, bytes);
    return leave(d, rc ? rc : take_fault(d));
}

static void plan_free(ag_plan *plan)
{
    plan_list *p = plan->impl;
    if (!p) return;
    device *d = enter(plan->be);
    agi_machine_forget(d->machine, p->graph);
    drop_entries(p);
    for (int i = 0; i < p->n; i++) {
        free(p->steps[i].args);
        if (p->steps[i].scratch)
            agi_machine_free(d->machine, p->steps[i].scratch, p->steps[i].scratch_bytes);
    }
    free(p->steps);
    free(p);
    leave(d, AG_OK);
}

/* ---- memory ---- */

static int mem_alloc(ag_backend *be, int64_t bytes, char **out)
{
    device *d = enter(be);
    return leave(d, agi_machine_alloc(d->machine, bytes, out));
}
static void mem_free(ag_backend *be, char *data, int64_t bytes)
{
    device *d = enter(be);
    agi_machine_free(d->machine, data, bytes);
    leave(d, AG_OK);
}
static int64_t mem_page(const ag_backend *be)
{
    return agi_machine_page(((const device *)be)->machine);
}
static int mem_reserve(ag_backend *be, int64_t bytes, char **out)
{
    device *d = enter(be);
    return leave(d, agi_machine_reserve(d->machine, bytes, out));
}
static int mem_commit(ag_backend *be, char *data, int64_t from, int64_t to)
{
    device *d = enter(be);
    return leave(d, agi_machine_commit(d->machine, data, from, to));
}
static void mem_unreserve(ag_backend *be, char *data, int64_t bytes)
{
    device *d = enter(be);
    agi_machine_unreserve(d->machine, data, bytes);
    leave(d, AG_OK);
}
static int upload(ag_backend *be, char *dst, const void *src, int64_t bytes)
{
    device *d = enter(be);
    return leave(d, agi_machine_upload(d->machine, dst, src, bytes));
}
static int download(ag_backend *be, void *dst, const char *src, int64_t bytes)
{
    device *d = enter(be);
    return leave(d, agi_machine_download(d->machine, dst, src, bytes));
}
static int sync(ag_backend *be)
{
    device *d = enter(be);
    return leave(d, settle(d));
}

static void destroy(ag_backend *be)
{
    device *d = enter(be);
    agi_machine_unshare(d->machine, d->fault);
    leave(d, AG_OK);
    agi_machine_close(d->machine);
    free(d);
}

static const agi_backend_slots slots = {
    .far = true,
    .alloc = mem_alloc,
    .free = mem_free,
    .page = mem_page,
    .reserve = mem_reserve,
    .commit = mem_commit,
    .unreserve = mem_unreserve,
    .upload = upload,
    .download = download,
    .sync = sync,
    .run = run,
    .record = record,
    .plan_end = plan_end,
    .plan_run = plan_run,
    .plan_read = plan_read,
    .plan_free = plan_free,
    .destroy = destroy,
};

__attribute__((visibility("default"))) int agi_device_open(ag_backend **out,
                                                           const agi_device_host *host, int number)
{
    *out = NULL;
    if (host->abi != AG_ABI || host->ops != AGI_OPS)
        return host->fail(AG_EUNSUPPORTED,
                          "backend '%s': its library is of another version than libargent (ABI %d "
                          "and %d, %d and %d ops): build or install both again",
                          agi_machine_kind(), AG_ABI, host->abi, AGI_OPS, host->ops);
    device *d = calloc(1, sizeof *d);
    if (!d) return host->fail(AG_ENOMEM, "backend: out of memory");
    d->host = *host;
    int rc = agi_machine_open(&d->machine, &d->host, number);
    if (rc) {
        free(d);
        return rc;
    }
    enter(&d->base);
    d->fault = agi_machine_shared(d->machine, sizeof *d->fault);
    leave(d, AG_OK);
    if (!d->fault) {
        agi_machine_close(d->machine);
        free(d);
        return host->fail(AG_ENOMEM, "backend '%s': out of memory", agi_machine_kind());
    }
    memset(d->fault, 0, sizeof *d->fault);
    d->base = (ag_backend){.refs = 1,
                           .kind = agi_machine_kind(),
                           .slots = &slots,
                           .isa = agi_machine_isa(d->machine),
                           .threads = 1};
    *out = &d->base;
    return AG_OK;
}
