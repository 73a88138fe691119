/*
 * probe.cu: what a card can do at best, in plain CUDA and without Argent: the figures against which
 * ours are held. Prints one figure a line, `name value`; ends with 1 and one line on standard error
 * when anything fails. scripts/gpu_check builds and runs it.
 */
#include <algorithm>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <vector>

#include <cuda_runtime.h>

#define CHECK(call)                                                                                \
    do {                                                                                           \
        cudaError_t e_ = (call);                                                                   \
        if (e_ != cudaSuccess) {                                                                   \
            fprintf(stderr, "probe: line %d: %s\n", __LINE__, cudaGetErrorString(e_));             \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

enum { THREADS = 256, NODES = 1000, BARRIERS = 1000, ROUNDS = 21, READ_BACK = 64 };
/* About a second, then a barrier gives up: a probe must not hang a card. */
enum { SPIN_LIMIT = 1 << 21 };

/* ---- kernels ---- */

/* Loads of 16 bytes, eight of each thread on the way. The sum is stored where it never is so, or
 * the compiler would leave the loads out. */
static __global__ void __launch_bounds__(THREADS) read_all(const uint4 *p, size_t n, uint4 *out)
{
    enum { AHEAD = 8 };
    const size_t step = (size_t)gridDim.x * THREADS;
    unsigned sum = 0;
    for (size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x; i < n; i += AHEAD * step) {
        uint4 v[AHEAD];
#pragma unroll
        for (int k = 0; k < AHEAD; k++) {
            size_t at = i + k * step;
            v[k] = at < n ? __ldcs(p + at) : make_uint4(0, 0, 0, 0);
        }
#pragma unroll
        for (int k = 0; k < AHEAD; k++) sum ^= v[k].x ^ v[k].y ^ v[k].z ^ v[k].w;
    }
    if (sum == 0x9e3779b9u) *out = make_uint4(sum, sum, sum, sum);
}

static __global__ void empty() {}

/* Lets the next kernel's blocks start at once, and waits for the kernel before. */
static __global__ void early()
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    cudaTriggerProgrammaticLaunchCompletion();
    cudaGridDependencySynchronize();
#endif
}

/* Every block counts itself once a barrier and waits until all have. */
static __global__ void barriers(unsigned *count, int *failed)
{
    __shared__ int gave_up;
    if (threadIdx.x == 0) gave_up = 0;
    for (unsigned i = 1; i <= BARRIERS; i++) {
        __syncthreads();
        if (threadIdx.x == 0) {
            __threadfence();
            atomicAdd(count, 1u);
            int spins = 0;
            while (*(volatile unsigned *)count < i * gridDim.x && ++spins < SPIN_LIMIT) {
            }
            if (spins >= SPIN_LIMIT) gave_up = *failed = 1;
            __threadfence();
        }
        __syncthreads();
        if (gave_up) return;
    }
}

/* ---- timing ---- */

static cudaStream_t stream;

static double median(std::vector<double> v)
{
    std::sort(v.begin(), v.end());
    return v[v.size() / 2];
}

/* Median seconds of what run() puts on the stream, by events; the first time does not count. */
template <class F> static double on_device(F run)
{
    cudaEvent_t from, to;
    std::vector<double> all;
    CHECK(cudaEventCreate(&from));
    CHECK(cudaEventCreate(&to));
    for (int i = 0; i <= ROUNDS; i++) {
        float ms = 0;
        CHECK(cudaEventRecord(from, stream));
        run();
        CHECK(cudaEventRecord(to, stream));
        CHECK(cudaEventSynchronize(to));
        CHECK(cudaEventElapsedTime(&ms, from, to));
        if (i > 0) all.push_back(ms * 1e-3);
    }
    CHECK(cudaEventDestroy(from));
    CHECK(cudaEventDestroy(to));
    return median(all);
}

/* Median seconds of the host until run() has returned; then the stream is waited for. */
template <class F> static double on_host(F run)
{
    std::vector<double> all;
    for (int i = 0; i <= 10 * ROUNDS; i++) {
        timespec from, to;
        clock_gettime(CLOCK_MONOTONIC, &from);
        run();
        clock_gettime(CLOCK_MONOTONIC, &to);
        CHECK(cudaStreamSynchronize(stream));
        if (i > 0) all.push_back((to.tv_sec - from.tv_sec) + (to.tv_nsec - from.tv_nsec) * 1e-9);
    }
    return median(all);
}

/* ---- graphs ---- */

static void launch(void (*kernel)(), int blocks, bool dependent)
{
    cudaLaunchAttribute attribute = {};
    attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attribute.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3(blocks);
    config.blockDim = dim3(THREADS);
    config.stream = stream;
    config.attrs = &attribute;
    config.numAttrs = dependent ? 1 : 0;
    CHECK(cudaLaunchKernelEx(&config, kernel));
}

/* What fill() puts on the stream, as a graph. */
template <class F> static cudaGraphExec_t captured(F fill)
{
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    fill();
    CHECK(cudaStreamEndCapture(stream, &graph));
    CHECK(cudaGraphInstantiate(&exec, graph, 0));
    CHECK(cudaGraphDestroy(graph));
    return exec;
}

/* Microseconds a node of a graph of many kernels, each after the one before. */
static double node_us(void (*kernel)(), int blocks, bool dependent)
{
    cudaGraphExec_t exec = captured([&] {
        for (int i = 0; i < NODES; i++) launch(kernel, blocks, dependent);
    });
    double s = on_device([&] { CHECK(cudaGraphLaunch(exec, stream)); });
    CHECK(cudaGraphExecDestroy(exec));
    return s * 1e6 / NODES;
}

/* ---- figures ---- */

static void bandwidth(const cudaDeviceProp *p)
{
    size_t free_bytes, total;
    char *data;
    uint4 *out;
    CHECK(cudaMemGetInfo(&free_bytes, &total));
    size_t bytes = std::min((size_t)4 << 30, free_bytes / 2) & ~(size_t)255, half = bytes / 2;
    CHECK(cudaMalloc(&data, bytes));
    CHECK(cudaMalloc(&out, sizeof *out));
    CHECK(cudaMemsetAsync(data, 1, bytes, stream));
    int blocks; /* of each multiprocessor, all at once */
    CHECK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, read_all, THREADS, 0));
    blocks *= p->multiProcessorCount;
    double s = on_device([&] {
        read_all<<<blocks, THREADS, 0, stream>>>((const uint4 *)data, bytes / sizeof(uint4), out);
        CHECK(cudaGetLastError());
    });
    printf("read_gbs %.1f\n", (double)bytes / s / 1e9);
    s = on_device(
        [&] { CHECK(cudaMemcpyAsync(data, data + half, half, cudaMemcpyDeviceToDevice, stream)); });
    printf("copy_gbs %.1f\n", 2 * (double)half / s / 1e9);
    CHECK(cudaFree(data));
    CHECK(cudaFree(out));
}

