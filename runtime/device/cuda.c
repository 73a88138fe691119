/* cuda.c: the machine under `cuda`: device memory, a stream, graphs. cudart is linked into
 * this library; it looks for the driver by itself, so the library opens on machines without one and
 * says so here. See device.h. */
#include "cublas.h"
#include "device.h"
#include "../grow.h"

#include <cuda.h>
#include <cuda_runtime_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Small copies between host and device go through pinned memory: uploads, one after the other,
 * through slots that are used again once the stream has been waited for, and one download at a
 * time. */
enum { SLOT = 4096, SLOTS = 64, WINDOW = 1 << 16 };

/* Memory of the device at some of a reservation's addresses. */
typedef struct {
    CUmemGenericAllocationHandle memory;
    size_t offset, size;
} mapping;

/* Addresses held for a tensor that grows, and what is there already. */
typedef struct reservation {
    struct reservation *next;
    CUdeviceptr base;
    size_t size;
    mapping *parts;
    int n, cap;
} reservation;

struct agi_machine {
    agi_device_host host;
    cudaStream_t stream;
    int device;
    char isa[16];
    cudaMemPool_t pool;
    bool dependent;
    char *slots, *window; /* pinned */
    int used;             /* slots since the stream was last waited for */
    reservation *reservations;
    size_t granularity;
    agi_cublas *cublas; /* from the first product on, if it is there */
    bool cublas_asked;
    char *workspace;
    /* The driver's virtual memory management, found at run time. */
    CUresult (*address_reserve)(CUdeviceptr *, size_t, size_t, CUdeviceptr, unsigned long long);
    CUresult (*address_free)(CUdeviceptr, size_t);
    CUresult (*create)(CUmemGenericAllocationHandle *, size_t, const CUmemAllocationProp *,
                       unsigned long long);
    CUresult (*release)(CUmemGenericAllocationHandle);
    CUresult (*map)(CUdeviceptr, size_t, size_t, CUmemGenericAllocationHandle, unsigned long long);
    CUresult (*unmap)(CUdeviceptr, size_t);
    CUresult (*set_access)(CUdeviceptr, size_t, const CUmemAccessDesc *, size_t);
    CUresult (*get_granularity)(size_t *, const CUmemAllocationProp *,
                                CUmemAllocationGranularity_flags);
    /* And its contexts. cudaSetDevice would do to call another device's, but when that is undone it
     * makes a context on the device that was current, though nobody may ever use it. */
    CUdevice handle; /* the driver's name of the device */
    CUcontext context;
    CUresult (*get_device)(CUdevice *, int);
    CUresult (*retain_context)(CUcontext *, CUdevice);
    CUresult (*release_context)(CUdevice);
    CUresult (*push_context)(CUcontext);
    CUresult (*pop_context)(CUcontext *);
};

static int failed(const agi_machine *m, const char *what, cudaError_t e)
{
    return m->host.fail(AG_EIO, "cuda: %s: %s", what, cudaGetErrorString(e));
}

static int no_memory(const agi_machine *m, int64_t bytes)
{
    size_t left = 0, total = 0;
    cudaGetLastError(); /* forget it */
    cudaMemGetInfo(&left, &total);
    return m->host.fail(AG_ENOMEM,
                        "out of device memory: %.1f MB are needed, %.1f of %.1f MB are free",
                        (double)bytes / 1e6, (double)left / 1e6, (double)total / 1e6);
}

/* ---- opening ---- */

static CUmemAllocationProp properties(const agi_machine *m)
{
    CUmemAllocationProp p;
    memset(&p, 0, sizeof p);
    p.type = CU_MEM_ALLOCATION_TYPE_PINNED;
    p.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
    p.location.id = m->device;
    return p;
}

static bool find(const char *symbol, void *function)
{
    void *f = NULL;
    enum cudaDriverEntryPointQueryResult found;
#if CUDART_VERSION >= 12050
    const cudaError_t e =
        cudaGetDriverEntryPointByVersion(symbol, &f, 12000, cudaEnableDefault, &found);
#else
    const cudaError_t e = cudaGetDriverEntryPoint(symbol, &f, cudaEnableDefault, &found);
#endif
    if (e != cudaSuccess || found != cudaDriverEntryPointSuccess) return false;
    memcpy(function, &f, sizeof f);
    return f != NULL;
}

