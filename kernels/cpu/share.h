/*
 * share.h: how the kernels that work row by row cut their elements into parts: in cells of
 * 64 columns, handed to the kernel as pieces of rows that are as long as possible. Only for ops
 * whose elements do not depend on each other.
 */
#ifndef ARGENT_KERNELS_CPU_SHARE_H
#define ARGENT_KERNELS_CPU_SHARE_H

#include "../../runtime/team.h"

#include <stdbool.h>

enum { AGI_CELL = 64 };

/* row, col and len are the piece; the rest is where the next one is. */
typedef struct {
    int64_t row, col, len;
    int64_t n, cells, at, end;
} agi_pieces;

/* The pieces, of this part, of [rows, n]. packed: every tensor holds its rows back to back, so that
 * they are one long row. */
static inline agi_pieces agi_pieces_of(const agi_worker *w, int64_t rows, int64_t n, bool packed)
{
    agi_pieces p = {.n = packed ? rows * n : n};
    p.cells = (p.n + AGI_CELL - 1) / AGI_CELL;
    agi_share(w, (packed ? 1 : rows) * p.cells, 1, &p.at, &p.end);
    return p;
}

static inline bool agi_next_piece(agi_pieces *p)
{
    if (p->at >= p->end) return false;
    int64_t cell = p->at % p->cells, run = p->cells - cell;
    if (run > p->end - p->at) run = p->end - p->at;
    p->row = p->at / p->cells;
    p->col = cell * AGI_CELL;
    p->len = run * AGI_CELL < p->n - p->col ? run * AGI_CELL : p->n - p->col;
    p->at += run;
    return true;
}

#endif
