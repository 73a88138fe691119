/* backend_cpu.c: host memory, the worker team, and the choice of instruction set. Recording and
 * replay are in plan_cpu.c. */
#include "backend_cpu.h"
#include "blas.h"
#include "error.h"
#include "../kernels/cpu/isa.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* From here on memory comes from mmap, which gives zero pages without touching them and may use
 * huge ones where it begins with one. */
enum { MAP_THRESHOLD = 4 << 20, HUGE_PAGE = 2 << 20 };

static void *map_huge(size_t bytes)
{
    char *p =
        mmap(NULL, bytes + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return NULL;
    const size_t before = (HUGE_PAGE - (uintptr_t)p % HUGE_PAGE) % HUGE_PAGE;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), end = (bytes + page - 1) / page * page;
    if (before) munmap(p, before);
    munmap(p + before + end, HUGE_PAGE - before);
    madvise(p + before, bytes, MADV_HUGEPAGE);
    return p + before;
}

static int cpu_alloc(ag_backend *be, int64_t bytes, char **out)
{
    (void)be;
    void *p = NULL;
    if (bytes >= MAP_THRESHOLD) {
        p = map_huge((size_t)bytes);
    } else if (posix_memalign(&p, 64, (size_t)bytes) == 0) {
        memset(p, 0, (size_t)bytes);
    } else {
        p = NULL;
    }
    if (!p) return agi_fail(AG_ENOMEM, "out of memory: %lld bytes", (long long)bytes);
    *out = p;
    return AG_OK;
}

static void cpu_free(ag_backend *be, char *data, int64_t bytes)
{
    (void)be;
    if (bytes >= MAP_THRESHOLD) munmap(data, (size_t)bytes);
    else free(data);
}

static int64_t cpu_page(const ag_backend *be)
{
    (void)be;
    return sysconf(_SC_PAGESIZE);
}