static bool find_all(agi_machine *m)
{
    return find("cuMemAddressReserve", &m->address_reserve) &&
           find("cuMemAddressFree", &m->address_free) && find("cuMemCreate", &m->create) &&
           find("cuMemRelease", &m->release) && find("cuMemMap", &m->map) &&
           find("cuMemUnmap", &m->unmap) && find("cuMemSetAccess", &m->set_access) &&
           find("cuMemGetAllocationGranularity", &m->get_granularity) &&
           find("cuDeviceGet", &m->get_device) &&
           find("cuDevicePrimaryCtxRetain", &m->retain_context) &&
           find("cuDevicePrimaryCtxRelease", &m->release_context) &&
           find("cuCtxPushCurrent", &m->push_context) && find("cuCtxPopCurrent", &m->pop_context);
}

/* Why there is no device to use. */
static int no_device(const agi_device_host *host, cudaError_t e)
{
    int driver = 0;
    cudaDriverGetVersion(&driver);
    if (driver == 0)
        return host->fail(AG_EUNSUPPORTED, "backend 'cuda': no NVIDIA driver was found "
                                           "(libcuda.so.1); use the cpu");
    if (e == cudaErrorInsufficientDriver)
        return host->fail(AG_EUNSUPPORTED,
                          "backend 'cuda': the NVIDIA driver is too old (it knows CUDA %d.%d, this "
                          "build needs %d.%d); update it, or use the cpu",
                          driver / 1000, driver % 1000 / 10, CUDART_VERSION / 1000,
                          CUDART_VERSION % 1000 / 10);
    if (e == cudaErrorMemoryAllocation) /* other processes hold it */
        return host->fail(AG_ENOMEM, "backend 'cuda': the device has no memory left; use the cpu");
    return host->fail(AG_EUNSUPPORTED, "backend 'cuda': %s; use the cpu",
                      e == cudaSuccess ? "there is no device" : cudaGetErrorString(e));
}

static cudaError_t begin_memory(agi_machine *m)
{
    struct cudaMemPoolProps p;
    uint64_t keep = UINT64_MAX; /* what is given back is kept for the next */
    memset(&p, 0, sizeof p);
    p.allocType = cudaMemAllocationTypePinned;
    p.location.type = cudaMemLocationTypeDevice;
    p.location.id = m->device;
    cudaError_t e = cudaMemPoolCreate(&m->pool, &p);
    if (e == cudaSuccess)
        e = cudaMemPoolSetAttribute(m->pool, cudaMemPoolAttrReleaseThreshold, &keep);
    if (e == cudaSuccess) e = cudaHostAlloc((void **)&m->slots, SLOT * SLOTS, cudaHostAllocDefault);
    if (e == cudaSuccess) e = cudaHostAlloc((void **)&m->window, WINDOW, cudaHostAllocDefault);
    return e;
}

/* The card has code to run, and what it can do. */
static int know_card(agi_machine *m)
{
    struct cudaFuncAttributes code;
    int major = 0, minor = 0;
    cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, m->device);
    cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, m->device);
    snprintf(m->isa, sizeof m->isa, "sm_%d%d", major, minor);
    if (major < 8)
        return m->host.fail(AG_EUNSUPPORTED,
                            "backend 'cuda': the card is %s, kernels are for sm_80 and later; use "
                            "the cpu",
                            m->isa);
    cudaError_t e = cudaFuncGetAttributes(&code, agi_cuda_a_kernel());
    if (e == cudaErrorNoKernelImageForDevice || e == cudaErrorInvalidDeviceFunction)
        return m->host.fail(AG_EUNSUPPORTED,
                            "backend 'cuda': this build has no kernels for the card, %s; build "
                            "with -DCMAKE_CUDA_ARCHITECTURES=%s, or use the cpu",
                            m->isa, m->isa + 3);
    if (e != cudaSuccess) return no_device(&m->host, e);
    /* Code for a card before sm_90, which the driver may have translated for a later one, does not
     * wait for the kernel before it. ARGENT_PDL=0 has every launch wait for its end. */
    const char *pdl = getenv("ARGENT_PDL");
    m->dependent = code.ptxVersion >= 90 && !(pdl && !strcmp(pdl, "0"));
    return AG_OK;
}

/* The machine's device is current. */
static int begin(agi_machine *m)
{
    int rc = know_card(m);
    if (rc) return rc;
    cudaError_t e = cudaStreamCreateWithFlags(&m->stream, cudaStreamNonBlocking);
    if (e == cudaSuccess) e = begin_memory(m);
    if (e != cudaSuccess) return no_device(&m->host, e);
    CUmemAllocationProp p = properties(m);
    if (m->get_granularity(&m->granularity, &p, CU_MEM_ALLOC_GRANULARITY_MINIMUM) != CUDA_SUCCESS)
        return m->host.fail(AG_EUNSUPPORTED,
                            "backend 'cuda': the device has no virtual memory management");
    return AG_OK;
}

