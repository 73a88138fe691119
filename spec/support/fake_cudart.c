/*
 * fake_cudart.c: the CUDA runtime functions that runtime/device/cuda.c calls, without a card: a
 * stream is a queue that runs when somebody waits for it, device memory is host memory, kernels are
 * those of kernels/emulate/emulate.c. So the machine of the backend `cuda` runs in specs, and what
 * it leaves to happen later happens later. spec/cuda/machine_spec.lua opens it.
 *
 * FAKE_CUDA says what kind of card and driver this is, in words:
 *   none full insufficient turing orin translated novmm nograph memory=BYTES devices=N
 */
#include "../../kernels/emulate/run.h"

#include <cuda.h>
#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* What has been asked for so far; a script reads it. */
__attribute__((visibility("default"))) struct fake_cuda_counts {
    int64_t launches, graph_launches, graphs, waits, downloads, downloaded, uploads, allocations,
        frees, memory, mapped, pinned;
    int64_t current;              /* the thread's device + 1, 0: none; a script may set it */
    int64_t dependent;            /* launches that may begin before the one before them ends */
    int64_t reservations, pieces; /* of addresses; of memory behind them */
} fake_cuda_counts;
#define COUNT fake_cuda_counts

enum kind { KERNEL_NODE, COPY_NODE, SET_NODE, FREE_NODE, GRAPH_NODE };

typedef struct {
    enum kind kind;
    agi_emulated_call call;
    void *dst;
    const void *src;
    void *staged; /* bytes of pageable memory, taken when the copy was asked for */
    size_t bytes;
    int value;
    cudaGraphExec_t graph;
} node;

typedef struct {
    node *nodes;
    int n, cap;
} list;

struct CUgraph_st {
    list of;
};
struct CUgraphExec_st {
    list of;
};

static list queue;        /* of the one stream */
static cudaGraph_t taken; /* being captured */
static bool refused;      /* the capture holds what this driver cannot keep */

bool fake_cuda_capturing(void);
bool fake_cuda_capturing(void) { return taken != NULL; } /* for fake_cublas.c */

static bool said(const char *word)
{
    const char *all = getenv("FAKE_CUDA");
    return all && strstr(all, word);
}

static int64_t number(const char *word, int64_t otherwise)
{
    const char *all = getenv("FAKE_CUDA"), *at = all ? strstr(all, word) : NULL;
    return at ? atoll(at + strlen(word)) : otherwise;
}

static int64_t memory_limit(void) { return number("memory=", (int64_t)1 << 40); }

static void fail(const char *what)
{
    fprintf(stderr, "fake CUDA: %s\n", what);
    abort();
}

/* ---- the current device ---- */

enum { MOST_DEVICES = 8 };
static int64_t before[8]; /* what was current, under what is */
static int depth, retained[MOST_DEVICES];

/* Every call that works on a device finds it current. */
static void here(void)
{
    if (!COUNT.current || !retained[COUNT.current - 1])
        fail("a call while another device is current");
}

static CUresult get_device(CUdevice *out, int number)
{
    *out = number;
    return CUDA_SUCCESS;
}

static CUresult retain_context(CUcontext *out, CUdevice device)
{
    *out = (CUcontext)(intptr_t)(device + 1);
    retained[device]++;
    return CUDA_SUCCESS;
}

static CUresult release_context(CUdevice device)
{
    retained[device]--;
    return CUDA_SUCCESS;
}

static CUresult push_context(CUcontext context)
{
    if (depth == 8) fail("contexts are pushed and not popped");
    before[depth++] = COUNT.current;
    COUNT.current = (intptr_t)context;
    return CUDA_SUCCESS;
}

static CUresult pop_context(CUcontext *out)
{
    if (!depth) fail("no context to pop");
    *out = (CUcontext)(intptr_t)COUNT.current;
    COUNT.current = before[--depth];
    return CUDA_SUCCESS;
}

/* ---- the queue ---- */

static node *add(list *l, enum kind kind)
{
    if (l->n == l->cap) {
        l->cap = l->cap ? 2 * l->cap : 64;
        l->nodes = realloc(l->nodes, (size_t)l->cap * sizeof *l->nodes);
        if (!l->nodes) fail("no memory");
    }
    node *o = &l->nodes[l->n++];
    memset(o, 0, sizeof *o);
    o->kind = kind;
    return o;
}

static void drop(list *l)
{
    for (int i = 0; i < l->n; i++) {
        if (l->nodes[i].kind == KERNEL_NODE) free((void *)(uintptr_t)l->nodes[i].call.args);
        free(l->nodes[i].staged);
    }
    free(l->nodes);
    memset(l, 0, sizeof *l);
}

/* A header before each allocation: how many bytes it has. */
enum { HEAD = 256 };

static int64_t pooled; /* bytes that were given back and that the pool keeps */