static int cpu_reserve(ag_backend *be, int64_t bytes, char **out)
{
    (void)be;
    void *p =
        mmap(NULL, (size_t)bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return agi_fail(AG_ENOMEM, "cannot reserve %lld bytes of addresses", (long long)bytes);
    madvise(p, (size_t)bytes, MADV_HUGEPAGE); /* where whole ones are committed */
    *out = p;
    return AG_OK;
}

static int cpu_commit(ag_backend *be, char *data, int64_t from, int64_t to)
{
    from = from / cpu_page(be) * cpu_page(be);
    if (mprotect(data + from, (size_t)(to - from), PROT_READ | PROT_WRITE) != 0)
        return agi_fail(AG_ENOMEM, "out of memory: cannot commit %lld bytes",
                        (long long)(to - from));
    return AG_OK;
}

/* Fresh addresses in place of the old ones: the pages go, and so does the promise to back them. */
static int cpu_decommit(ag_backend *be, char *data, int64_t from, int64_t to)
{
    const int64_t page = cpu_page(be), bytes = (to - from + page - 1) / page * page;
    void *p = mmap(data + from, (size_t)bytes, PROT_NONE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    if (p == MAP_FAILED)
        return agi_fail(AG_ENOMEM, "cannot give back %lld bytes", (long long)bytes);
    madvise(p, (size_t)bytes, MADV_HUGEPAGE); /* as before */
    return AG_OK;
}

static void cpu_unreserve(ag_backend *be, char *data, int64_t bytes)
{
    (void)be;
    munmap(data, (size_t)bytes);
}

static int cpu_upload(ag_backend *be, char *dst, const void *src, int64_t bytes)
{
    (void)be;
    memcpy(dst, src, (size_t)bytes);
    return AG_OK;
}

static int cpu_download(ag_backend *be, void *dst, const char *src, int64_t bytes)
{
    (void)be;
    memcpy(dst, src, (size_t)bytes);
    return AG_OK;
}

static int cpu_sync(ag_backend *be)
{
    (void)be;
    return AG_OK;
}

static int64_t cpu_packed_conv1d_size(const ag_backend *be, int64_t outs, int64_t taps,
                                      int64_t channels)
{
    return ((const agi_backend_cpu *)be)->isa->conv->size(outs, taps, channels);
}

static const struct agi_blas *cpu_blas(ag_backend *be)
{
    agi_backend_cpu *cpu = (agi_backend_cpu *)be;
    if (!cpu->blas_asked) cpu->blas = agi_blas_open();
    cpu->blas_asked = true;
    return cpu->blas;
}

static void cpu_destroy(ag_backend *be)
{
    agi_team_free(agi_cpu_team(be));
    free(be);
}

static int cpu_pin(ag_backend *be) { return agi_team_pin(agi_cpu_team(be)); }

static const agi_backend_slots cpu_slots = {
    .packed = true,
    .alloc = cpu_alloc,
    .free = cpu_free,
    .page = cpu_page,
    .reserve = cpu_reserve,
    .commit = cpu_commit,
    .decommit = cpu_decommit,
    .unreserve = cpu_unreserve,
    .upload = cpu_upload,
    .download = cpu_download,
    .convert = agi_cpu_convert,
    .sync = cpu_sync,
    .pin = cpu_pin,
    .scan = agi_cpu_scan,
    .peak = agi_cpu_peak,
    .packed_conv1d_size = cpu_packed_conv1d_size,
    .blas = cpu_blas,
    .run = agi_cpu_run,
    .record = agi_cpu_record,
    .plan_run = agi_cpu_plan_run,
    .plan_free = agi_cpu_plan_free,
    .destroy = cpu_destroy,
};

agi_team *agi_cpu_team(ag_backend *be) { return ((agi_backend_cpu *)be)->team; }

int ag_isa_supported(const char *isa) { return isa && agi_isa_find(isa) != NULL; }

const char *ag_isa_name(int i) { return agi_isa_name(i); }

static int no_isa(const char *asked, const char *name)
{
    char known[256] = "";
    size_t at = 0;
    for (int i = 0; agi_isa_name(i) && at < sizeof known; i++)
        at +=
            (size_t)snprintf(known + at, sizeof known - at, "%s%s", i ? ", " : "", agi_isa_name(i));
    return agi_fail(AG_EUNSUPPORTED, "%s=%s: not one of %s, or this CPU lacks it (best here: %s)",
                    asked, name, known, agi_isa_best()->name);
}

/* The instruction set by name; NULL or "auto" asks ARGENT_ISA, then takes the best. */
static const agi_isa *choose_isa(const char *name)
{
    const char *asked = "isa";
    if (!name || !strcmp(name, "auto")) {
        asked = "ARGENT_ISA";
        name = getenv("ARGENT_ISA");
        if (!name || !*name || !strcmp(name, "auto")) return agi_isa_best();
    }
    const agi_isa *isa = agi_isa_find(name);
    if (!isa) no_isa(asked, name);
    return isa;
}

int agi_backend_cpu_new(ag_backend **out, int threads, const char *isa_name)
{
    enum { MOST_THREADS = 256 };
    *out = NULL;
    if (threads < 0 || threads > MOST_THREADS)
        return agi_fail(AG_EINVAL, "backend: threads must be 0 to %d, got %d", MOST_THREADS,
                        threads);
    const int cores = ag_cores(NULL);
    if (threads == 0) threads = cores < MOST_THREADS ? cores : MOST_THREADS;
    const agi_isa *isa = choose_isa(isa_name);
    if (!isa) return AG_EUNSUPPORTED;
    agi_backend_cpu *be = calloc(1, sizeof *be);
    if (!be) return agi_fail(AG_ENOMEM, "backend: out of memory");
    be->base = (ag_backend){.refs = 1, .kind = "cpu", .slots = &cpu_slots};
    be->isa = isa;
    int rc = agi_team_new(&be->team, threads, cores, isa);
    if (rc) {
        free(be);
        return rc;
    }
    be->base.isa = isa->name;
    be->base.threads = agi_team_threads(be->team);
    *out = &be->base;
    return AG_OK;
}
