/*
 * emulate.c: a block of CUDA threads as fibres on one CPU thread. A fibre runs until it waits at a
 * barrier (for all threads of the block that have not ended) or at a shuffle (for the 32 of its
 * warp). What would hang a card, or be undefined there, ends the process with a message: this is
 * for tests.
 */
#include "emulate.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#if !defined(__x86_64__) && !defined(__aarch64__)
#include <ucontext.h>
#endif

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define FORGET(stack, bytes) __asan_unpoison_memory_region(stack, bytes)
#define LEAVE(keep, stack, bytes) __sanitizer_start_switch_fiber(keep, stack, bytes)
#define ARRIVE(kept, stack, bytes) __sanitizer_finish_switch_fiber(kept, stack, bytes)
#else
#define FORGET(stack, bytes) ((void)(stack))
#define LEAVE(keep, stack, bytes) ((void)(keep), (void)(stack), (void)(bytes))
#define ARRIVE(kept, stack, bytes) ((void)(kept), (void)(stack), (void)(bytes))
#endif

enum { MOST_THREADS = 1024, WARP = 32, STACK = 64 << 10, SHARED_MOST = 48 << 10, MOST_SUMS = 8 };

enum state { READY, AT_BARRIER, AT_EXCHANGE, ENDED };

typedef struct {
    void *stack;
    void *fake;     /* AddressSanitizer's */
    bool abandoned; /* in the middle of its kernel: it begins anew */
    enum state state;
    size_t shared_at;
    int turn; /* exchanges so far: their buffers alternate */
#if defined(__x86_64__) || defined(__aarch64__)
    void *sp;
#else
    ucontext_t context;
#endif
} fibre;

struct agi_emulated_at agi_emulated;

static fibre fibres[MOST_THREADS], home;
static const void *home_stack; /* as AddressSanitizer knows it */
static size_t home_bytes;
static int made, current;
static char *shared;
static size_t shared_used;
static char exchanged[MOST_THREADS / WARP][2][WARP * MOST_SUMS * 4];
typedef struct {
    int turn; /* of the exchange that these are the sums of */
    float sum[MOST_SUMS];
} warp_totals;
static warp_totals totals[MOST_THREADS / WARP];
static agi_kernel_fn *running;
static const void *arguments;

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "emulated CUDA: block (%d, %d), thread %d: %s\n", blockIdx.x, blockIdx.y,
            current, what);
    abort();
}

/* ---- fibres ---- */

#if defined(__x86_64__) || defined(__aarch64__)
/* Keeps what a call must keep on the stack, and goes on where the other stack was left. */
void agi_emulated_switch(void **from, void *to);
static void go(fibre *from, fibre *to) { agi_emulated_switch(&from->sp, to->sp); }
#endif

#if defined(__x86_64__)
__asm__(".text\n.globl agi_emulated_switch\n.hidden agi_emulated_switch\n"
        ".type agi_emulated_switch, @function\nagi_emulated_switch:\n"
        "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n  pushq %r13\n  pushq %r14\n  pushq %r15\n"
        "  movq %rsp, (%rdi)\n  movq %rsi, %rsp\n"
        "  popq %r15\n  popq %r14\n  popq %r13\n  popq %r12\n  popq %rbx\n  popq %rbp\n  ret\n"
        ".size agi_emulated_switch, .-agi_emulated_switch\n");

static void prepare(fibre *f, void (*body)(void))
{
    /* Where a call would have left it, 8 bytes off a multiple of 16. */
    void **top = (void **)(void *)((char *)f->stack + STACK - 24);
    *--top = (void *)body;
    for (int i = 0; i < 6; i++) *--top = NULL;
    f->sp = top;
}
#elif defined(__aarch64__)
__asm__(".text\n.globl agi_emulated_switch\n.hidden agi_emulated_switch\n"
        ".type agi_emulated_switch, %function\nagi_emulated_switch:\n"
        "  stp x29, x30, [sp, #-160]!\n"
        "  stp x19, x20, [sp, #16]\n  stp x21, x22, [sp, #32]\n  stp x23, x24, [sp, #48]\n"
        "  stp x25, x26, [sp, #64]\n  stp x27, x28, [sp, #80]\n"
        "  stp d8, d9, [sp, #96]\n  stp d10, d11, [sp, #112]\n"
        "  stp d12, d13, [sp, #128]\n  stp d14, d15, [sp, #144]\n"
        "  mov x9, sp\n  str x9, [x0]\n  mov sp, x1\n"
        "  ldp d14, d15, [sp, #144]\n  ldp d12, d13, [sp, #128]\n"
        "  ldp d10, d11, [sp, #112]\n  ldp d8, d9, [sp, #96]\n"
        "  ldp x27, x28, [sp, #80]\n  ldp x25, x26, [sp, #64]\n"
        "  ldp x23, x24, [sp, #48]\n  ldp x21, x22, [sp, #32]\n  ldp x19, x20, [sp, #16]\n"
        "  ldp x29, x30, [sp], #160\n  ret\n"
        ".size agi_emulated_switch, .-agi_emulated_switch\n");

