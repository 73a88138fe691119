/* backend_cpu.h: the CPU backend from the inside; shared by backend_cpu.c and plan_cpu.c. */
#ifndef ARGENT_BACKEND_CPU_H
#define ARGENT_BACKEND_CPU_H

#include "backend.h"
#include "team.h"

typedef struct {
    ag_backend base; /* first: an ag_backend * of kind "cpu" is one of these */
    agi_team *team;
    const struct agi_isa *isa;
    const struct agi_blas *blas;
    bool blas_asked;
} agi_backend_cpu;

int agi_backend_cpu_new(ag_backend **out, int threads, const char *isa);

agi_team *agi_cpu_team(ag_backend *be);

/* Every op has one kernel. It is called once for each part of the op, with the same arguments,
 * does that part and returns AG_OK or what agi_fail returned. The order in which it sums must not
 * depend on the number of parts. */
typedef int agi_cpu_kernel(const void *args, agi_worker *w);
#define AG_OP(name, ...) agi_cpu_kernel agi_cpu_##name;
#include "ops.def"
#undef AG_OP

/* scan_cpu.c */
int agi_cpu_scan(ag_backend *be, const char *data, int64_t bytes, int streams, int ahead,
                 uint32_t *seen);
/* peak_cpu.c */
int agi_cpu_peak(ag_backend *be, int i, int64_t rounds, double *done);
/* plan_cpu.c */
int agi_cpu_run(ag_backend *be, const agi_call *call);
int agi_cpu_convert(ag_backend *be, char *dst, int to, const char *src, int from, int64_t n);
int agi_cpu_record(ag_backend *be, ag_plan *plan, const agi_call *call);
int agi_cpu_plan_run(ag_plan *plan);
void agi_cpu_plan_free(ag_plan *plan);

#endif
