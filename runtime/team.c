/* team.c: threads, the claims that deal out parts, and how waiting is done. See team.h. */
#include "team.h"
#include "argent.h"
#include "error.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    /* Longer than workers that all run wait for each other in nearly every stage. Who waits longer
     * waits for a worker that the system has put aside, and by parking leaves it a core; waking up
     * costs more than this on a virtual machine, but there is time for it then. */
    SPIN_NS = 50000,
    /* With more threads than cores, spinning keeps the one that is waited for off its core. */
    CROWDED_SPIN_NS = 2000,
    SPINS_BETWEEN_LOOKS = 16, /* at the clock */
    PART_WORK = 10000,        /* smaller parts cost more to deal out than they save */
    PARTS_PER_THREAD = 4      /* so that a thread that is put aside leaves the others its share */
};

typedef struct {
    agi_worker w;
    agi_team *team;
    bool last; /* claims the last part that is left, not the first */
} seat;

struct agi_team {
    int threads;
    int forks; /* of this process when the threads were started */
    int64_t spin_ns;
    seat *seats; /* the first is the caller's */
    pthread_t *handles;
    int started;

    bool pinned;        /* the threads have a core each */
    pthread_t caller;   /* whose was pinned with them, */
    cpu_set_t free_set; /* and where it could run before */

    /* Written by the one that opens a stage, read by those that have claimed a part of it. */
    const agi_job *job;
    int stage;

    /* The parts that are to be claimed: the first of them, above it the end, above that a count of
     * stages, so that a claim made on an old look fails. A stage cannot end while a part of it is
     * claimed and not done: what a claim gives access to stays there. */
    _Alignas(64) atomic_ullong open;
    _Alignas(64) atomic_int done; /* parts of this stage */
    atomic_bool finished;         /* the job */
    atomic_bool quit;

    atomic_int parked;
    pthread_mutex_t lock;
    pthread_cond_t wake;

    atomic_int failed;
    char message[AGI_MESSAGE];
};

enum { PART_BITS = 16 };
_Static_assert(AGI_MOST_PARTS < 1 << PART_BITS, "an end fits");
static const unsigned long long ONE_END = 1ull << PART_BITS, LEFT = (1ull << 2 * PART_BITS) - 1;

static int first_part(unsigned long long open) { return (int)(open & (ONE_END - 1)); }
static int end_part(unsigned long long open) { return (int)(open >> PART_BITS & (ONE_END - 1)); }

/* How many forks lie between the first process and this one. A child has the memory of its parent's
 * teams but none of their threads. */
static atomic_int forks;

static void count_fork(void) { atomic_fetch_add(&forks, 1); }

static void count_forks(void) { pthread_atfork(NULL, NULL, count_fork); }

static bool is_parents(const agi_team *t)
{
    return t->threads > 1 && t->forks != atomic_load_explicit(&forks, memory_order_relaxed);
}

static inline void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- waiting ---- */

/* Whether a part is to be had, or all is over: for the caller its job, for the others the team. */
static bool called(const agi_team *t, const atomic_bool *over)
{
    const unsigned long long open = atomic_load(&t->open);
    return first_part(open) < end_part(open) || atomic_load(over);
}

static void await(agi_team *t, const atomic_bool *over)
{
    const int64_t until = now_ns() + t->spin_ns;
    do {
        for (int i = 0; i < SPINS_BETWEEN_LOOKS; i++) {
            if (called(t, over)) return;
            relax();
        }
    } while (now_ns() < until);
    pthread_mutex_lock(&t->lock);
    /* Before the last look: who changes what is looked at sees this, or is seen by the look. */
    atomic_fetch_add(&t->parked, 1);
    while (!called(t, over)) pthread_cond_wait(&t->wake, &t->lock);
    atomic_fetch_sub(&t->parked, 1);
    pthread_mutex_unlock(&t->lock);
}

static void call_parked(agi_team *t)
{
    if (atomic_load(&t->parked) == 0) return;
    pthread_mutex_lock(&t->lock);
    pthread_cond_broadcast(&t->wake);
    pthread_mutex_unlock(&t->lock);
}

/* ---- working ---- */

static void report(agi_team *t, int code)
{
    pthread_mutex_lock(&t->lock);
    if (!atomic_load(&t->failed)) {
        snprintf(t->message, sizeof t->message, "%s", ag_last_error());
        atomic_store(&t->failed, code);
    }
    pthread_mutex_unlock(&t->lock);
}

static void run_part(agi_team *t, agi_worker *w, int part)
{
    int rc = t->job->run(t->job->ctx, t->stage, part, w);
    if (rc) report(t, rc);
}

/* All parts of the stage are done: opens the next one. A stage of one part is done here and now, as
 * nobody could help. */
static void advance(agi_team *t, agi_worker *w)
{
    const agi_job *job = t->job;
    while (t->stage + 1 < job->stages && !atomic_load(&t->failed) && !ag_interrupted()) {
        const int parts = job->parts[++t->stage];
        if (parts > 1) {
            const unsigned long long turn = (atomic_load(&t->open) | LEFT) + 1;
            atomic_store(&t->done, 0);
            atomic_store(&t->open, turn | (unsigned)parts * ONE_END);
            call_parked(t);
            return;
        }
        run_part(t, w, 0);
    }
    atomic_store(&t->finished, true);
    call_parked(t);
}

/* Does parts until none is left to claim. Half of the workers claim from the end: of two, each
 * finds in its caches what it wrote a stage before. */