static void prepare(fibre *f, void (*body)(void))
{
    /* 20 kept registers, of which the second is where the switch returns to. */
    void **top = (void **)(void *)((char *)f->stack + STACK - 160);
    memset(top, 0, 160);
    top[1] = (void *)body;
    f->sp = top;
}
#else
static void go(fibre *from, fibre *to) { swapcontext(&from->context, &to->context); }

static void prepare(fibre *f, void (*body)(void))
{
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = f->stack;
    f->context.uc_stack.ss_size = STACK;
    makecontext(&f->context, body, 0);
}
#endif

static void go_home(void)
{
    fibre *f = &fibres[current];
    LEAVE(&f->fake, home_stack, home_bytes);
    go(f, &home);
    ARRIVE(f->fake, NULL, NULL);
}

/* A fibre never returns: ended, it waits for the next block. */
static void body(void)
{
    ARRIVE(NULL, &home_stack, &home_bytes);
    for (;;) {
        running(arguments);
        fibres[current].state = ENDED;
        go_home();
    }
}

static void make_fibre(fibre *f)
{
    f->stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (f->stack == MAP_FAILED) die("no memory for a fibre");
    prepare(f, body);
}

static void resume(int i)
{
    fibre *f = &fibres[i];
    current = i;
    agi_emulated.thread.x = i;
    LEAVE(&home.fake, f->stack, STACK);
    go(&home, f);
    ARRIVE(home.fake, NULL, NULL);
}

/* ---- what kernels call ---- */

void *agi_emulated_shared(size_t bytes)
{
    fibre *f = &fibres[current];
    void *p = shared + f->shared_at;
    f->shared_at += (bytes + 15) / 16 * 16;
    if (f->shared_at > SHARED_MOST) die("more than 48 KB of shared memory");
    if (f->shared_at > shared_used) shared_used = f->shared_at;
    return p;
}

void agi_emulated_barrier(void)
{
    fibres[current].state = AT_BARRIER;
    go_home();
}

const void *agi_emulated_exchange(const void *mine, size_t bytes)
{
    fibre *f = &fibres[current];
    char *cells = exchanged[(unsigned)current / WARP][f->turn++ & 1];
    if (bytes > MOST_SUMS * 4) die("a shuffle of too many bytes");
    memcpy(cells + (unsigned)current % WARP * bytes, mine, bytes);
    f->state = AT_EXCHANGE;
    go_home();
    return cells;
}

/* The exchanges give all lanes the same bits, so the first to come back makes the sums of all. */
void agi_emulated_warp_sums(float *v, int n)
{
    float all[WARP * MOST_SUMS];
    const void *given = agi_emulated_exchange(v, (size_t)n * sizeof *v);
    const int turn = fibres[current].turn;
    warp_totals *t = &totals[(unsigned)current / WARP];
    if (t->turn != turn) {
        memcpy(all, given, (size_t)(WARP * n) * sizeof *all);
        for (int off = WARP / 2; off > 0; off /= 2)
            for (int i = 0; i < off * n; i++) all[i] += all[i + off * n];
        t->turn = turn;
        memcpy(t->sum, all, sizeof t->sum);
    }
    memcpy(v, t->sum, (size_t)n * sizeof *v);
}

