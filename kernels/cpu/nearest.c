/*
 * nearest.c: the op nearest: which row of a table each row of x is closest to, one stage of a
 * residual quantiser. A worker takes rows of x, a few at a time, and lets them all look at a
 * stretch of the table while it is in the cache.
 */
#include "isa.h"
#include "../../runtime/backend_cpu.h"
#include "../../runtime/fault.h"
#include "../../runtime/ops.h"

#include <math.h>

enum { ROWS = 32, ENTRIES = 32 };

/* Rows [r, r + n), n <= ROWS. Entries are seen in their order and only a nearer one replaces the
 * best: of equals the first stays. */
static int assign(const agi_nearest_args *a, const agi_worker *w, int64_t r, int64_t n)
{
    float best[ROWS], s[ENTRIES];
    int64_t at[ROWS];
    for (int64_t i = 0; i < n; i++) {
        best[i] = INFINITY;
        at[i] = -1;
    }
    for (int64_t e = 0; e < a->vocab; e += ENTRIES) {
        int64_t count = a->vocab - e < ENTRIES ? a->vocab - e : ENTRIES;
        for (int64_t i = 0; i < n; i++) {
            w->isa->distances(s, a->x + (r + i) * a->x_stride, a->table + e * a->table_stride,
                              a->table_stride, count, a->n);
            for (int64_t j = 0; j < count; j++)
                if (s[j] < best[i]) {
                    best[i] = s[j];
                    at[i] = e + j;
                }
        }
    }
    for (int64_t i = 0; i < n; i++) {
        if (at[i] < 0) return agi_fault_fail(AGI_FAULT_NEAREST, r + i, 0, 0, 0);
        a->out[(r + i) * a->out_stride] = (int32_t)at[i];
    }
    return AG_OK;
}

int agi_cpu_nearest(const void *args, agi_worker *w)
{
    const agi_nearest_args *a = args;
    int64_t lo, hi;
    agi_share(w, a->rows, 1, &lo, &hi);
    for (int64_t r = lo; r < hi; r += ROWS) {
        int rc = assign(a, w, r, hi - r < ROWS ? hi - r : ROWS);
        if (rc) return rc;
    }
    return AG_OK;
}
