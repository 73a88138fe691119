/*
 * text_fuzz.c: a libFuzzer target for the other texts that C reads. The first byte says which: the
 * control groups that ag_cores reads, the messages of others in ag_out_of_memory, or the names of
 * files in a folder, of which ag_partial_create takes away what dead processes have left.
 */
#include "argent.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static char root[64];

static void require(int holds, const char *what)
{
    if (holds) return;
    fprintf(stderr, "%s: %s\n", what, ag_last_error());
    abort();
}

static void folder(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s%s", root, name);
    require(mkdir(path, 0700) == 0, path);
}

static void file(const char *name, const char *text, size_t n)
{
    char path[256];
    snprintf(path, sizeof path, "%s%s", root, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    require(fd >= 0 && write(fd, text, n) == (ssize_t)n, path);
    close(fd);
}

static void clean(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", root);
    if (system(command) != 0) fputs("a folder is left in /dev/shm\n", stderr);
}

static void start(void)
{
    snprintf(root, sizeof root, "/dev/shm/text_fuzz.%d", (int)getpid());
    static const char *const folders[] = {"",
                                          "/proc",
                                          "/proc/self",
                                          "/sys",
                                          "/sys/fs",
                                          "/sys/fs/cgroup",
                                          "/sys/fs/cgroup/cpu",
                                          "/sys/fs/cgroup/cpu/g",
                                          "/sys/fs/cgroup/g"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) folder(folders[i]);
    atexit(clean);
}

/* Four files, cut where a zero byte is. */
static void cores(const char *text, const char *end)
{
    static const char *const names[] = {"/proc/self/cgroup", "/sys/fs/cgroup/g/cpu.max",
                                        "/sys/fs/cgroup/cpu/g/cpu.cfs_quota_us",
                                        "/sys/fs/cgroup/cpu/g/cpu.cfs_period_us"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t n = strnlen(text, (size_t)(end - text));
        file(names[i], text, n);
        text += text + n < end ? n + 1 : n;
    }
    require(ag_cores(root) >= 1, "cores");
}

/* A target whose name is the text, with leftovers beside it whose names it makes up. */
static void partial(const char *text)
{
    char path[512], made[600], left[600];
    if (strlen(text) > 200 || strchr(text, '/') || !*text || text[0] == '.') return;
    snprintf(path, sizeof path, "%s/%s", root, text);
    snprintf(left, sizeof left, "%s/.%s", root, text);
    int fd = open(left, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0) close(fd);
    fd = ag_partial_create(path, made, (int64_t)sizeof made);
    require(fd >= 0 && strlen(made) <= strlen(path) + 40, "partial");
    require(ag_partial_finish(made, path) == AG_OK && access(path, F_OK) == 0, "finish");
    close(fd);
    unlink(path);
    unlink(left);
    require(access(made, F_OK) != 0, "a partial file is left");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (!*root) start();
    if (n < 1) return 0;
    char *text = malloc(n); /* of exactly that size, so that the sanitizer sees each byte beyond */
    require(text != NULL, "memory");
    memcpy(text, data + 1, n - 1);
    text[n - 1] = '\0';
    switch (data[0] % 3) {
    case 0: cores(text, text + n - 1); break;
    case 1: ag_out_of_memory(text); break;
    default: partial(text);
    }
    free(text);
    return 0;
}
