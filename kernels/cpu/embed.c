/*
 * embed.c: the op embedding: table rows by id, or their sum over groups. Ids are data, so they are
 * checked here: a row with one outside its table adds nothing, and is at fault.
 */
#include "../weight.h"
#include "share.h"
#include "../../runtime/backend_cpu.h"
#include "../../runtime/fault.h"
#include "../../runtime/ops.h"

static int64_t id_at(const agi_embedding_args *a, int64_t row, int64_t g)
{
    return a->ids[row * a->ids_row + g * a->ids_group];
}

static bool known(const agi_embedding_args *a, int64_t row)
{
    for (int64_t g = 0; g < a->groups; g++) {
        int64_t id = id_at(a, row, g);
        if (id < 0 || id >= a->vocab) return false;
    }
    return true;
}

/* Every worker looks at all ids, so that with several wrong ones the first is named; the first
 * worker writes the rows' faults. */
static int check_ids(const agi_embedding_args *a, const agi_worker *w)
{
    for (int64_t r = 0; r < a->rows; r++)
        for (int64_t g = 0; g < a->groups; g++) {
            int64_t id = id_at(a, r, g);
            if (id >= 0 && id < a->vocab) continue;
            if (a->faults.p) {
                int32_t *word = a->faults.p + r * a->faults.stride;
                if (w->index == 0 && !*word) *word = AGI_FAULT_ID;
                continue;
            }
            return agi_fault_fail(AGI_FAULT_ID, id, r, g, a->vocab);
        }
    return AG_OK;
}

/* acc += the columns [col, col + n) of a table row. */
static void add_row(float *acc, const agi_embedding_args *a, int64_t g, int64_t id, int64_t col,
                    int64_t n)
{
    const agi_weight table = a->table;
    const int64_t at = g * a->group_stride + id * table.stride + col;
    for (int64_t i = 0; i < n; i++) acc[i] += agi_weight_value(&table, table.kind, at + i);
}

int agi_cpu_embedding(const void *args, agi_worker *w)
{
    const agi_embedding_args *a = args;
    int rc = check_ids(a, w);
    agi_pieces p = agi_pieces_of(w, a->rows, a->n, false);
    while (agi_next_piece(&p)) {
        bool ok = known(a, p.row);
        for (int64_t c = 0; c < p.len; c += AGI_CELL) {
            float acc[AGI_CELL] = {0};
            int64_t n = p.len - c < AGI_CELL ? p.len - c : AGI_CELL;
            float *out = a->out + p.row * a->out_stride + p.col + c;
            for (int64_t g = 0; ok && g < a->groups; g++)
                add_row(acc, a, g, id_at(a, p.row, g), p.col + c, n);
            for (int64_t i = 0; i < n; i++) out[i] = a->accumulate ? out[i] + acc[i] : acc[i];
        }
    }
    return rc;
}