enum { GRAPH = 1 << 16 }; /* bytes of the device that must be free to make a graph */

static bool fits(size_t bytes)
{
    return COUNT.memory + pooled + COUNT.mapped + (int64_t)bytes <= memory_limit();
}

static void release(void *p)
{
    char *whole = (char *)p - HEAD;
    int64_t bytes;
    memcpy(&bytes, whole, sizeof bytes);
    COUNT.memory -= bytes;
    pooled += bytes;
    free(whole);
}

static int keep_launch(const agi_emulated_call *call);

static void run(const list *l)
{
    for (int i = 0; i < l->n; i++) {
        const node *o = &l->nodes[i];
        if (o->kind != KERNEL_NODE) agi_emulated_wait();
        switch (o->kind) {
        case KERNEL_NODE: agi_emulated_launch(&o->call); break;
        case COPY_NODE: memcpy(o->dst, o->staged ? o->staged : o->src, o->bytes); break;
        case SET_NODE: memset(o->dst, o->value, o->bytes); break;
        case FREE_NODE: release(o->dst); break;
        case GRAPH_NODE:
            run(&o->graph->of);
            agi_emulated_wait();
            break;
        }
    }
}

static void flush(void)
{
    agi_emulated_sink(NULL);
    agi_emulated_overlap(true);
    run(&queue);
    agi_emulated_overlap(false);
    agi_emulated_sink(keep_launch);
    drop(&queue);
}

/* Every launch of a kernel comes here. */
static int keep_launch(const agi_emulated_call *call)
{
    here();
    node *o = add(taken ? &taken->of : &queue, KERNEL_NODE);
    void *copy = malloc(call->size);
    if (!copy) fail("no memory");
    o->call = *call;
    o->call.args = memcpy(copy, call->args, call->size);
    if (taken && call->dependent && said("nograph")) refused = true;
    if (!taken) COUNT.launches++;
    if (call->dependent) COUNT.dependent++;
    return 0;
}

/* ---- the device ---- */

const char *cudaGetErrorString(cudaError_t e)
{
    return e == cudaErrorMemoryAllocation ? "out of memory" : "a fake error";
}

cudaError_t cudaGetLastError(void) { return cudaSuccess; }

cudaError_t cudaGetDeviceCount(int *count)
{
    agi_emulated_sink(keep_launch);
    *count = said("none") ? 0 : (int)number("devices=", 1);
    return said("insufficient") ? cudaErrorInsufficientDriver : cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = said("insufficient") ? 11080 : CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaInitDevice(int device, unsigned device_flags, unsigned flags)
{
    (void)device_flags, (void)flags;
    if (said("full")) return cudaErrorMemoryAllocation;
    return device < MOST_DEVICES ? cudaSuccess : cudaErrorInvalidDevice;
}

cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr what, int device)
{
    (void)device;
    const int capability = said("turing") ? 75 : said("orin") ? 87 : 90;
    *value = what == cudaDevAttrComputeCapabilityMajor ? capability / 10 : capability % 10;
    return cudaSuccess;
}

cudaError_t cudaFuncGetAttributes(struct cudaFuncAttributes *out, const void *kernel)
{
    here();
    if (!kernel || said("orin")) return cudaErrorNoKernelImageForDevice;
    memset(out, 0, sizeof *out);
    out->ptxVersion = said("translated") ? 80 : 90;
    return cudaSuccess;
}

/* ---- the stream ---- */

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned flags)
{
    here();
    (void)flags;
    *s = (cudaStream_t)&queue;
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t s)
{
    here();
    (void)s;
    flush();
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t s)
{
    here();
    (void)s;
    if (taken) return cudaErrorStreamCaptureUnsupported;
    COUNT.waits++;
    flush();
    return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t s, enum cudaStreamCaptureMode mode)
{
    here();
    (void)s, (void)mode;
    if (taken) fail("a capture within a capture");
    taken = calloc(1, sizeof *taken);
    refused = false;
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t *out)
{
    (void)s;
    *out = taken;
    taken = NULL;
    if (!refused) return cudaSuccess;
    cudaGraphDestroy(*out);
    *out = NULL;
    return cudaErrorStreamCaptureUnsupported;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t g, unsigned long long flags)
{
    here();
    (void)flags;
    if (!fits(GRAPH)) return cudaErrorMemoryAllocation;
    *out = calloc(1, sizeof **out);
    if (!*out) fail("no memory");
    (*out)->of = g->of;
    memset(&g->of, 0, sizeof g->of);
    COUNT.graphs++;
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t g, cudaStream_t s)
{
    here();
    (void)s;
    add(&queue, GRAPH_NODE)->graph = g;
    COUNT.graph_launches++;
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t g)
{
    drop(&g->of);
    free(g);
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t g)
{
    here();
    for (int i = 0; i < queue.n; i++)
        if (queue.nodes[i].graph == g) fail("a graph is destroyed before it has run");
    drop(&g->of);
    free(g);
    COUNT.graphs--;
    return cudaSuccess;
}

