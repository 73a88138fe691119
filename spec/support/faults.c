/*
 * faults.c: a library for LD_PRELOAD that makes the system fail, for specs. ARGENT_FAULT is
 * KIND:HOW:FIRST:COUNT; of the calls of that kind, counted from 1, those from FIRST on, COUNT of
 * them, fail so:
 *
 *   memory:ENOMEM   malloc and its relatives
 *   map:ENOMEM      mmap, mremap, mprotect, as libraries call them; map:code refuses code alone
 *   write:ENOSPC    write, pwrite, writev (also those that the C library makes by itself); EIO,
 *                   EINTR, or `short`: half of the bytes are written
 *   sync:EIO        fsync, fdatasync        rename:EIO  rename, renameat, renameat2
 *   open:EMFILE     open, openat            read:EIO    read, pread, readv
 *   affinity:EPERM  sched_setaffinity
 *   any:SIGTERM     all of these system calls; a signal arrives just before it
 *
 * The number of calls seen is written into the file that ARGENT_FAULT_SEEN names. A segmentation
 * fault, or an abort, prints where it is.
 */
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>

#if !defined(__x86_64__) || !defined(__GLIBC__)
#error "of one system so far: glibc on x86-64"
#endif

#pragma GCC visibility push(default)
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t),
    *__libc_memalign(size_t, size_t);

static atomic_long seen;
static long first, count = 1;
static int how; /* an errno, a negative signal */
static bool memory, map, code, cut;

static bool now(void)
{
    if (first < 0) return false;
    long n = atomic_fetch_add(&seen, 1) + 1;
    return n >= first && n - first < count && first > 0;
}

static bool no_memory(void)
{
    if (!memory || !now()) return false;
    errno = how;
    return true;
}

/* ---- memory ---- */

void *malloc(size_t n) { return no_memory() ? NULL : __libc_malloc(n); }
void *calloc(size_t n, size_t size) { return no_memory() ? NULL : __libc_calloc(n, size); }
void *realloc(void *p, size_t n) { return no_memory() ? NULL : __libc_realloc(p, n); }
void *memalign(size_t to, size_t n) { return no_memory() ? NULL : __libc_memalign(to, n); }
void *aligned_alloc(size_t to, size_t n) { return no_memory() ? NULL : __libc_memalign(to, n); }

int posix_memalign(void **out, size_t to, size_t n)
{
    void *p = no_memory() ? NULL : __libc_memalign(to, n);
    if (!p) return ENOMEM;
    *out = p;
    return 0;
}

static bool no_map(int protection)
{
    if (!map || (code && !(protection & PROT_EXEC)) || !now()) return false;
    errno = how;
    return true;
}

void *mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset)
{
    if (no_map(protection)) return MAP_FAILED;
    return (void *)syscall(SYS_mmap, at, n, protection, flags, fd, offset);
}

void *mmap64(void *at, size_t n, int protection, int flags, int fd, off_t offset)
{
    return mmap(at, n, protection, flags, fd, offset);
}

void *mremap(void *p, size_t from, size_t to, int flags, ...)
{
    va_list ap;
    va_start(ap, flags);
    void *at = flags & MREMAP_FIXED ? va_arg(ap, void *) : NULL;
    va_end(ap);
    if (no_map(0)) return MAP_FAILED;
    return (void *)syscall(SYS_mremap, p, from, to, flags, at);
}

int mprotect(void *p, size_t n, int protection)
{
    return no_map(protection) ? -1 : (int)syscall(SYS_mprotect, p, n, protection);
}

#pragma GCC visibility pop

/* ---- system calls ---- */

/* The mark by which the filter lets a call pass that the handler makes: the sixth argument, which
 * none of these has. */
static const long MARK = 0x61726765;