/* Finds the device and the driver's functions. The device does not become current. */
static int reach(agi_machine *m)
{
    int count = 0;
    cudaError_t e = cudaGetDeviceCount(&count);
    if (e != cudaSuccess || count == 0) return no_device(&m->host, e);
    if (m->device >= count)
        return m->host.fail(AG_EUNSUPPORTED,
                            "backend 'cuda': there is no device %d; this machine has %d, counted "
                            "from 0",
                            m->device, count);
    if ((e = cudaInitDevice(m->device, 0, 0)) != cudaSuccess) return no_device(&m->host, e);
    if (!find_all(m))
        return m->host.fail(AG_EUNSUPPORTED,
                            "backend 'cuda': the driver has no virtual memory management");
    if (m->get_device(&m->handle, m->device) != CUDA_SUCCESS ||
        m->retain_context(&m->context, m->handle) != CUDA_SUCCESS)
        return m->host.fail(AG_EUNSUPPORTED, "backend 'cuda': device %d cannot be used", m->device);
    return AG_OK;
}

int agi_machine_open(agi_machine **out, const agi_device_host *host, int number)
{
    agi_machine *m = calloc(1, sizeof *m);
    *out = NULL;
    if (!m) return host->fail(AG_ENOMEM, "backend: out of memory");
    m->host = *host;
    m->device = number;
    /* Kernels that are loaded when they are first launched could be so inside a capture. */
    setenv("CUDA_MODULE_LOADING", "EAGER", 0);
    int rc = reach(m);
    if (rc == AG_OK) {
        agi_machine_enter(m);
        rc = begin(m);
        agi_machine_leave(m);
    }
    if (rc) {
        agi_machine_close(m);
        return rc;
    }
    *out = m;
    return AG_OK;
}

void agi_machine_close(agi_machine *m)
{
    if (m->context) {
        agi_machine_enter(m);
        if (m->stream) {
            cudaStreamSynchronize(m->stream);
            agi_cublas_close(m->cublas);
            if (m->workspace) cudaFreeAsync(m->workspace, m->stream);
            cudaStreamDestroy(m->stream);
        }
        if (m->pool) cudaMemPoolDestroy(m->pool);
        cudaFreeHost(m->slots);
        cudaFreeHost(m->window);
        agi_machine_leave(m);
        m->release_context(m->handle);
    }
    free(m);
}

void agi_machine_enter(agi_machine *m) { m->push_context(m->context); }

void agi_machine_leave(agi_machine *m)
{
    CUcontext own;
    m->pop_context(&own);
}

const char *agi_machine_kind(void) { return "cuda"; }
const char *agi_machine_isa(const agi_machine *m) { return m->isa; }
void *agi_machine_stream(const agi_machine *m) { return m->stream; }
bool agi_machine_dependent(const agi_machine *m) { return m->dependent; }

/* ---- memory ---- */

/* Waits until what was given back is free, and takes it from the pool. */
static void give_back(agi_machine *m)
{
    cudaGetLastError(); /* that there was no memory */
    cudaStreamSynchronize(m->stream);
    cudaMemPoolTrimTo(m->pool, 0);
}

/* From the stream's pool, which keeps what is given back: neither waits for the device. */
int agi_machine_alloc(agi_machine *m, int64_t bytes, char **out)
{
    void *p = NULL;
    cudaError_t e = cudaMallocFromPoolAsync(&p, (size_t)bytes, m->pool, m->stream);
    if (e == cudaErrorMemoryAllocation) {
        give_back(m);
        e = cudaMallocFromPoolAsync(&p, (size_t)bytes, m->pool, m->stream);
    }
    if (e == cudaErrorMemoryAllocation) return no_memory(m, bytes);
    if (e != cudaSuccess) return failed(m, "memory", e);
    e = cudaMemsetAsync(p, 0, (size_t)bytes, m->stream);
    if (e != cudaSuccess) {
        cudaFreeAsync(p, m->stream);
        return failed(m, "memset", e);
    }
    *out = p;
    return AG_OK;
}

void agi_machine_free(agi_machine *m, char *data, int64_t bytes)
{
    (void)bytes;
    cudaFreeAsync(data, m->stream);
}

static size_t round_up(size_t n, size_t step) { return (n + step - 1) / step * step; }