static void nodes(const cudaDeviceProp *p)
{
    int sms = p->multiProcessorCount;
    printf("node_us %.3f\nnode_wide_us %.3f\n", node_us(empty, 1, false),
           node_us(empty, sms, false));
    if (p->major >= 9)
        printf("node_dependent_us %.3f\nnode_dependent_wide_us %.3f\n", node_us(early, 1, true),
               node_us(early, sms, true));
}

static void grid_barrier(const cudaDeviceProp *p)
{
    unsigned *count;
    int *failed, host_failed = 0;
    CHECK(cudaMalloc(&count, sizeof *count));
    CHECK(cudaMalloc(&failed, sizeof *failed));
    CHECK(cudaMemset(failed, 0, sizeof *failed));
    CHECK(cudaDeviceSynchronize());
    void *args[] = {&count, &failed};
    double s = on_device([&] {
        CHECK(cudaMemsetAsync(count, 0, sizeof *count, stream));
        CHECK(cudaLaunchCooperativeKernel((const void *)barriers, dim3(p->multiProcessorCount),
                                          dim3(THREADS), args, 0, stream));
    });
    CHECK(cudaMemcpy(&host_failed, failed, sizeof host_failed, cudaMemcpyDeviceToHost));
    if (host_failed) {
        fprintf(stderr, "probe: a grid barrier was not reached by all blocks\n");
        exit(1);
    }
    printf("barrier_us %.3f\n", s * 1e6 / BARRIERS);
    CHECK(cudaFree(count));
    CHECK(cudaFree(failed));
}

static void launches()
{
    void *device, *pinned;
    CHECK(cudaMalloc(&device, READ_BACK));
    CHECK(cudaMemset(device, 0, READ_BACK));
    CHECK(cudaDeviceSynchronize());
    CHECK(cudaMallocHost(&pinned, READ_BACK));
    cudaGraphExec_t frame = captured([&] {
        launch(empty, 1, false);
        CHECK(cudaMemcpyAsync(pinned, device, READ_BACK, cudaMemcpyDeviceToHost, stream));
    });
    cudaGraphExec_t many = captured([&] {
        for (int i = 0; i < NODES; i++) launch(empty, 1, false);
    });
    printf("launch_read_back_us %.2f\n", 1e6 * on_host([&] {
                                             CHECK(cudaGraphLaunch(frame, stream));
                                             CHECK(cudaStreamSynchronize(stream));
                                         }));
    printf("launch_host_us %.2f\n", 1e6 * on_host([&] { CHECK(cudaGraphLaunch(many, stream)); }));
    CHECK(cudaGraphExecDestroy(frame));
    CHECK(cudaGraphExecDestroy(many));
    CHECK(cudaFree(device));
    CHECK(cudaFreeHost(pinned));
}

int main()
{
    cudaDeviceProp p;
    int driver = 0;
    CHECK(cudaDriverGetVersion(&driver));
    CHECK(cudaGetDeviceProperties(&p, 0));
    CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    printf("name %s\nsm %d\nsms %d\nl2_mb %.0f\nmemory_gib %.1f\n", p.name, 10 * p.major + p.minor,
           p.multiProcessorCount, p.l2CacheSize / 1048576.0, (double)p.totalGlobalMem / (1 << 30));
    printf("driver_cuda %d.%d\n", driver / 1000, driver % 1000 / 10);
    bandwidth(&p);
    nodes(&p);
    grid_barrier(&p);
    launches();
    CHECK(cudaStreamDestroy(stream));
    return 0;
}