/* The call as it was asked for, or half of its bytes. */
static long make(long number, greg_t *r)
{
    if (cut && number == SYS_write && r[REG_RDX] > 1) r[REG_RDX] /= 2;
    long rc;
    register long r10 __asm__("r10") = r[REG_R10];
    register long r8 __asm__("r8") = r[REG_R8];
    register long r9 __asm__("r9") = MARK;
    __asm__ volatile("syscall"
                     : "=a"(rc)
                     : "a"(number), "D"(r[REG_RDI]), "S"(r[REG_RSI]), "d"(r[REG_RDX]), "r"(r10),
                       "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return rc;
}

static void on_call(int signal_number, siginfo_t *info, void *context)
{
    (void)signal_number;
    greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    const bool fails = now(), halves = cut;
    cut = fails && halves;
    if (fails && how < 0) raise(-how);
    r[REG_RAX] = fails && how > 0 && !halves ? -how : make(info->si_syscall, r);
    cut = halves;
}

static void trap(const int *numbers)
{
    struct sock_filter f[40];
    unsigned short n = 0;
    f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                          offsetof(struct seccomp_data, args[5]));
    f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MARK, 0, 1);
    f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    f[n++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (; *numbers >= 0; numbers++) {
        f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)*numbers, 0, 1);
        f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP);
    }
    f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sigaction action = {.sa_sigaction = on_call, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGSYS, &action, NULL);
    struct sock_fprog program = {n, f};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        _exit(125);
}

/* ---- beginning and end ---- */

/* The place itself comes first, as libgcc may abort where it cannot follow a broken stack. */
static void on_crash(int signal_number, siginfo_t *info, void *context)
{
    (void)info;
    void *stack[64], *at = (void *)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
    first = -1; /* what comes now does not fail */
    signal(SIGSEGV, SIG_DFL);
    signal(SIGABRT, SIG_DFL);
    backtrace_symbols_fd(&at, 1, 2);
    backtrace_symbols_fd(stack + 1, backtrace(stack, 64) - 1, 2); /* without this function */
    raise(signal_number);
}

static const struct {
    const char *name;
    int number;
} codes[] = {{"ENOMEM", ENOMEM},    {"ENOSPC", ENOSPC},    {"EIO", EIO},
             {"EINTR", EINTR},      {"EMFILE", EMFILE},    {"EPERM", EPERM},
             {"EDQUOT", EDQUOT},    {"SIGINT", -SIGINT},   {"SIGHUP", -SIGHUP},
             {"SIGTERM", -SIGTERM}, {"SIGPIPE", -SIGPIPE}, {"SIGKILL", -SIGKILL}};

static const struct {
    const char *name;
    int calls[16];
} kinds[] = {{"write", {SYS_write, SYS_pwrite64, SYS_writev, -1}},
             {"sync", {SYS_fsync, SYS_fdatasync, -1}},
             {"rename", {SYS_rename, SYS_renameat, SYS_renameat2, -1}},
             {"open", {SYS_open, SYS_openat, -1}},
             {"read", {SYS_read, SYS_pread64, SYS_readv, -1}},
             {"affinity", {SYS_sched_setaffinity, -1}},
             {"any",
              {SYS_write, SYS_pwrite64, SYS_writev, SYS_fsync, SYS_rename, SYS_open, SYS_openat,
               SYS_read, SYS_pread64, SYS_close, SYS_munmap, SYS_unlink, -1}}};

__attribute__((constructor)) static void begin(void)
{
    char kind[16] = "", word[16] = "";
    void *stack[2];
    const char *fault = getenv("ARGENT_FAULT");
    if (!fault || sscanf(fault, "%15[^:]:%15[^:]:%ld:%ld", kind, word, &first, &count) < 3)
        _exit(125);
    backtrace(stack, 2); /* which loads what it needs */
    struct sigaction crash = {.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &crash, NULL);
    sigaction(SIGABRT, &crash, NULL);
    unsetenv("LD_PRELOAD"); /* not for what this process runs */
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (!strcmp(word, codes[i].name)) how = codes[i].number;
    cut = !strcmp(word, "short");
    code = !strcmp(word, "code");
    if (code) how = EPERM;
    memory = !strcmp(kind, "memory");
    map = !strcmp(kind, "map");
    atomic_store(&seen, 0);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(kind, kinds[i].name)) trap(kinds[i].calls);
}

__attribute__((destructor)) static void end(void)
{
    const long n = atomic_load(&seen);
    first = -1;
    const char *path = getenv("ARGENT_FAULT_SEEN");
    FILE *f = path ? fopen(path, "w") : NULL;
    if (!f) return;
    fprintf(f, "%ld\n", n);
    fclose(f);
}