/* ---- memory ---- */

cudaError_t cudaMemGetInfo(size_t *left, size_t *total)
{
    here();
    *total = (size_t)memory_limit();
    *left = (size_t)(memory_limit() - COUNT.memory - pooled - COUNT.mapped);
    return cudaSuccess;
}

cudaError_t cudaMemPoolCreate(cudaMemPool_t *pool, const struct cudaMemPoolProps *props)
{
    here();
    if (props->location.type != cudaMemLocationTypeDevice ||
        props->location.id != COUNT.current - 1)
        return cudaErrorInvalidValue;
    *pool = (cudaMemPool_t)&fake_cuda_counts;
    return cudaSuccess;
}

cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t pool, enum cudaMemPoolAttr what, void *value)
{
    (void)pool, (void)what, (void)value;
    return cudaSuccess;
}

cudaError_t cudaMemPoolTrimTo(cudaMemPool_t pool, size_t bytes)
{
    here();
    (void)pool;
    if (pooled > (int64_t)bytes) pooled = (int64_t)bytes;
    return cudaSuccess;
}

cudaError_t cudaMemPoolDestroy(cudaMemPool_t pool)
{
    (void)pool;
    return cudaSuccess;
}

/* Filled with what nobody should rely on. */
cudaError_t cudaMallocFromPoolAsync(void **p, size_t bytes, cudaMemPool_t pool, cudaStream_t s)
{
    here();
    (void)pool, (void)s;
    void *whole;
    const int64_t size = (int64_t)bytes, kept = pooled < size ? pooled : size;
    if (taken) return cudaErrorStreamCaptureUnsupported;
    if (!fits((size_t)(size - kept)) || posix_memalign(&whole, HEAD, HEAD + bytes))
        return cudaErrorMemoryAllocation;
    pooled -= kept;
    memset(whole, 0xff, HEAD + bytes);
    memcpy(whole, &size, sizeof size);
    COUNT.memory += size;
    COUNT.allocations++;
    *p = (char *)whole + HEAD;
    return cudaSuccess;
}

cudaError_t cudaFreeAsync(void *p, cudaStream_t s)
{
    here();
    (void)s;
    COUNT.frees++;
    add(&queue, FREE_NODE)->dst = p;
    return cudaSuccess;
}

/* Pinned memory is known by its place: what lies elsewhere is pageable. */
typedef struct pinned {
    struct pinned *next;
    char *p;
    size_t bytes;
} pinned;
static pinned *pins;

static bool is_pinned(const void *p)
{
    for (const pinned *i = pins; i; i = i->next)
        if ((const char *)p >= i->p && (const char *)p < i->p + i->bytes) return true;
    return false;
}

cudaError_t cudaHostAlloc(void **p, size_t bytes, unsigned flags)
{
    here();
    (void)flags;
    pinned *i = calloc(1, sizeof *i);
    if (!i || !(i->p = malloc(bytes))) fail("no memory");
    i->bytes = bytes;
    i->next = pins;
    pins = i;
    COUNT.pinned++;
    *p = i->p;
    return cudaSuccess;
}

cudaError_t cudaFreeHost(void *p)
{
    if (!p) return cudaSuccess;
    here();
    for (pinned **at = &pins; *at; at = &(*at)->next)
        if ((*at)->p == p) {
            pinned *i = *at;
            *at = i->next;
            free(i->p);
            free(i);
            COUNT.pinned--;
            return cudaSuccess;
        }
    return cudaErrorInvalidValue;
}

cudaError_t cudaMemsetAsync(void *p, int value, size_t bytes, cudaStream_t s)
{
    here();
    (void)s;
    node *o = add(taken ? &taken->of : &queue, SET_NODE);
    o->dst = p;
    o->value = value;
    o->bytes = bytes;
    return cudaSuccess;
}

/* From pageable memory little is staged and more is waited for; to it everything is. */
cudaError_t cudaMemcpyAsync(void *dst, const void *src, size_t bytes, enum cudaMemcpyKind kind,
                            cudaStream_t s)
{
    here();
    (void)s;
    if (taken) return cudaErrorStreamCaptureUnsupported;
    const bool up = kind == cudaMemcpyHostToDevice, pageable = !is_pinned(up ? src : dst);
    if (up) COUNT.uploads++;
    else COUNT.downloads++, COUNT.downloaded += (int64_t)bytes;
    node *o = add(&queue, COPY_NODE);
    o->dst = dst;
    o->src = src;
    o->bytes = bytes;
    if (up && pageable && bytes <= 65536) {
        o->staged = malloc(bytes);
        if (!o->staged) fail("no memory");
        memcpy(o->staged, src, bytes);
    } else if (pageable) flush();
    return cudaSuccess;
}