int agi_machine_reserve(agi_machine *m, int64_t bytes, char **out)
{
    reservation *r = calloc(1, sizeof *r);
    if (!r) return m->host.fail(AG_ENOMEM, "out of memory");
    r->size = round_up((size_t)bytes, m->granularity);
    if (m->address_reserve(&r->base, r->size, 0, 0, 0) != CUDA_SUCCESS) {
        free(r);
        return m->host.fail(AG_ENOMEM, "cannot reserve %lld bytes of device addresses",
                            (long long)bytes);
    }
    r->next = m->reservations;
    m->reservations = r;
    *out = (char *)(uintptr_t)r->base;
    return AG_OK;
}

static int map_part(agi_machine *m, reservation *r, mapping part)
{
    CUmemAllocationProp p = properties(m);
    CUmemAccessDesc access;
    memset(&access, 0, sizeof access);
    access.location = p.location;
    access.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
    if (!agi_grow((void **)&r->parts, r->n, &r->cap, sizeof *r->parts))
        return m->host.fail(AG_ENOMEM, "out of memory");
    CUresult made = m->create(&part.memory, part.size, &p, 0);
    if (made == CUDA_ERROR_OUT_OF_MEMORY) {
        give_back(m);
        made = m->create(&part.memory, part.size, &p, 0);
    }
    if (made != CUDA_SUCCESS) return no_memory(m, (int64_t)part.size);
    const CUdeviceptr at = r->base + part.offset;
    if (m->map(at, part.size, 0, part.memory, 0) != CUDA_SUCCESS) {
        m->release(part.memory);
        return m->host.fail(AG_EIO, "cuda: cannot map %lld bytes", (long long)part.size);
    }
    if (m->set_access(at, part.size, &access, 1) != CUDA_SUCCESS) {
        m->unmap(at, part.size);
        m->release(part.memory);
        return m->host.fail(AG_EIO, "cuda: cannot use %lld mapped bytes", (long long)part.size);
    }
    r->parts[r->n++] = part;
    cudaError_t e = cudaMemsetAsync((void *)(uintptr_t)at, 0, part.size, m->stream);
    return e == cudaSuccess ? AG_OK : failed(m, "memset", e);
}

int64_t agi_machine_page(const agi_machine *m) { return (int64_t)m->granularity; }

int agi_machine_commit(agi_machine *m, char *data, int64_t from, int64_t to)
{
    reservation *r = m->reservations;
    while (r && r->base != (CUdeviceptr)(uintptr_t)data) r = r->next;
    if (!r) return m->host.fail(AG_EINVAL, "commit: not a reserved tensor");
    /* What a commit before has mapped beyond its end is there. */
    const size_t begin = round_up((size_t)from, m->granularity),
                 end = round_up((size_t)to, m->granularity);
    if (end <= begin) return AG_OK;
    return map_part(m, r, (mapping){.offset = begin, .size = end - begin});
}

void agi_machine_unreserve(agi_machine *m, char *data, int64_t bytes)
{
    reservation **at = &m->reservations;
    (void)bytes;
    while (*at && (*at)->base != (CUdeviceptr)(uintptr_t)data) at = &(*at)->next;
    reservation *r = *at;
    if (!r) return;
    cudaStreamSynchronize(m->stream);
    for (int i = 0; i < r->n; i++) {
        m->unmap(r->base + r->parts[i].offset, r->parts[i].size);
        m->release(r->parts[i].memory);
    }
    m->address_free(r->base, r->size);
    *at = r->next;
    free(r->parts);
    free(r);
}

void *agi_machine_shared(agi_machine *m, int64_t bytes)
{
    void *p = NULL;
    (void)m;
    if (cudaHostAlloc(&p, (size_t)bytes, cudaHostAllocMapped) != cudaSuccess) return NULL;
    return memset(p, 0, (size_t)bytes);
}

void agi_machine_unshare(agi_machine *m, void *p)
{
    cudaStreamSynchronize(m->stream);
    cudaFreeHost(p);
}

static cudaError_t wait(agi_machine *m)
{
    m->used = 0;
    return cudaStreamSynchronize(m->stream);
}

int agi_machine_upload(agi_machine *m, char *dst, const void *src, int64_t bytes)
{
    cudaError_t e = cudaSuccess;
    if (bytes <= SLOT) {
        if (m->used == SLOTS) e = wait(m);
        char *slot = m->slots + m->used++ * SLOT;
        memcpy(slot, src, (size_t)bytes);
        if (e == cudaSuccess)
            e = cudaMemcpyAsync(dst, slot, (size_t)bytes, cudaMemcpyHostToDevice, m->stream);
    } else {
        e = cudaMemcpyAsync(dst, src, (size_t)bytes, cudaMemcpyHostToDevice, m->stream);
        if (e == cudaSuccess) e = wait(m); /* src may go */
    }
    return e == cudaSuccess ? AG_OK : failed(m, "upload", e);
}

