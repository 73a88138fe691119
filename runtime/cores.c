/* cores.c: how many cores this process has. A container may be given a share of the machine's time
 * and still see all of its CPUs: threads beyond that share are stopped by the system for most of
 * each period, all at once, in the middle of whatever they do. */
#include "argent.h"

#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The file whose name is the three strings; NULL when there is none. */
static FILE *open_at(const char *root, const char *dir, const char *name)
{
    char *path = NULL;
    if (asprintf(&path, "%s%s%s", root, dir, name) < 0) return NULL;
    FILE *f = fopen(path, "re");
    free(path);
    return f;
}

/* As many numbers of a file as it begins with, at most two. */
static int numbers(const char *mount, const char *group, const char *name, long long n[2])
{
    FILE *f = open_at(mount, group, name);
    if (!f) return 0;
    int got = fscanf(f, "%lld %lld", &n[0], &n[1]);
    fclose(f);
    return got;
}

/* What the quota of one control group is worth. v2 has it in one file, "max" being none; v1 in two,
 * -1 being none. */
static int quota_at(const char *mount, const char *group, bool v2)
{
    long long n[2], period[2];
    if (v2) {
        if (numbers(mount, group, "/cpu.max", n) != 2) return INT_MAX;
    } else {
        if (numbers(mount, group, "/cpu.cfs_quota_us", n) < 1 ||
            numbers(mount, group, "/cpu.cfs_period_us", period) < 1)
            return INT_MAX;
        n[1] = period[0];
    }
    if (n[0] <= 0 || n[1] <= 0) return INT_MAX;
    long long cores = (n[0] - 1) / n[1] + 1;
    return cores < INT_MAX ? (int)cores : INT_MAX;
}

/* The least of a group and all that it lies in. Seen from a container the group may be a path of
 * outside, of which only an upper part, or the root alone, is there. Shortens group. */
static int quota_of(const char *mount, char *group, bool v2)
{
    for (int least = INT_MAX;;) {
        int n = quota_at(mount, group, v2);
        if (n < least) least = n;
        char *slash = strrchr(group, '/');
        if (!slash) return least;
        *slash = '\0';
    }
}

/* Lines of /proc/self/cgroup are ID:CONTROLLERS:GROUP, without controllers in v2. */
static int line_cores(const char *root, char *line)
{
    char *names = strchr(line, ':'), *group = names ? strchr(names + 1, ':') : NULL;
    char *mount = NULL, *listed = NULL;
    int least = INT_MAX;
    if (!group) return least;
    *names++ = '\0';
    *group++ = '\0';
    group[strcspn(group, "\n")] = '\0';
    const bool v2 = !*names;
    if (asprintf(&listed, ",%s,", names) < 0) return least;
    const bool of_cpu = v2 || strstr(listed, ",cpu,");
    free(listed);
    if (!of_cpu || asprintf(&mount, "%s/sys/fs/cgroup%s%s", root, v2 ? "" : "/", names) < 0)
        return least;
    least = quota_of(mount, group, v2);
    free(mount);
    return least;
}

int ag_cores(const char *root)
{
    cpu_set_t set;
    int cores = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    if (!root) root = "";
    FILE *f = open_at(root, "/proc/self", "/cgroup");
    char *line = NULL;
    size_t size = 0;
    while (f && getline(&line, &size, f) > 0) {
        int n = line_cores(root, line);
        if (n < cores) cores = n;
    }
    free(line);
    if (f) fclose(f);
    return cores;
}
