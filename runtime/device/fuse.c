/*
 * fuse.c: which ops of a plan go in one launch. A frame of speech is over a thousand ops of
 * a few microseconds, so what a launch costs counts as much as what it does. What is put together
 * is what a decoder layer is made of:
 *
 *   rms_norm, the products of its result, silu_mul of two of them      a product
 *   a product and the residual sum of the rms_norm after it            a product
 *   products of the same input                                         a product
 *   rope_append and attention of one step                              an attend
 *   small ops in a row                                                 a small
 *
 * An op joins a launch where it stands behind nothing that it depends on: where none of the ops
 * between touches what it writes or writes what it touches. In a product all ops run at once, so
 * there the same holds of every op of the launch, but for the one tensor that the launch hands on.
 */
#include "device.h"
#include "../buffer.h"

#include <string.h>

enum {
    AHEAD = 8,                      /* how far behind an op those that may join it are looked for */
    MEMBERS = AGI_PRODUCT_PARTS + 1 /* a norm and the products of its result */
};

typedef struct {
    agi_entry *e;
    int n;
    agi_emit *emit;
    void *ctx;
    const agi_entry *member[MEMBERS]; /* of the product that is being put together */
    int members;
} fuser;

/* Whether one of the two touches what the other writes; the accesses of b before `from` do not
 * count. */
static bool conflict_from(const agi_entry *a, const agi_entry *b, int from)
{
    for (int i = 0; i < a->n; i++)
        for (int j = from; j < b->n; j++)
            if (agi_conflict(&a->access[i], &b->access[j])) return true;
    return false;
}

static bool conflict(const agi_entry *a, const agi_entry *b) { return conflict_from(a, b, 0); }

/* Whether what the op writes is another of its arguments, too: an elementwise op may do that. */
static bool writes_its_input(const agi_entry *e)
{
    for (int i = 0; i < e->n; i++)
        for (int j = 0; j < e->n; j++)
            if (i != j && agi_conflict(&e->access[i], &e->access[j])) return true;
    return false;
}

/* The next op behind j, within reach of i, that could stand right behind i: -1, there is none. */
static int next_of(const fuser *f, int i, int j)
{
    for (j++; j < f->n && j <= i + AHEAD; j++) {
        bool free = !f->e[j].taken;
        for (int m = i + 1; free && m < j; m++)
            free = f->e[m].taken || !conflict(&f->e[m], &f->e[j]);
        if (free) return j;
    }
    return -1;
}

/* Whether no op of the plan writes what a product or norm reads beside its rows (weights, bias):
 * then it may be read before the launch's turn. */
static bool reads_constants(const fuser *f, const agi_entry *e)
{
    for (int i = AGI_ROWS_ACCESS + 1; i < e->n; i++)
        for (int k = 0; !e->access[i].write && k < f->n; k++)
            for (int j = 0; j < f->e[k].n; j++)
                if (agi_conflict(&f->e[k].access[j], &e->access[i])) return false;
    return true;
}

static int emit_op(fuser *f, int i)
{
    const agi_entry *e = &f->e[i];
    const bool product = e->op == AGI_OP_linear || e->op == AGI_OP_conv1d;
    return f->emit(f->ctx, (int)e->op, e->args, e->size, !product || reads_constants(f, e));
}

static void take(fuser *f, int i) { f->e[i].taken = true; }

/* ---- products ---- */

static bool few_rows(const agi_entry *e)
{
    const agi_linear_args *a = e->args;
    return e->op == AGI_OP_linear && a->rows > 0 && a->rows <= AGI_PRODUCT_ROWS;
}

static bool same_input(const agi_linear_args *a, const agi_linear_args *b)
{
    return a->x == b->x && a->x_stride == b->x_stride && a->rows == b->rows && a->k == b->k &&
           a->w.kind == b->w.kind;
}

static void join(fuser *f, int i)
{
    take(f, i);
    f->member[f->members++] = &f->e[i];
}

/* Whether an op can run beside all that is in the launch. The accesses before `from` need no look.
 */
static bool fits(const fuser *f, const agi_entry *e, int from)
{
    for (int i = 0; i < f->members; i++)
        if (conflict_from(f->member[i], e, from)) return false;
    return true;
}

/* Adds the products of the same rows that follow i. The rows are not looked at again: they are
 * those of the others, or what the norm of the launch hands on. */