int agi_machine_download(agi_machine *m, void *dst, const char *src, int64_t bytes)
{
    const bool small = bytes <= WINDOW;
    cudaError_t e = cudaMemcpyAsync(small ? m->window : dst, src, (size_t)bytes,
                                    cudaMemcpyDeviceToHost, m->stream);
    if (e == cudaSuccess) e = wait(m);
    if (e != cudaSuccess) return failed(m, "download", e);
    if (small) memcpy(dst, m->window, (size_t)bytes);
    return AG_OK;
}

int agi_machine_sync(agi_machine *m)
{
    cudaError_t e = wait(m);
    return e == cudaSuccess ? AG_OK : failed(m, "a kernel", e);
}

int agi_machine_launch_failed(agi_machine *m, const char *op, int rc)
{
    return failed(m, op, (cudaError_t)rc);
}

/* ---- products ---- */

/* What NVIDIA recommends for the cards that want most. */
enum { WORKSPACE = 32 << 20 };

/* A plan's first run is no capture, so this is never asked within one. */
static void open_cublas(agi_machine *m)
{
    m->cublas_asked = true;
    if (agi_machine_alloc(m, WORKSPACE, &m->workspace)) return; /* without it, kernels of ours */
    m->cublas = agi_cublas_open(m->stream, m->workspace, WORKSPACE);
    if (m->cublas) return;
    agi_machine_free(m, m->workspace, WORKSPACE);
    m->workspace = NULL;
}

bool agi_machine_matmul(agi_machine *m, const agi_matmul_args *a, int *rc)
{
    if (!agi_cublas_takes(a)) return false;
    if (!m->cublas_asked) open_cublas(m);
    if (!m->cublas) return false;
    const int status = agi_cublas_matmul(m->cublas, a);
    *rc = status ? m->host.fail(AG_EIO, "cuda: matmul: cuBLAS says %d", status) : AG_OK;
    return true;
}

/* ---- plans ---- */

static cudaError_t capture(agi_machine *m, cudaGraphExec_t *out, int (*launch)(void *plan),
                           void *plan, int *rc)
{
    cudaGraph_t captured = NULL;
    cudaError_t e = cudaStreamBeginCapture(m->stream, cudaStreamCaptureModeThreadLocal);
    *rc = AG_OK;
    if (e != cudaSuccess) return e;
    *rc = launch(plan);
    e = cudaStreamEndCapture(m->stream, &captured);
    if (*rc == AG_OK && e == cudaSuccess) e = cudaGraphInstantiate(out, captured, 0);
    if (captured) cudaGraphDestroy(captured);
    return e;
}

static int make_graph(agi_machine *m, void **graph, int (*launch)(void *plan), void *plan)
{
    cudaGraphExec_t made = NULL;
    int rc;
    cudaError_t e = capture(m, &made, launch, plan, &rc);
    if (e == cudaErrorMemoryAllocation) {
        give_back(m);
        e = capture(m, &made, launch, plan, &rc);
    } else if ((rc || e != cudaSuccess) && m->dependent) {
        /* A driver that cannot keep dependent launches in a graph: without them it can. */
        cudaGetLastError();
        m->dependent = false;
        e = capture(m, &made, launch, plan, &rc);
    }
    if (rc) return rc;
    if (e == cudaErrorMemoryAllocation)
        return m->host.fail(AG_ENOMEM, "out of device memory: none is left for a plan's graph");
    if (e != cudaSuccess) return failed(m, "capture", e);
    *graph = made;
    return AG_OK;
}

int agi_machine_replay(agi_machine *m, void **graph, int runs, int (*launch)(void *plan),
                       void *plan)
{
    /* A plan that runs once is not worth a graph. */
    if (runs == 0) return launch(plan);
    int rc = *graph ? AG_OK : make_graph(m, graph, launch, plan);
    if (rc) return rc;
    cudaError_t e = cudaGraphLaunch((cudaGraphExec_t)*graph, m->stream);
    return e == cudaSuccess ? AG_OK : failed(m, "graph", e);
}

void agi_machine_forget(agi_machine *m, void *graph)
{
    if (!graph) return;
    cudaStreamSynchronize(m->stream);
    cudaGraphExecDestroy((cudaGraphExec_t)graph);
}
