/* device.c: a GPU as a backend: launches, plans, and the faults that kernels find in the data. See
 * device.h. */
#include "device.h"
#include "ops.h"

#include <stdlib.h>
#include <string.h>

typedef int kernel_fn(const void *args, const agi_launch *l);

#define AG_OP(name, ...) kernel_fn agi_cuda_##name;
#include "ops.def"
#undef AG_OP

static kernel_fn *const kernels[AGI_OPS] = {
#define AG_OP(name, ...) [AGI_OP_##name] = agi_cuda_##name,
#include "ops.def"
#undef AG_OP
};

static const char *const names[AGI_OPS] = {
#define AG_OP(name, ...) #name,
#include "ops.def"
#undef AG_OP
};

typedef struct {
    ag_backend base;
    agi_machine *machine;
    agi_device_host host;
    agi_fault *fault; /* shared */
    char *scratch;    /* of eager ops */
    int64_t scratch_bytes;
} device;

static device *of(ag_backend *be) { return (device *)be; }

/* ---- faults of the data ---- */

static const char *const settings[] = {"temperature", "top-k", "top-p", "repetition penalty"};

static int fault_message(device *d, const agi_fault *f)
{
    const long long a = f->a, b = f->b, c = f->c;
    uint32_t bits = (uint32_t)f->c;
    float value;
    memcpy(&value, &bits, sizeof value);
    switch (f->what) {
    case AGI_FAULT_ID:
        return d->host.fail(f->code,
                            "embedding: id %lld (row %lld, group %lld) is not in its table of %lld",
                            a, b, c, (long long)f->d);
    case AGI_FAULT_NEAREST:
        return d->host.fail(f->code,
                            "nearest: row %lld of x is near no row of the table (NaN or infinite "
                            "values)",
                            a);
    case AGI_FAULT_NAN: return d->host.fail(f->code, "sample: logits of row %lld hold NaN", a);
    case AGI_FAULT_INF: return d->host.fail(f->code, "sample: logits of row %lld hold +inf", a);
    case AGI_FAULT_NO_LOGIT:
        return d->host.fail(f->code, "sample: row %lld has no finite logit left", a);
    case AGI_FAULT_SETTING:
        return d->host.fail(f->code, "sample: %s of row %lld is %g", settings[a], b,
                            value != value ? (double)NAN : (double)value);
    case AGI_FAULT_POSITION:
        return d->host.fail(f->code, "attention: position %lld of row %lld is negative", a, b);
    case AGI_FAULT_SLOTS:
        return d->host.fail(f->code, "attention: position %lld is beyond a cache of %lld slots", a,
                            b);
    case AGI_FAULT_COMMIT:
        return d->host.fail(
            f->code, "attention: position %lld is beyond the session's committed capacity", a);
    case AGI_FAULT_APPEND_POSITION:
        return d->host.fail(f->code, "rope_append: position %lld of row %lld is negative", a, b);
    case AGI_FAULT_APPEND_COMMIT:
        return d->host.fail(
            f->code, "rope_append: position %lld is beyond the session's committed capacity", a);
    default:
        return d->host.fail(f->code, "attention_probs: position %lld is beyond the %lld of out", a,
                            b);
    }
}

/* Waits, and says what the kernels have met since. */
static int settle(device *d)
{
    int rc = agi_machine_sync(d->machine);
    if (rc || !d->fault->code) return rc;
    agi_fault f = *d->fault;
    d->fault->code = 0;
    return fault_message(d, &f);
}

/* ---- ops ---- */

static int64_t scratch_of(const agi_call *call)
{
    if (call->op != AGI_OP_sample) return 0;
    return call->scratch * ((const agi_sample_args *)call->args)->rows;
}

static int launch(device *d, enum agi_op op, const void *args, char *scratch)
{
    const agi_launch l = {agi_machine_stream(d->machine), d->fault, scratch};
    if (op == AGI_OP_rope_append) {
        const agi_rope_append_args *a = args;
        if (a->steps > a->capacity)
            return d->host.fail(AG_ECAPACITY,
                                "rope_append: %lld steps do not fit a cache of %lld slots",
                                (long long)a->steps, (long long)a->capacity);
    }
    int rc = kernels[op](args, &l);
    return rc ? agi_machine_launch_failed(d->machine, names[op], rc) : AG_OK;
}

/* Ops whose data can be at fault; the others need no wait. */
static bool may_fault(enum agi_op op)
{
    return op == AGI_OP_embedding || op == AGI_OP_nearest || op == AGI_OP_sample ||
           op == AGI_OP_attention || op == AGI_OP_attention_probs || op == AGI_OP_rope_append;
}

static int run(ag_backend *be, const agi_call *call)
{
    device *d = of(be);
    int64_t need = scratch_of(call);
    if (need > d->scratch_bytes) {
        char *more;
        int rc = agi_machine_alloc(d->machine, need, &more);
        if (rc) return rc;
        if (d->scratch) agi_machine_free(d->machine, d->scratch, d->scratch_bytes);
        d->scratch = more;
        d->scratch_bytes = need;
    }
    int rc = launch(d, call->op, call->args, d->scratch);
    return rc || !may_fault(call->op) ? rc : settle(d);
}

/* ---- plans ---- */