static void gather_parts(fuser *f, int i, agi_product_args *p, const agi_linear_args *input)
{
    for (int j = next_of(f, i, i); j >= 0 && p->parts < AGI_PRODUCT_PARTS; j = next_of(f, i, j)) {
        if (!few_rows(&f->e[j])) continue;
        agi_linear_args a = *(const agi_linear_args *)f->e[j].args;
        if (!same_input(input, &a) || !fits(f, &f->e[j], AGI_ROWS_ACCESS + 1)) continue;
        if (p->normed) { /* the kernel reads what the norm reads */
            a.x = p->part[0].x;
            a.x_stride = p->part[0].x_stride;
        }
        p->part[p->parts++] = a;
        join(f, j);
    }
}

/* silu_mul of the two parts into the first: it touches their results alone. */
static void gather_gate(fuser *f, int i, agi_product_args *p)
{
    const agi_linear_args *g = &p->part[0], *u = &p->part[1];
    if (p->parts != 2 || g->outs != u->outs) return;
    for (int j = next_of(f, i, i); j >= 0; j = next_of(f, i, j)) {
        const agi_silu_mul_args *s = f->e[j].args;
        if (f->e[j].op != AGI_OP_silu_mul) continue;
        if (s->gate != g->out || s->up != u->out || s->out != g->out || s->n != g->outs ||
            s->rows != g->rows || s->gate_stride != g->out_stride ||
            s->out_stride != g->out_stride || s->up_stride != u->out_stride)
            continue;
        p->gated = 1;
        take(f, j);
        return;
    }
}

/* The accesses of e that begin at p, added to those of `out`. */
static void pick(agi_entry *out, const agi_entry *e, const void *p)
{
    for (int i = 0; p && i < e->n; i++)
        if (e->access[i].buf->data + e->access[i].lo == (const char *)p)
            out->access[out->n++] = e->access[i];
}

/* The sum that the norm behind the product begins with; the norm stays, without it. */
static void gather_residual(fuser *f, int i, agi_product_args *p)
{
    const agi_linear_args *b = &p->part[0];
    if (p->parts != 1) return;
    for (int j = next_of(f, i, i); j >= 0; j = next_of(f, i, j)) {
        agi_rms_norm_args *n = f->e[j].args;
        if (f->e[j].op != AGI_OP_rms_norm || n->add != b->out || n->add_stride != b->out_stride ||
            n->rows != b->rows || n->n != b->outs)
            continue;
        agi_entry sum = {.n = 0};
        pick(&sum, &f->e[j], n->x);
        pick(&sum, &f->e[j], n->scale);
        if (!fits(f, &sum, 0)) return;
        p->sum = n->x;
        p->sum_stride = n->x_stride;
        p->scale = n->scale;
        n->add = NULL;
        return;
    }
}

/* A norm's rows as its products read them in the ops; in the launch they read those under it. */
static agi_linear_args normed_rows(const agi_rms_norm_args *n)
{
    return (agi_linear_args){.x = n->out, .x_stride = n->out_stride, .rows = n->rows, .k = n->n};
}

static int emit_product(fuser *f, int i)
{
    agi_product_args p;
    memset(&p, 0, sizeof p);
    f->members = 0;
    join(f, i);
    if (f->e[i].op == AGI_OP_rms_norm) {
        const agi_rms_norm_args *n = f->e[i].args;
        agi_linear_args input = normed_rows(n), *x = &p.part[0];
        if (n->add || n->rows > AGI_PRODUCT_ROWS || writes_its_input(&f->e[i]))
            return emit_op(f, i);
        x->x = n->x;
        x->x_stride = n->x_stride;
        x->rows = n->rows;
        x->k = n->n;
        p.normed = n->out;
        p.normed_stride = n->out_stride;
        p.norm_w = n->w;
        p.eps = n->eps;
        for (int j = next_of(f, i, i); j >= 0 && !p.parts; j = next_of(f, i, j)) {
            const agi_linear_args *first = f->e[j].args;
            if (!few_rows(&f->e[j]) || first->x != input.x) continue;
            input.w.kind = first->w.kind;
            gather_parts(f, i, &p, &input);
            break;
        }
        if (!p.parts) return emit_op(f, i);
    } else {
        p.part[p.parts++] = *(const agi_linear_args *)f->e[i].args;
        gather_parts(f, i, &p, &p.part[0]);
    }
    gather_gate(f, i, &p);
    if (!p.gated) gather_residual(f, i, &p);
    bool early = true;
    for (int k = 0; k < f->members; k++) early = early && reads_constants(f, f->member[k]);
    return f->emit(f->ctx, AGI_LAUNCH_PRODUCT, &p, sizeof p, early);
}