/* ---- the driver's virtual memory ---- */

enum { GRANULARITY = 1 << 16 };

static CUresult address_reserve(CUdeviceptr *p, size_t size, size_t alignment, CUdeviceptr at,
                                unsigned long long flags)
{
    (void)alignment, (void)at, (void)flags;
    void *m = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (m == MAP_FAILED) return CUDA_ERROR_OUT_OF_MEMORY;
    *p = (CUdeviceptr)(uintptr_t)m;
    COUNT.reservations++;
    return CUDA_SUCCESS;
}

static CUresult address_free(CUdeviceptr p, size_t size)
{
    return munmap((void *)(uintptr_t)p, size) ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

static CUresult create(CUmemGenericAllocationHandle *h, size_t size, const CUmemAllocationProp *p,
                       unsigned long long flags)
{
    (void)flags;
    here();
    if (size % GRANULARITY || p->type != CU_MEM_ALLOCATION_TYPE_PINNED ||
        p->location.id != COUNT.current - 1)
        return CUDA_ERROR_INVALID_VALUE;
    if (!fits(size)) return CUDA_ERROR_OUT_OF_MEMORY;
    COUNT.mapped += (int64_t)size;
    COUNT.pieces++;
    *h = size;
    return CUDA_SUCCESS;
}

static CUresult release_handle(CUmemGenericAllocationHandle h)
{
    COUNT.mapped -= (int64_t)h;
    return CUDA_SUCCESS;
}

static CUresult map(CUdeviceptr p, size_t size, size_t offset, CUmemGenericAllocationHandle h,
                    unsigned long long flags)
{
    (void)offset, (void)flags;
    return size == h && p % GRANULARITY % 4096 == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult unmap(CUdeviceptr p, size_t size)
{
    return mprotect((void *)(uintptr_t)p, size, PROT_NONE) ? CUDA_ERROR_INVALID_VALUE
                                                           : CUDA_SUCCESS;
}

static CUresult set_access(CUdeviceptr p, size_t size, const CUmemAccessDesc *d, size_t n)
{
    if (n != 1 || d->flags != CU_MEM_ACCESS_FLAGS_PROT_READWRITE) return CUDA_ERROR_INVALID_VALUE;
    if (mprotect((void *)(uintptr_t)p, size, PROT_READ | PROT_WRITE)) return CUDA_ERROR_UNKNOWN;
    memset((void *)(uintptr_t)p, 0xff, size);
    return CUDA_SUCCESS;
}

static CUresult granularity(size_t *out, const CUmemAllocationProp *p,
                            CUmemAllocationGranularity_flags option)
{
    (void)p, (void)option;
    *out = GRANULARITY;
    return CUDA_SUCCESS;
}

/* The driver's function of that name. */
static cudaError_t entry_point(const char *symbol, void **out,
                               enum cudaDriverEntryPointQueryResult *found)
{
    static const struct {
        const char *name;
        void *function;
    } all[] = {
        {"cuMemAddressReserve", (void *)address_reserve},
        {"cuMemAddressFree", (void *)address_free},
        {"cuMemCreate", (void *)create},
        {"cuMemRelease", (void *)release_handle},
        {"cuMemMap", (void *)map},
        {"cuMemUnmap", (void *)unmap},
        {"cuMemSetAccess", (void *)set_access},
        {"cuMemGetAllocationGranularity", (void *)granularity},
        {"cuDeviceGet", (void *)get_device},
        {"cuDevicePrimaryCtxRetain", (void *)retain_context},
        {"cuDevicePrimaryCtxRelease", (void *)release_context},
        {"cuCtxPushCurrent", (void *)push_context},
        {"cuCtxPopCurrent", (void *)pop_context},
    };
    *found = cudaDriverEntryPointSymbolNotFound;
    for (size_t i = 0; i < sizeof all / sizeof *all && !said("novmm"); i++)
        if (!strcmp(all[i].name, symbol)) {
            *out = all[i].function;
            *found = cudaDriverEntryPointSuccess;
        }
    return cudaSuccess;
}

#if CUDART_VERSION >= 12050
cudaError_t cudaGetDriverEntryPointByVersion(const char *symbol, void **out, unsigned version,
                                             unsigned long long flags,
                                             enum cudaDriverEntryPointQueryResult *found)
{
    (void)version, (void)flags;
    return entry_point(symbol, out, found);
}
#else
cudaError_t cudaGetDriverEntryPoint(const char *symbol, void **out, unsigned long long flags,
                                    enum cudaDriverEntryPointQueryResult *found)
{
    (void)flags;
    return entry_point(symbol, out, found);
}
#endif
