/* peak_cpu.c: the loops of kernels/cpu/peak.h, by the worker team. */
#include "backend_cpu.h"
#include "../kernels/cpu/peak.h"
#include "error.h"

#include <stdatomic.h>

typedef struct {
    const agi_peak *peak;
    int64_t rounds;
    _Atomic int64_t done;
} run;

static int run_part(void *ctx, int stage, int part, agi_worker *w)
{
    (void)stage, (void)part, (void)w;
    run *r = ctx;
    atomic_fetch_add(&r->done, (int64_t)r->peak->run(r->rounds));
    return AG_OK;
}

const char *ag_peak_name(int i)
{
    const agi_peak *peak = agi_peak_at(i);
    return peak ? peak->name : NULL;
}

int agi_cpu_peak(ag_backend *be, int i, int64_t rounds, double *done)
{
    *done = 0;
    const agi_peak *peak = agi_peak_at(i);
    if (!peak) return agi_fail(AG_EINVAL, "peak: there is no number %d", i);
    if (!peak->here()) return AG_OK;
    agi_team *team = agi_cpu_team(be);
    const int parts = agi_team_threads(team);
    run r = {.peak = peak, .rounds = rounds};
    int rc = agi_team_run(team, &(agi_job){1, &parts, run_part, &r});
    *done = (double)atomic_load(&r.done);
    return rc;
}