static float half_of(uint32_t pair, int high)
{
    uint32_t bits = high ? pair & 0xffff0000u : pair << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* With g = lane / 4 and t = lane % 4 a lane holds, of a, rows g and g + 8 at columns 2t, 2t + 1,
 * then both at 2t + 8, 2t + 9; of b, column g at rows 2t, 2t + 1 and 2t + 8, 2t + 9; of d, rows g
 * and g + 8 at columns 2t, 2t + 1. */
void agi_mma_bf16(float d[4], const uint32_t a[4], const uint32_t b[2])
{
    struct {
        uint32_t a[4], b[2];
    } mine, all[WARP];
    memcpy(mine.a, a, sizeof mine.a);
    memcpy(mine.b, b, sizeof mine.b);
    memcpy(all, agi_emulated_exchange(&mine, sizeof mine), sizeof all);
    const int g = agi_emulated_lane() / 4, t = agi_emulated_lane() % 4;
    for (int i = 0; i < 4; i++) {
        const int row = g + i / 2 * 8, column = 2 * t + i % 2;
        for (int k = 0; k < 16; k++) {
            const int half = k / 8, in = k % 8;
            d[i] += half_of(all[row % 8 * 4 + in / 2].a[row / 8 + 2 * half], in % 2) *
                    half_of(all[column * 4 + in / 2].b[half], in % 2);
        }
    }
}

/* ---- blocks ---- */

/* Whether all threads of warp w wait for each other; then they go on. */
static bool release_warp(int w)
{
    for (int i = w * WARP; i < (w + 1) * WARP; i++)
        if (fibres[i].state != AT_EXCHANGE) return false;
    for (int i = w * WARP; i < (w + 1) * WARP; i++) fibres[i].state = READY;
    return true;
}

static bool release_block(int threads)
{
    for (int i = 0; i < threads; i++)
        if (fibres[i].state != AT_BARRIER && fibres[i].state != ENDED) return false;
    for (int i = 0; i < threads; i++)
        if (fibres[i].state == AT_BARRIER) fibres[i].state = READY;
    return true;
}

static void run_block(int threads, bool backwards)
{
    memset(shared, 0xff, shared_used);
    for (int i = 0; i < threads; i++) {
        if (fibres[i].abandoned) {
            FORGET(fibres[i].stack, STACK); /* of the frames that were left there */
            prepare(&fibres[i], body);
            fibres[i].abandoned = false;
        }
        fibres[i].state = READY;
        fibres[i].shared_at = 0;
        fibres[i].turn = 0;
    }
    for (int w = 0; w < threads / WARP; w++) totals[w].turn = 0;
    for (int ended = 0; ended < threads;) {
        bool moved = false;
        for (int w = 0; w < threads / WARP; w++) {
            const int warp = backwards ? threads / WARP - 1 - w : w;
            /* A warp goes as far as it can: its state is in the caches. */
            do {
                for (int n = 0; n < WARP; n++) {
                    const int i = warp * WARP + (backwards ? WARP - 1 - n : n);
                    if (fibres[i].state != READY) continue;
                    resume(i);
                    moved = true;
                    if (fibres[i].state == ENDED) ended++;
                }
            } while (release_warp(warp));
        }
        if (!moved && !release_block(threads))
            die("threads of a warp wait at different places, or for one that has ended");
    }
}

static void run(const agi_emulated_call *call)
{
    static bool backwards;
    const int64_t n = call->across * call->down;
    const int threads = call->threads;
    if (threads < 1 || threads > MOST_THREADS || threads % WARP) die("a block of odd size");
    if (call->across < 1 || call->across > INT32_MAX || call->down < 1 || call->down > 65535)
        die("a grid of impossible size");
    if (!shared && !(shared = malloc(SHARED_MOST))) die("no memory");
    for (; made < threads; made++) make_fibre(&fibres[made]);
    shared_used = SHARED_MOST; /* not known before a block has run */
    running = call->kernel;
    arguments = call->args;
    agi_emulated.threads = (agi_dim2){threads, 1};
    agi_emulated.grid = (agi_dim2){(int)call->across, (int)call->down};
    for (int64_t i = 0; i < n; i++) {
        const int64_t at = backwards ? n - 1 - i : i;
        agi_emulated.block = (agi_dim2){(int)(at % call->across), (int)(at / call->across)};
        if (i == 1) {
            shared_used = 0;
            for (int j = 0; j < threads; j++)
                if (fibres[j].shared_at > shared_used) shared_used = fibres[j].shared_at;
        }
        run_block(threads, backwards);
    }
    backwards = !backwards;
}

/* ---- launches that overlap ---- */

typedef struct {
    const void *at;
    char bytes[16];
} early_read;

static agi_emulated_call pending; /* kernel NULL: none */
static bool overlapping, probing;
static early_read *early;
static size_t n_early, cap_early;

void agi_emulated_begin(void)
{
    if (!probing) return;
    /* What follows is for the launch's turn. */
    fibres[current].state = ENDED;
    fibres[current].abandoned = true;
    go_home();
}

const void *agi_emulated_constant(const void *p)
{
    if (!probing) return p;
    if (n_early == cap_early) {
        cap_early = cap_early ? 2 * cap_early : 1024;
        early_read *more = realloc(early, cap_early * sizeof *more);
        if (!more) die("no memory");
        early = more;
    }
    early[n_early].at = p;
    memcpy(early[n_early++].bytes, p, sizeof early->bytes);
    return p;
}

void agi_emulated_wait(void)
{
    if (!pending.kernel) return;
    const agi_emulated_call call = pending;
    pending.kernel = NULL;
    run(&call);
    free((void *)(uintptr_t)call.args);
}

static int (*sink)(const agi_emulated_call *call);

void agi_emulated_sink(int (*to)(const agi_emulated_call *call)) { sink = to; }

int agi_emulated_launch(const agi_emulated_call *call)
{
    if (sink) return sink(call);
    if (!overlapping) {
        run(call);
        return 0;
    }
    n_early = 0;
    if (call->dependent && pending.kernel) {
        probing = true;
        run(call);
        probing = false;
    }
    agi_emulated_wait();
    for (size_t i = 0; i < n_early; i++)
        if (memcmp(early[i].at, early[i].bytes, sizeof early->bytes) != 0)
            die("a dependent launch has read what the launch before it writes");
    pending = *call;
    void *copy = malloc(call->size);
    if (!copy) die("no memory");
    pending.args = memcpy(copy, call->args, call->size);
    return 0;
}

void agi_emulated_overlap(int on)
{
    if (!on) agi_emulated_wait();
    overlapping = on;
}

__attribute__((destructor)) static void give_back(void)
{
    for (int i = 0; i < made; i++) munmap(fibres[i].stack, STACK);
    free(shared);
    free(early);
}
