/*
 * team.h: the CPU worker team. A job is a list of stages, a stage is a number of parts, and workers
 * claim parts until none is left: a worker that the system has put aside holds up one part, not a
 * share. The last to finish a part opens the next stage. Who waits spins for a moment, as waking a
 * parked thread costs more than most stages take and a frame of speech has hundreds of them, and
 * then parks, so that the core is another's.
 */
#ifndef ARGENT_TEAM_H
#define ARGENT_TEAM_H

#include <stdbool.h>
#include <stdint.h>

typedef struct agi_team agi_team;
struct agi_isa;

/* What a kernel knows of its part: the index-th of count. Any worker may do any part. */
typedef struct agi_worker {
    int index, count;
    const struct agi_isa *isa; /* kernels/cpu/isa.h */
    void *scratch;             /* 64-byte aligned, as many bytes as agi_cpu_scratch says */
    int64_t scratch_bytes;
    /* Whether scratch is as this worker has left it after another part of the same op: what all
     * parts need is made once for each worker. */
    bool again;
    const void *last; /* the op's arguments, and the stage, for which that is asked */
    unsigned long long turn, last_turn;
} agi_worker;

/* The units [*lo, *hi) of `total` that are this part; units are handed out in multiples of
 * `align`. */
static inline void agi_share(const agi_worker *w, int64_t total, int64_t align, int64_t *lo,
                             int64_t *hi)
{
    int64_t blocks = (total + align - 1) / align;
    *lo = blocks * w->index / w->count * align;
    *hi = blocks * (w->index + 1) / w->count * align;
    if (*lo > total) *lo = total;
    if (*hi > total) *hi = total;
}

/* run does one part of a stage and returns AG_OK or what agi_fail returned; w's index and count are
 * its own to set. The parts of a stage run at the same time, in any order; a stage sees all that
 * the stages before it wrote. */
typedef struct {
    int stages;
    const int *parts; /* of each stage, at least 1 */
    int (*run)(void *ctx, int stage, int part, agi_worker *w);
    void *ctx;
} agi_job;

enum { AGI_MOST_PARTS = 1 << 15 };

/* cores: how many the threads will find. With fewer than threads, waiting is parking at once. */
int agi_team_new(agi_team **out, int threads, int cores, const struct agi_isa *isa);
void agi_team_free(agi_team *team);
/* Ties each thread to a core of its own, of those that the calling thread may use, and that thread
 * to the first; it is let go when it frees the team. */
int agi_team_pin(agi_team *team);
int agi_team_threads(const agi_team *team);
/* How many parts this much work (multiply-adds or bytes, roughly) is worth to the team. */
int agi_team_parts(const agi_team *team, double work);
/* Makes every worker's scratch at least this large. Not while the team runs. */
int agi_team_scratch(agi_team *team, int64_t bytes);
/* Runs a job and returns AG_OK or the first error. After an error or Ctrl-C no further stage
 * begins. */
int agi_team_run(agi_team *team, const agi_job *job);

#endif
