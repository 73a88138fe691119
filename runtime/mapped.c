/* mapped.c: a table of the files that are mapped, which a signal handler can read: a page behind
 * the end of a file that was cut short after it was mapped is a SIGBUS, and only the address says
 * which file. */
#include "mapped.h"
#include "argent.h"

#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MAPS = 256 }; /* more are mapped all the same, but not known by name */

static struct {
    atomic_uintptr_t lo, hi;
    _Atomic(const char *) path;
} maps[MAPS];

void agi_mapped_note(const void *map, int64_t size, const char *path)
{
    for (int i = 0; i < MAPS; i++) {
        uintptr_t empty = 0;
        if (!atomic_compare_exchange_strong(&maps[i].lo, &empty, (uintptr_t)map)) continue;
        atomic_store(&maps[i].path, path);
        atomic_store(&maps[i].hi, (uintptr_t)map + (uintptr_t)size);
        return;
    }
}

void agi_mapped_forget(const void *map)
{
    for (int i = 0; i < MAPS; i++) {
        if (atomic_load(&maps[i].lo) != (uintptr_t)map) continue;
        atomic_store(&maps[i].hi, 0); /* from here on no address is in it */
        atomic_store(&maps[i].lo, 0);
        return;
    }
}

void agi_mapped_drop(const char *p, int64_t n)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    const uintptr_t lo = ((uintptr_t)p + page - 1) / page * page,
                    hi = ((uintptr_t)p + (uintptr_t)n) / page * page;
    if (hi > lo) madvise((void *)lo, hi - lo, MADV_DONTNEED);
}

const char *ag_mapped_path(const void *address)
{
    const uintptr_t p = (uintptr_t)address;
    for (int i = 0; i < MAPS; i++)
        if (p >= atomic_load(&maps[i].lo) && p < atomic_load(&maps[i].hi))
            return atomic_load(&maps[i].path);
    return NULL;
}
