/* plan.c: capture and replay on any backend, and the door through which every validated op goes: it
 * runs, or joins the plan that is being captured. */
#include "plan.h"
#include "error.h"
#include "grow.h"
#include "tensor.h"

#include <stdlib.h>

static int plan_retain(ag_plan *plan, agi_buffer *b)
{
    for (int i = 0; i < plan->n_buffers; i++)
        if (plan->buffers[i] == b) return AG_OK;
    if (!agi_grow((void **)&plan->buffers, plan->n_buffers, &plan->cap_buffers,
                  sizeof *plan->buffers))
        return agi_fail(AG_ENOMEM, "capture: out of memory");
    agi_buffer_retain(b);
    plan->buffers[plan->n_buffers++] = b;
    return AG_OK;
}

int agi_dispatch(ag_backend *be, const agi_call *call)
{
    if (ag_interrupted()) return agi_fail(AG_EINTERRUPTED, "interrupted");
    if (!be->recording) return be->slots->run(be, call);
    for (int i = 0; i < call->n_access; i++) {
        int rc = plan_retain(be->recording, call->access[i].buf);
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
    ag_backend_retain(be);
    be->recording = plan;
    return AG_OK;
}

int ag_capture_end(ag_plan **out, ag_backend *be)
{
    *out = NULL;
    if (!be || !be->recording) return agi_fail(AG_EINVAL, "capture: none has begun");
    ag_plan *plan = be->recording;
    be->recording = NULL;
    int rc = plan->impl && be->slots->plan_end ? be->slots->plan_end(plan) : AG_OK;
    if (rc) ag_plan_free(plan);
    else *out = plan;
    return rc;
}

void ag_capture_abort(ag_backend *be)
{
    if (!be || !be->recording) return;
    ag_plan *plan = be->recording;
    be->recording = NULL;
    ag_plan_free(plan);
}

int ag_capturing(const ag_backend *be) { return be->recording != NULL; }

static int can_run(const ag_plan *plan)
{
    if (!plan) return agi_fail(AG_EINVAL, "plan: none");
    if (plan->be->recording)
        return agi_fail(AG_EINVAL, "plan: cannot run while another is being captured");
    if (ag_interrupted()) return agi_fail(AG_EINTERRUPTED, "interrupted");
    return AG_OK;
}

int ag_plan_run(ag_plan *plan)
{
    int rc = can_run(plan);
    return rc ? rc : plan->be->slots->plan_run(plan);
}

int ag_plan_read(ag_plan *plan, const ag_tensor *t, void *dst, int64_t bytes)
{
    int rc = can_run(plan);
    if (rc == AG_OK) rc = agi_host_copy_check("read", t, dst, bytes);
    if (rc) return rc;
    if (t->buf->be != plan->be)
        return agi_fail(AG_EINVAL, "read: the tensor is of another backend than the plan");
    if (plan->be->slots->plan_read && bytes > 0)
        return plan->be->slots->plan_read(plan, dst, agi_tensor_data(t), bytes);
    rc = plan->be->slots->plan_run(plan);
    return rc ? rc : ag_tensor_read(t, dst, bytes);
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
