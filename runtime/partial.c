/*
 * partial.c: files while they are written. Each lies beside its target under a hidden name,
 * `.NAME.PID.partial`, is locked (flock) while its writer lives, and stands in a table that a
 * signal handler can read. So whoever ends a process can take its partial files along, and those
 * of a process that had no chance to (kill -9, a power cut) are known by nobody holding their lock.
 */
#include "partial.h"
#include "argent.h"
#include "error.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    TRIES = 100,    /* names of this process beside one target */
    LISTED = 64,    /* partial files that a signal finds; more wait for the sweep */
    FOLDERS = 64,   /* folders that are remembered as swept */
    LONGEST = 200,  /* bytes of the target's name that the partial one keeps */
    DECORATION = 40 /* bytes around it */
};

static _Atomic(char *) listed[LISTED];

/* ---- the table ---- */

static void list(const char *partial)
{
    char *copy = strdup(partial);
    for (int i = 0; copy && i < LISTED; i++) {
        char *empty = NULL;
        if (atomic_compare_exchange_strong(&listed[i], &empty, copy)) return;
    }
    free(copy);
}

static void unlist(const char *partial)
{
    for (int i = 0; i < LISTED; i++) {
        char *p = atomic_load(&listed[i]);
        if (!p || strcmp(p, partial) != 0) continue;
        if (atomic_compare_exchange_strong(&listed[i], &p, NULL)) free(p);
        return;
    }
}

void ag_partial_drop_all(void)
{
    for (int i = 0; i < LISTED; i++) {
        const char *p = atomic_load(&listed[i]);
        if (p) unlink(p);
    }
}

/* ---- what dead processes left ---- */

/* The process in a name of the form .NAME.PID.partial or .NAME.PID.N.partial; 0 for others. */
static long writer_of(const char *name)
{
    static const char end[] = ".partial";
    size_t n = strlen(name), numbers = 0;
    if (name[0] != '.' || n <= sizeof end || strcmp(name + n - sizeof end + 1, end) != 0) return 0;
    const char *at = name + n - sizeof end + 1;
    for (; numbers < 2; numbers++) {
        const char *last = at;
        while (at > name && at[-1] >= '0' && at[-1] <= '9') at--;
        if (at == last || at == name || at[-1] != '.') break;
        at--;
    }
    if (numbers == 0 || at == name) return 0;
    char *rest;
    long pid = strtol(at + 1, &rest, 10);
    return pid > 0 && pid <= INT_MAX ? pid : 0;
}

static bool abandoned(int folder, const char *name, long writer)
{
    struct stat st;
    if (kill((pid_t)writer, 0) == 0 || errno != ESRCH) return false;
    int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return false;
    bool free = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && flock(fd, LOCK_EX | LOCK_NB) == 0;
    close(fd);
    return free;
}

/* Once for each folder and process: a folder may hold very many files. */
static void sweep(const char *path)
{
    static struct {
        dev_t device;
        ino_t inode;
    } swept[FOLDERS];
    static atomic_int n;
    char folder[PATH_MAX];
    struct stat st;
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) + 1 : 1,
             slash ? path : ".");
    DIR *dir = opendir(folder);
    if (!dir) return;
    int known = atomic_load(&n);
    bool again = fstat(dirfd(dir), &st) != 0 || known == FOLDERS;
    for (int i = 0; i < known && !again; i++)
        again = swept[i].device == st.st_dev && swept[i].inode == st.st_ino;
    if (!again) {
        swept[known].device = st.st_dev;
        swept[known].inode = st.st_ino;
        atomic_store(&n, known + 1);
        for (struct dirent *e; (e = readdir(dir)) != NULL;) {
            long writer = writer_of(e->d_name);
            if (writer && abandoned(dirfd(dir), e->d_name, writer))
                unlinkat(dirfd(dir), e->d_name, 0);
        }
    }
    closedir(dir);
}

/* ---- the interface ---- */

size_t agi_partial_room(const char *path) { return strlen(path) + DECORATION; }

int ag_partial_create(const char *path, char *partial, int64_t room)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    int keep = (int)strlen(name);
    if (keep > LONGEST) {
        for (keep = LONGEST; keep > 0 && (name[keep] & 0xc0) == 0x80;) keep--; /* whole letters */
    }
    sweep(path);
    for (int i = 0; i < TRIES; i++) {
        char number[16] = "";
        if (i > 0) snprintf(number, sizeof number, ".%d", i);
        int n = snprintf(partial, (size_t)room, "%.*s.%.*s.%d%s.partial", (int)(name - path), path,
                         keep, name, (int)getpid(), number);
        if (n < 0 || n >= room) return agi_fail(AG_EINVAL, "partial: no room for the name");
        int fd = open(partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0) {
            struct stat st; /* who could not read the file that it replaces cannot read it */
            if (stat(path, &st) == 0 && S_ISREG(st.st_mode))
                (void)fchmod(fd, 0600 | (st.st_mode & 0777));
            (void)flock(fd, LOCK_EX | LOCK_NB); /* where a file system has no locks, by its PID */
            list(partial);
            return fd;
        }
        if (errno != EEXIST) return agi_fail(agi_system_code(errno), "%s", strerror(errno));
    }
    return agi_fail(AG_EIO, "too many leftover .partial files beside it");
}

int ag_partial_finish(const char *partial, const char *path)
{
    if (rename(partial, path) != 0) return agi_fail(agi_system_code(errno), "%s", strerror(errno));
    unlist(partial);
    return AG_OK;
}

void ag_partial_drop(const char *partial)
{
    unlink(partial);
    unlist(partial);
}
