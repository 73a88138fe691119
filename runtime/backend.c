/* backend.c: what all backends share: references, capture, and the door through which every
 * validated op goes. */
#include "backend.h"
#include "error.h"

#include <stdlib.h>
#include <string.h>

const char *const agi_op_names[AGI_OPS] = {
#define AG_OP(name, ...) #name,
#include "ops.def"
#undef AG_OP
};

int ag_backend_new(ag_backend **out, const char *kind, int threads, const char *isa)
{
    *out = NULL;
    if (!kind || strcmp(kind, "cpu") != 0)
        return agi_fail(AG_EUNSUPPORTED, "backend '%s': this build has cpu", kind ? kind : "");
    return agi_backend_cpu_new(out, threads, isa);
}

void agi_backend_retain(ag_backend *be) { be->refs++; }

void ag_backend_free(ag_backend *be)
{
    if (be && --be->refs == 0) be->slots->destroy(be);
}

const char *ag_backend_kind(const ag_backend *be) { return be->kind; }

double ag_backend_live_bytes(const ag_backend *be) { return (double)be->live; }

int ag_backend_sync(ag_backend *be) { return be->slots->sync(be); }

/* ---- plans ---- */

static int plan_retain(ag_plan *plan, agi_buffer *b)
{
    for (int i = 0; i < plan->n_buffers; i++)
        if (plan->buffers[i] == b) return AG_OK;
    if (plan->n_buffers == plan->cap_buffers) {
        int cap = plan->cap_buffers ? 2 * plan->cap_buffers : 64;
        agi_buffer **p = realloc(plan->buffers, (size_t)cap * sizeof(*p));
        if (!p) return agi_fail(AG_ENOMEM, "capture: out of memory");
        plan->buffers = p;
        plan->cap_buffers = cap;
    }
    agi_buffer_retain(b);
    plan->buffers[plan->n_buffers++] = b;
    return AG_OK;
}

int agi_dispatch(ag_backend *be, const agi_call *call)
{
    if (ag_interrupted()) return agi_fail(AG_EINTERRUPTED, "interrupted");
    if (!be->recording) return be->slots->run(be, call);
    for (int i = 0; i < call->n_access; i++) {
        int rc = plan_retain(be->recording, call->access[i].t->buf);
        if (rc) return rc;
    }
    int rc = be->slots->record(be, be->recording, call);
    if (rc == AG_OK) be->recording->size++;
    return rc;
}

int ag_capture_begin(ag_backend *be)
{
    if (!be) return agi_fail(AG_EINVAL, "capture: no backend");
    if (be->recording) return agi_fail(AG_EINVAL, "capture: a plan is being captured already");
    ag_plan *plan = calloc(1, sizeof *plan);
    if (!plan) return agi_fail(AG_ENOMEM, "capture: out of memory");
    plan->be = be;
    agi_backend_retain(be);
    be->recording = plan;
    return AG_OK;
}

int ag_capture_end(ag_plan **out, ag_backend *be)
{
    *out = NULL;
    if (!be || !be->recording) return agi_fail(AG_EINVAL, "capture: none has begun");
    *out = be->recording;
    be->recording = NULL;
    return AG_OK;
}

void ag_capture_abort(ag_backend *be)
{
    ag_plan *plan;
    if (ag_capture_end(&plan, be) == AG_OK) ag_plan_free(plan);
}

int ag_plan_run(ag_plan *plan)
{
    if (!plan) return agi_fail(AG_EINVAL, "plan: none");
    if (plan->be->recording)
        return agi_fail(AG_EINVAL, "plan: cannot run while another is being captured");
    if (ag_interrupted()) return agi_fail(AG_EINTERRUPTED, "interrupted");
    return plan->be->slots->plan_run(plan);
}

int ag_plan_size(const ag_plan *plan) { return plan->size; }

int ag_plan_barriers(const ag_plan *plan) { return plan->barriers; }

void ag_plan_free(ag_plan *plan)
{
    if (!plan) return;
    plan->be->slots->plan_free(plan);
    for (int i = 0; i < plan->n_buffers; i++) agi_buffer_free(plan->buffers[i]);
    free(plan->buffers);
    ag_backend_free(plan->be);
    free(plan);
}
