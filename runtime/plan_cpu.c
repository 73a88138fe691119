/* plan_cpu.c: running ops on the CPU, one at a time or as a recorded list that the worker team
 * walks. An op waits for the ones before it only where it touches bytes that one of them writes,
 * or writes bytes that one of them touches. */
#include "backend_cpu.h"
#include "../kernels/cpu/scratch.h"
#include "error.h"
#include "grow.h"
#include "ops.h"
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
    int parts;
} entry;

/* A stage is ops that need not wait for each other, one after the other in the list. */
typedef struct {
    entry *entries;
    int n, cap;
    int *first; /* entry of each stage */
    int *parts; /* of each stage, those of all its entries */
    int stages, cap_first, cap_parts;
    agi_access *open; /* what the ops of the last stage touch */
    int n_open, cap_open;
} cpu_plan;

static int run_part(agi_cpu_kernel *kernel, const void *args, int part, int parts, agi_worker *w)
{
    w->index = part;
    w->count = parts;
    /* Only stages of several parts have turns of their own. */
    w->again = parts > 1 && w->last == args && w->last_turn == w->turn;
    w->last = args;
    w->last_turn = w->turn;
    return kernel(args, w);
}

static const struct agi_isa *isa_of(const ag_backend *be)
{
    return ((const agi_backend_cpu *)be)->isa;
}

/* ---- one op ---- */

typedef struct {
    const agi_call *call;
    int parts;
} single;

static int run_single(void *ctx, int stage, int part, agi_worker *w)
{
    (void)stage;
    const single *s = ctx;
    return run_part(kernels[s->call->op], s->call->args, part, s->parts, w);
}

int agi_cpu_run(ag_backend *be, const agi_call *call)
{
    agi_team *team = agi_cpu_team(be);
    int rc = agi_team_scratch(team, agi_cpu_scratch(isa_of(be), call->op, call->args));
    if (rc) return rc;
    single s = {call, agi_team_parts(team, call->work)};
    return agi_team_run(team, &(agi_job){1, &s.parts, run_single, &s});
}

/* The op copy of a run of elements. Memory that is new costs more than the conversion, and all
 * workers take it at once. */
int agi_cpu_convert(ag_backend *be, char *dst, int to, const char *src, int from, int64_t n)
{
    agi_copy_args a = {.out = dst,
                       .x = src,
                       .out_dtype = to,
                       .x_dtype = from,
                       .ndim = 1,
                       .shape = {n},
                       .out_stride = {1},
                       .x_stride = {1}};
    return agi_cpu_run(be, &(agi_call){.op = AGI_OP_copy, .args = &a, .work = (double)n});
}

/* ---- recording ---- */

static bool must_wait(const cpu_plan *p, const agi_call *call)
{
    for (int i = 0; i < call->n_access; i++)
        for (int j = 0; j < p->n_open; j++)
            if (agi_conflict(&call->access[i], &p->open[j])) return true;
    return false;
}

/* Room for one more entry, stage, and so many accesses: after this nothing fails. */
static bool make_room(cpu_plan *p, int accesses)
{
    for (int i = 0; i < accesses; i++)
        if (!agi_grow((void **)&p->open, p->n_open + i, &p->cap_open, sizeof *p->open))
            return false;
    return agi_grow((void **)&p->entries, p->n, &p->cap, sizeof *p->entries) &&
           agi_grow((void **)&p->first, p->stages, &p->cap_first, sizeof *p->first) &&
           agi_grow((void **)&p->parts, p->stages, &p->cap_parts, sizeof *p->parts);
}

int agi_cpu_record(ag_backend *be, ag_plan *plan, const agi_call *call)
{
    agi_team *team = agi_cpu_team(be);
    int rc = agi_team_scratch(team, agi_cpu_scratch(isa_of(be), call->op, call->args));
    if (rc) return rc;
    cpu_plan *p = plan->impl;
    if (!p && !(p = plan->impl = calloc(1, sizeof *p)))
        return agi_fail(AG_ENOMEM, "capture: out of memory");
    entry e = {.kernel = kernels[call->op],
               .args = malloc(call->args_size),
               .parts = agi_team_parts(team, call->work)};
    if (!e.args || !make_room(p, call->n_access)) {
        free(e.args);
        return agi_fail(AG_ENOMEM, "capture: out of memory");
    }
    memcpy(e.args, call->args, call->args_size);
    const bool waits = must_wait(p, call);
    plan->barriers += waits;
    if (p->n == 0 || waits || p->parts[p->stages - 1] > AGI_MOST_PARTS - e.parts) {
        p->first[p->stages] = p->n;
        p->parts[p->stages++] = 0;
        p->n_open = 0;
    }
    for (int i = 0; i < call->n_access; i++) p->open[p->n_open++] = call->access[i];
    p->parts[p->stages - 1] += e.parts;
    p->entries[p->n++] = e;
    return AG_OK;
}

/* ---- replay ---- */

static int run_stage(void *ctx, int stage, int part, agi_worker *w)
{
    const cpu_plan *p = ctx;
    const entry *e = &p->entries[p->first[stage]];
    for (; part >= e->parts; e++) part -= e->parts;
    return run_part(e->kernel, e->args, part, e->parts, w);
}

int agi_cpu_plan_run(ag_plan *plan)
{
    const cpu_plan *p = plan->impl;
    if (!p) return AG_OK;
    return agi_team_run(agi_cpu_team(plan->be),
                        &(agi_job){p->stages, p->parts, run_stage, plan->impl});
}

void agi_cpu_plan_free(ag_plan *plan)
{
    cpu_plan *p = plan->impl;
    if (!p) return;
    for (int i = 0; i < p->n; i++) free(p->entries[i].args);
    free(p->entries);
    free(p->first);
    free(p->parts);
    free(p->open);
    free(p);
}
