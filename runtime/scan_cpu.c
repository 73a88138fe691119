/* scan_cpu.c: plain reads of memory by the worker team, which say what bandwidth there is. A load
 * brings in a whole cache line, so one word of each line is enough; what it holds is folded into a
 * word, so that no read can be left out and a spec sees that none was. */
#include "backend_cpu.h"
#include "error.h"

#include <stdatomic.h>
#include <string.h>

enum { LINE = 64, MOST_STREAMS = 8 };

typedef struct {
    const char *data;
    int64_t lines;
    int streams, ahead, parts;
    atomic_uint seen;
} scan;

/* n lines from p in `streams` runs side by side, the rest after them. ask and streams are
 * constants. */
static inline __attribute__((always_inline)) uint32_t
read_lines(const char *p, int64_t n, const int streams, const bool ask, int ahead)
{
    uint32_t seen[MOST_STREAMS] = {0}, word;
    const int64_t run = n / streams;
    for (int64_t i = 0; i < run; i++)
        for (int s = 0; s < streams; s++) {
            const char *line = p + (s * run + i) * LINE;
            if (ask) __builtin_prefetch(line + ahead);
            memcpy(&word, line, sizeof word);
            seen[s] ^= word;
        }
    for (int64_t i = run * streams; i < n; i++) {
        memcpy(&word, p + i * LINE, sizeof word);
        seen[0] ^= word;
    }
    for (int s = 1; s < streams; s++) seen[0] ^= seen[s];
    return seen[0];
}

static uint32_t read_share(const char *p, int64_t n, int streams, int ahead)
{
    switch (streams) {
    case 1: return ahead ? read_lines(p, n, 1, true, ahead) : read_lines(p, n, 1, false, 0);
    case 2: return ahead ? read_lines(p, n, 2, true, ahead) : read_lines(p, n, 2, false, 0);
    case 4: return ahead ? read_lines(p, n, 4, true, ahead) : read_lines(p, n, 4, false, 0);
    default: return ahead ? read_lines(p, n, 8, true, ahead) : read_lines(p, n, 8, false, 0);
    }
}

static int read_part(void *ctx, int stage, int part, agi_worker *w)
{
    (void)stage;
    scan *s = ctx;
    int64_t lo, hi;
    w->index = part;
    w->count = s->parts;
    agi_share(w, s->lines, 1, &lo, &hi);
    uint32_t seen = read_share(s->data + lo * LINE, hi - lo, s->streams, s->ahead);
    atomic_fetch_xor(&s->seen, seen);
    return AG_OK;
}

int agi_cpu_scan(ag_backend *be, const char *data, int64_t bytes, int streams, int ahead,
                 uint32_t *seen)
{
    if (streams != 1 && streams != 2 && streams != 4 && streams != MOST_STREAMS)
        return agi_fail(AG_EINVAL, "scan: %d streams; 1, 2, 4 or 8", streams);
    agi_team *team = agi_cpu_team(be);
    scan s = {.data = data,
              .lines = bytes / LINE,
              .ahead = ahead,
              .streams = streams,
              .parts = agi_team_parts(team, (double)bytes)};
    int rc = agi_team_run(team, &(agi_job){1, &s.parts, read_part, &s});
    *seen = atomic_load(&s.seen);
    return rc;
}
