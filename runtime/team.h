/* team.h: the CPU worker team. Workers spin while work is near and park when it is not: waking a
 * parked thread costs far more than an op, and a frame of speech has hundreds of ops. */
#ifndef ARGENT_TEAM_H
#define ARGENT_TEAM_H

#include <stdbool.h>
#include <stdint.h>

typedef struct agi_team agi_team;
struct agi_isa;

/* What a kernel knows of the thread it runs on. The calling thread is worker 0. */
typedef struct agi_worker {
    int index, count;
    const struct agi_isa *isa; /* kernels/cpu/isa.h */
    void *scratch;             /* 64-byte aligned, as many bytes as kernels/cpu/scratch.h says */
    int64_t scratch_bytes;
    agi_team *team;
    unsigned phase; /* of the barrier */
} agi_worker;

/* The part [*lo, *hi) of `total` units that this worker does; units are handed out in multiples
 * of `align`. */
static inline void agi_share(const agi_worker *w, int64_t total, int64_t align, int64_t *lo,
                             int64_t *hi)
{
    int64_t blocks = (total + align - 1) / align;
    *lo = blocks * w->index / w->count * align;
    *hi = blocks * (w->index + 1) / w->count * align;
    if (*lo > total) *lo = total;
    if (*hi > total) *hi = total;
}

int agi_team_new(agi_team **out, int threads, const struct agi_isa *isa);
void agi_team_free(agi_team *team);
int agi_team_threads(const agi_team *team);
/* Makes every worker's scratch at least this large. Not while the team runs. */
int agi_team_scratch(agi_team *team, int64_t bytes);
/* Runs job on every worker (solo: on the caller alone, as a team of one) and returns the first
 * error reported. */
int agi_team_run(agi_team *team, void (*job)(void *ctx, agi_worker *w), void *ctx, bool solo);
/* Waits for all workers of the run; true when it should stop, because one failed or Ctrl-C was
 * pressed. */
bool agi_team_barrier(agi_worker *w);
/* Called in a job after agi_fail: keeps the message of the first failure for the thread that
 * called agi_team_run. */
void agi_team_report(agi_worker *w, int code);

#endif
