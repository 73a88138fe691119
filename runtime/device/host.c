/* host.c: the machine under `cuda-emulated`: host memory, and kernels that run where they
 * are called. For specs only; see device.h. */
#include "device.h"
#include "../../kernels/emulate/run.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct agi_machine {
    agi_device_host host;
    bool overlap; /* of launches, to check that none reads too early; that takes time */
};

int agi_machine_open(agi_machine **out, const agi_device_host *host, int number)
{
    *out = NULL;
    if (number != 0)
        return host->fail(AG_EUNSUPPORTED, "backend 'cuda-emulated': it is one device, 0");
    *out = calloc(1, sizeof **out);
    if (!*out) return host->fail(AG_ENOMEM, "backend: out of memory");
    (*out)->host = *host;
    const char *pdl = getenv("ARGENT_PDL");
    (*out)->overlap = pdl && !strcmp(pdl, "1");
    return AG_OK;
}

void agi_machine_close(agi_machine *m) { free(m); }

void agi_machine_enter(agi_machine *m) { agi_emulated_overlap(m->overlap); }
void agi_machine_leave(agi_machine *m) { (void)m; }
const char *agi_machine_kind(void) { return "cuda-emulated"; }

const char *agi_machine_isa(const agi_machine *m)
{
    (void)m;
    return "emulated";
}

void *agi_machine_stream(const agi_machine *m)
{
    (void)m;
    return NULL;
}

int agi_machine_alloc(agi_machine *m, int64_t bytes, char **out)
{
    void *p;
    if (posix_memalign(&p, 256, (size_t)bytes) != 0)
        return m->host.fail(AG_ENOMEM, "out of memory: %lld bytes", (long long)bytes);
    memset(p, 0, (size_t)bytes);
    *out = p;
    return AG_OK;
}

void agi_machine_free(agi_machine *m, char *data, int64_t bytes)
{
    (void)m;
    (void)bytes;
    agi_emulated_wait();
    free(data);
}

int64_t agi_machine_page(const agi_machine *m)
{
    (void)m;
    return sysconf(_SC_PAGESIZE);
}

int agi_machine_reserve(agi_machine *m, int64_t bytes, char **out)
{
    void *p =
        mmap(NULL, (size_t)bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return m->host.fail(AG_ENOMEM, "cannot reserve %lld bytes of addresses", (long long)bytes);
    *out = p;
    return AG_OK;
}

int agi_machine_commit(agi_machine *m, char *data, int64_t from, int64_t to)
{
    from = from / agi_machine_page(m) * agi_machine_page(m);
    if (mprotect(data + from, (size_t)(to - from), PROT_READ | PROT_WRITE) != 0)
        return m->host.fail(AG_ENOMEM, "out of memory: cannot commit %lld bytes",
                            (long long)(to - from));
    return AG_OK;
}

void agi_machine_unreserve(agi_machine *m, char *data, int64_t bytes)
{
    (void)m;
    agi_emulated_wait();
    munmap(data, (size_t)bytes);
}

void *agi_machine_shared(agi_machine *m, int64_t bytes)
{
    (void)m;
    return calloc(1, (size_t)bytes);
}

void agi_machine_unshare(agi_machine *m, void *p)
{
    (void)m;
    agi_emulated_wait();
    free(p);
}

int agi_machine_upload(agi_machine *m, char *dst, const void *src, int64_t bytes)
{
    (void)m;
    agi_emulated_wait();
    memcpy(dst, src, (size_t)bytes);
    return AG_OK;
}

int agi_machine_download(agi_machine *m, void *dst, const char *src, int64_t bytes)
{
    (void)m;
    agi_emulated_wait();
    memcpy(dst, src, (size_t)bytes);
    return AG_OK;
}

int agi_machine_sync(agi_machine *m)
{
    (void)m;
    agi_emulated_wait();
    return AG_OK;
}

bool agi_machine_matmul(agi_machine *m, const agi_matmul_args *a, int *rc)
{
    (void)m, (void)a, (void)rc;
    return false;
}

int agi_machine_launch_failed(agi_machine *m, const char *op, int rc)
{
    return m->host.fail(AG_EIO, "%s: the launch failed (%d)", op, rc);
}

bool agi_machine_dependent(const agi_machine *m) { return m->overlap; }

int agi_machine_replay(agi_machine *m, void **graph, int runs, int (*launch)(void *plan),
                       void *plan)
{
    (void)m;
    (void)graph;
    (void)runs;
    return launch(plan);
}

void agi_machine_forget(agi_machine *m, void *graph)
{
    (void)m;
    (void)graph;
}
