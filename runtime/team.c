/* team.c: threads, their start and end of a job, and the barrier between ops. See team.h. */
#include "team.h"
#include "argent.h"
#include "error.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    SPINS_BEFORE_YIELD =
        2000, /* about 50 us: then a neighbour on the same core may be the one we wait for */
    SPINS_BEFORE_PARK = 40000 /* about 1-2 ms without work: sleep until the next job */
};

struct agi_team {
    int threads;
    agi_worker *workers;
    agi_worker solo; /* worker 0 when a job runs on the caller alone; shares its scratch */
    pthread_t *handles;
    int started;

    void (*job)(void *ctx, agi_worker *w);
    void *ctx;
    atomic_uint generation; /* counts jobs; a change starts the workers */
    atomic_int busy;        /* workers that have not finished the job */
    atomic_bool quit;
    atomic_int parked;
    pthread_mutex_t lock;
    pthread_cond_t wake;

    atomic_int arrived;
    atomic_uint phase;
    bool stop; /* written by the last to arrive, before it opens the barrier */

    atomic_int failed;
    char message[AGI_MESSAGE];
};

static inline void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

/* One step of a spin loop: pause at first, give the core away when the wait grows long. */
static inline void spin(int *n)
{
    if (++*n < SPINS_BEFORE_YIELD) relax();
    else sched_yield();
}

bool agi_team_barrier(agi_worker *w)
{
    agi_team *t = w->team;
    if (w->count == 1)
        return atomic_load_explicit(&t->failed, memory_order_relaxed) || ag_interrupted();
    unsigned next = ++w->phase;
    if (atomic_fetch_add_explicit(&t->arrived, 1, memory_order_acq_rel) == w->count - 1) {
        atomic_store_explicit(&t->arrived, 0, memory_order_relaxed);
        /* Decided once, here: if each read the flags for itself, some would leave and the others
         * wait for ever. */
        t->stop = atomic_load_explicit(&t->failed, memory_order_relaxed) || ag_interrupted();
        atomic_store_explicit(&t->phase, next, memory_order_release);
    } else {
        for (int n = 0; atomic_load_explicit(&t->phase, memory_order_acquire) != next;) spin(&n);
    }
    return t->stop;
}

void agi_team_report(agi_worker *w, int code)
{
    agi_team *t = w->team;
    pthread_mutex_lock(&t->lock);
    if (!atomic_load(&t->failed)) {
        snprintf(t->message, sizeof t->message, "%s", ag_last_error());
        atomic_store(&t->failed, code);
    }
    pthread_mutex_unlock(&t->lock);
}

static void *worker_main(void *arg)
{
    agi_worker *w = arg;
    agi_team *t = w->team;
    for (unsigned seen = 0;;) {
        int n = 0;
        while (atomic_load_explicit(&t->generation, memory_order_acquire) == seen &&
               n < SPINS_BEFORE_PARK)
            spin(&n);
        if (atomic_load_explicit(&t->generation, memory_order_acquire) == seen) {
            pthread_mutex_lock(&t->lock);
            atomic_fetch_add(&t->parked, 1);
            while (atomic_load(&t->generation) == seen) pthread_cond_wait(&t->wake, &t->lock);
            atomic_fetch_sub(&t->parked, 1);
            pthread_mutex_unlock(&t->lock);
        }
        seen = atomic_load_explicit(&t->generation, memory_order_acquire);
        if (atomic_load(&t->quit)) return NULL;
        t->job(t->ctx, w);
        atomic_fetch_sub_explicit(&t->busy, 1, memory_order_release);
    }
}

static void start_job(agi_team *t)
{
    atomic_fetch_add(
        &t->generation,
        1); /* sequentially consistent, as the read of `parked` below must come after it */
    if (atomic_load(&t->parked) > 0) {
        pthread_mutex_lock(&t->lock);
        pthread_cond_broadcast(&t->wake);
        pthread_mutex_unlock(&t->lock);
    }
}

int agi_team_run(agi_team *t, void (*job)(void *ctx, agi_worker *w), void *ctx, bool solo)
{
    atomic_store(&t->failed, 0);
    t->stop = false;
    if (solo || t->threads == 1) {
        t->solo.scratch = t->workers[0].scratch;
        t->solo.scratch_bytes = t->workers[0].scratch_bytes;
        job(ctx, &t->solo);
    } else {
        t->job = job;
        t->ctx = ctx;
        atomic_store(&t->busy, t->threads - 1);
        start_job(t);
        job(ctx, &t->workers[0]);
        for (int n = 0; atomic_load_explicit(&t->busy, memory_order_acquire) > 0;) spin(&n);
    }
    int code = atomic_load(&t->failed);
    if (code) return agi_fail(code, "%s", t->message);
    if (ag_interrupted()) return agi_fail(AG_EINTERRUPTED, "interrupted");
    return AG_OK;
}

int agi_team_scratch(agi_team *t, int64_t bytes)
{
    for (int i = 0; i < t->threads; i++) {
        agi_worker *w = &t->workers[i];
        if (w->scratch_bytes >= bytes) continue;
        void *p;
        if (posix_memalign(&p, 64, (size_t)bytes) != 0)
            return agi_fail(AG_ENOMEM, "out of memory: %lld bytes of scratch for each worker",
                            (long long)bytes);
        free(w->scratch);
        w->scratch = p;
        w->scratch_bytes = bytes;
    }
    return AG_OK;
}

int agi_team_threads(const agi_team *t) { return t->threads; }

void agi_team_free(agi_team *t)
{
    if (!t) return;
    atomic_store(&t->quit, true);
    start_job(t);
    for (int i = 0; i < t->started; i++) pthread_join(t->handles[i], NULL);
    for (int i = 0; t->workers && i < t->threads; i++) free(t->workers[i].scratch);
    pthread_mutex_destroy(&t->lock);
    pthread_cond_destroy(&t->wake);
    free(t->handles);
    free(t->workers);
    free(t);
}

int agi_team_new(agi_team **out, int threads, const struct agi_isa *isa)
{
    *out = NULL;
    agi_team *t = calloc(1, sizeof *t);
    if (!t) return agi_fail(AG_ENOMEM, "out of memory");
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->wake, NULL);
    t->threads = threads;
    t->workers = calloc((size_t)threads, sizeof *t->workers);
    t->handles = calloc((size_t)threads, sizeof *t->handles);
    if (!t->workers || !t->handles) {
        agi_team_free(t);
        return agi_fail(AG_ENOMEM, "out of memory");
    }
    t->solo = (agi_worker){.count = 1, .isa = isa, .team = t};
    for (int i = 0; i < threads; i++)
        t->workers[i] = (agi_worker){.index = i, .count = threads, .isa = isa, .team = t};
    /* Ctrl-C belongs to the thread that runs the script. */
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = 0;
    for (int i = 1; i < threads && rc == 0; i++) {
        rc = pthread_create(&t->handles[t->started], NULL, worker_main, &t->workers[i]);
        if (rc == 0) t->started++;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc) {
        agi_team_free(t);
        return agi_fail(AG_ENOMEM, "cannot start %d worker threads", threads);
    }
    *out = t;
    return AG_OK;
}