/* ---- attention ---- */

static bool same_heads(const agi_heads *a, const agi_heads *b)
{
    return a->p == b->p && a->row == b->row && a->step == b->step && a->head == b->head;
}

static bool same_cache(const agi_cache *a, const agi_cache *b)
{
    return a->p == b->p && a->slot == b->slot && a->block == b->block && a->place == b->place &&
           a->head == b->head && a->shift == b->shift && a->dtype == b->dtype &&
           a->committed == b->committed;
}

static int emit_attend(fuser *f, int i)
{
    const agi_rope_append_args *r = f->e[i].args;
    for (int j = r->steps == 1 ? next_of(f, i, i) : -1; j >= 0; j = next_of(f, i, j)) {
        const agi_attention_args *a = f->e[j].args;
        if (f->e[j].op != AGI_OP_attention || a->steps != 1 || !same_heads(&a->q, &r->q) ||
            !same_heads(&a->out, &r->q) || !same_cache(&a->k_cache, &r->k_cache) ||
            !same_cache(&a->v_cache, &r->v_cache) || a->pos != r->pos ||
            a->pos_stride != r->pos_stride || a->slots.p != r->slots.p ||
            a->slots.stride != r->slots.stride || a->slots.count != r->slots.count ||
            a->rows != r->rows || a->q_heads != r->q_heads || a->kv_heads != r->kv_heads ||
            a->d != r->d || a->capacity != r->capacity)
            continue;
        const agi_attend_args both = {*a, *r};
        take(f, j);
        return f->emit(f->ctx, AGI_LAUNCH_ATTEND, &both, sizeof both, true);
    }
    return emit_op(f, i);
}

/* ---- small ops ---- */

static bool is_small(const agi_entry *e, int64_t *count)
{
    *count = agi_cuda_small_count(e->op, e->args);
    return *count >= 0 && *count <= AGI_SMALL_ELEMENTS;
}

static int emit_small(fuser *f, int i)
{
    agi_small_args s;
    int64_t count;
    memset(&s, 0, sizeof s);
    for (int j = i; j >= 0 && s.n < AGI_SMALL_OPS; j = next_of(f, i, j)) {
        if (!is_small(&f->e[j], &count)) continue;
        s.op[s.n].op = f->e[j].op;
        s.op[s.n].count = count;
        memcpy(&s.op[s.n++].args, f->e[j].args, f->e[j].size);
        take(f, j);
    }
    if (s.n == 1) return emit_op(f, i);
    return f->emit(f->ctx, AGI_LAUNCH_SMALL, &s, sizeof s, true);
}

/* Moves small ops down to the next one where nothing between depends on them: one launch less. */
static void sink_small(agi_entry *e, int n)
{
    int64_t count;
    for (int i = n - 2; i >= 0; i--) {
        if (!is_small(&e[i], &count)) continue;
        for (int j = i + 1; j < n && j <= i + AHEAD; j++) {
            if (is_small(&e[j], &count)) {
                const agi_entry moved = e[i];
                memmove(&e[i], &e[i + 1], (size_t)(j - 1 - i) * sizeof *e);
                e[j - 1] = moved;
                break;
            }
            if (conflict(&e[i], &e[j])) break;
        }
    }
}

int agi_fuse(agi_entry *entries, int n, agi_emit *emit, void *ctx)
{
    fuser f = {.e = entries, .n = n, .emit = emit, .ctx = ctx};
    sink_small(entries, n);
    for (int i = 0; i < n; i++) {
        int64_t count;
        int rc;
        if (entries[i].taken) continue;
        take(&f, i);
        if (entries[i].op == AGI_OP_rms_norm || few_rows(&entries[i])) rc = emit_product(&f, i);
        else if (entries[i].op == AGI_OP_rope_append) rc = emit_attend(&f, i);
        else if (is_small(&entries[i], &count)) rc = emit_small(&f, i);
        else rc = emit_op(&f, i);
        if (rc) return rc;
    }
    return 0;
}