typedef struct {
    enum agi_op op;
    void *args;
    char *scratch;
    int64_t scratch_bytes;
} entry;

typedef struct {
    device *d;
    entry *entries;
    int n, cap;
    void *graph;
} plan_list;

static int record(ag_backend *be, ag_plan *plan, const agi_call *call)
{
    device *d = of(be);
    plan_list *p = plan->impl;
    if (!p && !(p = plan->impl = calloc(1, sizeof *p)))
        return d->host.fail(AG_ENOMEM, "capture: out of memory");
    p->d = d;
    if (p->n == p->cap) {
        int cap = p->cap ? 2 * p->cap : 64;
        entry *more = realloc(p->entries, (size_t)cap * sizeof *more);
        if (!more) return d->host.fail(AG_ENOMEM, "capture: out of memory");
        p->entries = more;
        p->cap = cap;
    }
    entry e = {call->op, malloc(call->args_size), NULL, scratch_of(call)};
    if (!e.args) return d->host.fail(AG_ENOMEM, "capture: out of memory");
    memcpy(e.args, call->args, call->args_size);
    if (e.scratch_bytes > 0) {
        int rc = agi_machine_alloc(d->machine, e.scratch_bytes, &e.scratch);
        if (rc) {
            free(e.args);
            return rc;
        }
    }
    p->entries[p->n++] = e;
    return AG_OK;
}

static int launch_all(void *plan)
{
    plan_list *p = plan;
    for (int i = 0; i < p->n; i++) {
        int rc = launch(p->d, p->entries[i].op, p->entries[i].args, p->entries[i].scratch);
        if (rc) return rc;
    }
    return AG_OK;
}

static int plan_run(ag_plan *plan)
{
    plan_list *p = plan->impl;
    if (!p) return AG_OK;
    int rc = agi_machine_replay(p->d->machine, &p->graph, launch_all, p);
    return rc ? rc : settle(p->d);
}

static void plan_free(ag_plan *plan)
{
    plan_list *p = plan->impl;
    if (!p) return;
    agi_machine_forget(p->d->machine, p->graph);
    for (int i = 0; i < p->n; i++) {
        free(p->entries[i].args);
        if (p->entries[i].scratch)
            agi_machine_free(p->d->machine, p->entries[i].scratch, p->entries[i].scratch_bytes);
    }
    free(p->entries);
    free(p);
}

/* ---- memory ---- */

static int mem_alloc(ag_backend *be, int64_t bytes, char **out)
{
    return agi_machine_alloc(of(be)->machine, bytes, out);
}
static void mem_free(ag_backend *be, char *data, int64_t bytes)
{
    agi_machine_free(of(be)->machine, data, bytes);
}
static int mem_reserve(ag_backend *be, int64_t bytes, char **out)
{
    return agi_machine_reserve(of(be)->machine, bytes, out);
}
static int mem_commit(ag_backend *be, char *data, int64_t from, int64_t to)
{
    return agi_machine_commit(of(be)->machine, data, from, to);
}
static void mem_unreserve(ag_backend *be, char *data, int64_t bytes)
{
    agi_machine_unreserve(of(be)->machine, data, bytes);
}
static void *mem_shared(ag_backend *be, int64_t bytes)
{
    return agi_machine_shared(of(be)->machine, bytes);
}
static void mem_unshare(ag_backend *be, void *p) { agi_machine_unshare(of(be)->machine, p); }
static int upload(ag_backend *be, char *dst, const void *src, int64_t bytes)
{
    return agi_machine_upload(of(be)->machine, dst, src, bytes);
}
static int download(ag_backend *be, void *dst, const char *src, int64_t bytes)
{
    return agi_machine_download(of(be)->machine, dst, src, bytes);
}
static int sync(ag_backend *be) { return settle(of(be)); }

static void destroy(ag_backend *be)
{
    device *d = of(be);
    if (d->scratch) agi_machine_free(d->machine, d->scratch, d->scratch_bytes);
    agi_machine_unshare(d->machine, d->fault);
    agi_machine_close(d->machine);
    free(d);
}

static const agi_backend_slots slots = {
    .alloc = mem_alloc,
    .free = mem_free,
    .reserve = mem_reserve,
    .commit = mem_commit,
    .unreserve = mem_unreserve,
    .shared = mem_shared,
    .unshare = mem_unshare,
    .upload = upload,
    .download = download,
    .sync = sync,
    .run = run,
    .record = record,
    .plan_run = plan_run,
    .plan_free = plan_free,
    .destroy = destroy,
};

__attribute__((visibility("default"))) int agi_device_open(ag_backend **out,
                                                           const agi_device_host *host)
{
    *out = NULL;
    if (host->abi != AGI_DEVICE_ABI || host->ops != AGI_OPS)
        return host->fail(AG_EUNSUPPORTED, "backend '%s': its library is of another build",
                          agi_machine_kind());
    device *d = calloc(1, sizeof *d);
    if (!d) return host->fail(AG_ENOMEM, "backend: out of memory");
    d->host = *host;
    int rc = agi_machine_open(&d->machine, &d->host);
    if (rc) {
        free(d);
        return rc;
    }
    d->fault = agi_machine_shared(d->machine, sizeof *d->fault);
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