static void work(agi_team *t, seat *s)
{
    unsigned long long open = atomic_load(&t->open);
    while (first_part(open) < end_part(open)) {
        if (!atomic_compare_exchange_weak(&t->open, &open, s->last ? open - ONE_END : open + 1))
            continue;
        const int parts = t->job->parts[t->stage];
        s->w.turn = open & ~LEFT;
        run_part(t, &s->w, s->last ? end_part(open) - 1 : first_part(open));
        if (atomic_fetch_add(&t->done, 1) == parts - 1) advance(t, &s->w);
        open = atomic_load(&t->open);
    }
}

static void *worker_main(void *arg)
{
    seat *s = arg;
    agi_team *t = s->team;
    while (!atomic_load(&t->quit)) {
        work(t, s);
        await(t, &t->quit);
    }
    return NULL;
}

int agi_team_run(agi_team *t, const agi_job *job)
{
    if (is_parents(t))
        return agi_fail(AG_EUNSUPPORTED,
                        "this backend was opened before a fork, and its %d threads "
                        "are the parent's: open one in the child",
                        t->threads);
    atomic_store(&t->failed, 0);
    atomic_store(&t->finished, false);
    t->job = job;
    t->stage = -1;
    advance(t, &t->seats[0].w);
    while (!atomic_load(&t->finished)) {
        work(t, &t->seats[0]);
        await(t, &t->finished);
    }
    int code = atomic_load(&t->failed);
    if (code) return agi_fail(code, "%s", t->message);
    if (ag_interrupted()) return agi_fail(AG_EINTERRUPTED, "interrupted");
    return AG_OK;
}

/* ---- the team ---- */

int agi_team_scratch(agi_team *t, int64_t bytes)
{
    for (int i = 0; i < t->threads; i++) {
        agi_worker *w = &t->seats[i].w;
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

int agi_team_parts(const agi_team *t, double work)
{
    const int most = t->threads == 1 ? 1 : PARTS_PER_THREAD * t->threads;
    return work < 2 * PART_WORK ? 1 : work / PART_WORK < most ? (int)(work / PART_WORK) : most;
}

/* The n-th core of a set. */
static cpu_set_t core_of(const cpu_set_t *set, int n)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    for (size_t i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, set) && n-- == 0) CPU_SET(i, &one);
    return one;
}

/* Lets the threads run where the caller could before it was pinned; those of a parent are its own,
 * and a caller that is not here may have ended. */
static void unpin(agi_team *t)
{
    if (t->pinned && pthread_equal(t->caller, pthread_self()))
        pthread_setaffinity_np(t->caller, sizeof t->free_set, &t->free_set);
    for (int i = 0; t->pinned && !is_parents(t) && i < t->started; i++)
        pthread_setaffinity_np(t->handles[i], sizeof t->free_set, &t->free_set);
    t->pinned = false;
}

int agi_team_pin(agi_team *t)
{
    unpin(t);
    t->caller = pthread_self();
    if (pthread_getaffinity_np(t->caller, sizeof t->free_set, &t->free_set) != 0)
        return agi_fail(AG_EUNSUPPORTED, "pin: the system does not say where threads may run");
    const int cores = CPU_COUNT(&t->free_set);
    if (cores < t->threads)
        return agi_fail(AG_EUNSUPPORTED, "pin: %d threads cannot have a core each: there %s %d",
                        t->threads, cores == 1 ? "is" : "are", cores);
    t->pinned = true;
    for (int i = 0; i < t->threads; i++) {
        const cpu_set_t core = core_of(&t->free_set, i);
        const pthread_t thread = i == 0 ? t->caller : t->handles[i - 1];
        if (pthread_setaffinity_np(thread, sizeof core, &core) != 0) {
            unpin(t);
            return agi_fail(AG_EUNSUPPORTED, "pin: the system refuses");
        }
    }
    return AG_OK;
}

void agi_team_free(agi_team *t)
{
    if (!t) return;
    unpin(t);
    if (is_parents(t)) return; /* waiting for threads that are not here would be for ever */
    atomic_store(&t->quit, true);
    call_parked(t);
    for (int i = 0; i < t->started; i++) pthread_join(t->handles[i], NULL);
    for (int i = 0; t->seats && i < t->threads; i++) free(t->seats[i].w.scratch);
    pthread_mutex_destroy(&t->lock);
    pthread_cond_destroy(&t->wake);
    free(t->handles);
    free(t->seats);
    free(t);
}

int agi_team_new(agi_team **out, int threads, int cores, const struct agi_isa *isa)
{
    static pthread_once_t counted = PTHREAD_ONCE_INIT;
    *out = NULL;
    pthread_once(&counted, count_forks);
    agi_team *t = NULL;
    if (posix_memalign((void **)&t, _Alignof(agi_team), sizeof *t) != 0)
        return agi_fail(AG_ENOMEM, "out of memory");
    memset(t, 0, sizeof *t);
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->wake, NULL);
    t->threads = threads;
    t->forks = atomic_load(&forks);
    t->spin_ns = threads > cores ? CROWDED_SPIN_NS : SPIN_NS;
    t->seats = calloc((size_t)threads, sizeof *t->seats);
    t->handles = calloc((size_t)threads, sizeof *t->handles);
    if (!t->seats || !t->handles) {
        agi_team_free(t);
        return agi_fail(AG_ENOMEM, "out of memory");
    }
    for (int i = 0; i < threads; i++) t->seats[i] = (seat){{.count = 1, .isa = isa}, t, i % 2 == 1};
    /* Ctrl-C belongs to the thread that runs the script; a fault to the thread that meets it. */
    static const int faults[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL};
    sigset_t all, old;
    sigfillset(&all);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) sigdelset(&all, faults[i]);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = 0;
    for (int i = 1; i < threads && rc == 0; i++) {
        rc = pthread_create(&t->handles[t->started], NULL, worker_main, &t->seats[i]);
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
