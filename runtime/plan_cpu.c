/* plan_cpu.c: running ops on the CPU, one at a time or as a recorded list that the worker team
 * walks. An op waits for the ones before it only where it touches bytes that one of them writes,
 * or writes bytes that one of them touches. */
#include "backend_cpu.h"
#include "../kernels/cpu/scratch.h"
#include "error.h"
#include "grow.h"
#include "plan.h"

#include <stdlib.h>
#include <string.h>

static agi_cpu_kernel *const kernels[AGI_OPS] = {
#define AG_OP(name, ...) [AGI_OP_##name] = agi_cpu_##name,
#include "ops.def"
#undef AG_OP
};

typedef struct {
    agi_cpu_kernel *kernel;
    void *args;
    bool barrier; /* wait for all workers before this op */
} entry;

typedef struct {
    entry *entries;
    int n, cap;
    agi_access *open; /* what the ops since the last barrier touch */
    int n_open, cap_open;
} cpu_plan;

/* ---- one op ---- */

static void run_one(void *ctx, agi_worker *w)
{
    const agi_call *call = ctx;
    int rc = kernels[call->op](call->args, w);
    if (rc) agi_team_report(w, rc);
}

int agi_cpu_run(ag_backend *be, const agi_call *call)
{
    /* Below this much work, waking the others costs more than they save. Results are the same
     * either way. */
    const double solo = 20000;
    agi_team *team = agi_cpu_team(be);
    int rc = agi_team_scratch(team, agi_cpu_scratch(call->op, call->args));
    if (rc) return rc;
    agi_call c = *call;
    return agi_team_run(team, run_one, &c, call->work < solo);
}

/* ---- recording ---- */

static bool must_wait(const cpu_plan *p, const agi_call *call)
{
    for (int i = 0; i < call->n_access; i++)
        for (int j = 0; j < p->n_open; j++)
            if (agi_conflict(&call->access[i], &p->open[j])) return true;
    return false;
}

int agi_cpu_record(ag_backend *be, ag_plan *plan, const agi_call *call)
{
    int rc = agi_team_scratch(agi_cpu_team(be), agi_cpu_scratch(call->op, call->args));
    if (rc) return rc;
    cpu_plan *p = plan->impl;
    if (!p && !(p = plan->impl = calloc(1, sizeof *p)))
        return agi_fail(AG_ENOMEM, "capture: out of memory");
    if (!agi_grow((void **)&p->entries, p->n, &p->cap, sizeof *p->entries))
        return agi_fail(AG_ENOMEM, "capture: out of memory");
    entry e = {.kernel = kernels[call->op],
               .args = malloc(call->args_size),
               .barrier = must_wait(p, call)};
    if (!e.args) return agi_fail(AG_ENOMEM, "capture: out of memory");
    memcpy(e.args, call->args, call->args_size);
    if (e.barrier) {
        p->n_open = 0;
        plan->barriers++;
    }
    p->entries[p->n++] = e;
    for (int i = 0; i < call->n_access; i++) {
        if (!agi_grow((void **)&p->open, p->n_open, &p->cap_open, sizeof *p->open))
            return agi_fail(AG_ENOMEM, "capture: out of memory");
        p->open[p->n_open++] = call->access[i];
    }
    return AG_OK;
}

/* ---- replay ---- */

static void walk(void *ctx, agi_worker *w)
{
    const cpu_plan *p = ctx;
    for (int i = 0; i < p->n; i++) {
        const entry *e = &p->entries[i];
        if (e->barrier && agi_team_barrier(w)) return;
        int rc = e->kernel(e->args, w);
        if (rc) agi_team_report(w, rc);
    }
}

int agi_cpu_plan_run(ag_plan *plan)
{
    return plan->impl ? agi_team_run(agi_cpu_team(plan->be), walk, plan->impl, false) : AG_OK;
}

void agi_cpu_plan_free(ag_plan *plan)
{
    cpu_plan *p = plan->impl;
    if (!p) return;
    for (int i = 0; i < p->n; i++) free(p->entries[i].args);
    free(p->entries);
    free(p->open);
    free(p);
}
