/*
 * file_check.c: what a file of tensors says of itself, checked, whatever its format; and the words
 * in which it is refused.
 */
#include "file.h"
#include "error.h"
#include "size.h"
#include "tensor.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- messages ---- */

int agi_file_fail(int code, const char *path, const char *name, const char *fmt, ...)
{
    enum { SHOWN = 120 };
    char text[AGI_MESSAGE], fact[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(fact, sizeof fact, fmt, ap);
    va_end(ap);
    size_t n = name ? strlen(name) : 0;
    if (n > SHOWN) n = SHOWN;
    while (n > 0 && (name[n] & 0xc0) == 0x80) n--; /* characters are shown whole or not at all */
    snprintf(text, sizeof text, "%s: %.*s%s%s", path, (int)n, name ? name : "", name ? ": " : "",
             fact);
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = '?';
    return agi_fail(code, "%s", text);
}

/* ---- texts ---- */

int agi_utf8_length(const char *text, const char *end)
{
    const unsigned char *p = (const unsigned char *)text;
    int n = *p < 0x80                  ? 1
            : *p >= 0xc2 && *p <= 0xdf ? 2
            : *p >= 0xe0 && *p <= 0xef ? 3
            : *p >= 0xf0 && *p <= 0xf4 ? 4
                                       : 0;
    if (end - text < n) return 0;
    for (int i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) || (*p == 0xf0 && p[1] < 0x90) ||
        (*p == 0xf4 && p[1] > 0x8f))
        return 0;
    return n;
}

/* ---- tensors ---- */

static int refuse(const ag_file *f, const agi_file_entry *e, const char *fact)
{
    return agi_file_fail(AG_EFORMAT, f->path, e->name, "%s", fact);
}

static int compare_begins(const void *a, const void *b)
{
    const agi_file_entry *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return x->end < y->end ? -1 : x->end > y->end;
}

static int check_size(const ag_file *f, const agi_file_entry *e)
{
    int64_t count, bytes;
    const agi_file_dtype *d = e->dtype;
    if (!agi_shape_count(e->ndim, e->shape, &count))
        return refuse(f, e, "the product of its dimensions overflows");
    if (e->begin > e->end) return refuse(f, e, "data_offsets run backwards");
    if ((e->ndim ? e->shape[e->ndim - 1] : 1) % d->block)
        return agi_file_fail(AG_EFORMAT, f->path, e->name, "%s needs rows of a multiple of %lld",
                             d->name, (long long)d->block);
    if (!agi_mul(count / d->block, d->width, &bytes)) return refuse(f, e, "it is too large");
    if (e->end - e->begin == bytes) return AG_OK;
    char text[AGI_SHAPE_TEXT];
    ag_tensor shape = {.ndim = e->ndim};
    memcpy(shape.shape, e->shape, sizeof shape.shape);
    return agi_file_fail(AG_EFORMAT, f->path, e->name,
                         "data_offsets [%lld,%lld] hold %lld bytes, shape %s of %s needs %lld",
                         (long long)e->begin, (long long)e->end, (long long)(e->end - e->begin),
                         agi_shape_text(&shape, text), d->name, (long long)bytes);
}

/* The tensors tile the data section: no overlap, no hole and no rest but what aligns. */
static int check_layout(ag_file *f)
{
    int64_t at_byte = 0, size = f->size - (f->data - f->map), next = 0;
    if (f->n_entries > 1)
        qsort(f->entries, (size_t)f->n_entries, sizeof *f->entries, compare_begins);
    for (int i = 0; i < f->n_entries; i++) {
        const agi_file_entry *e = &f->entries[i];
        int rc = check_size(f, e);
        if (rc) return rc;
        if (e->begin < next) return refuse(f, e, "overlaps another tensor");
        if (e->begin > next) return refuse(f, e, "leaves a hole before it");
        if (e->end > size)
            return agi_file_fail(AG_EFORMAT, f->path, e->name,
                                 "ends at byte %lld of the data, the file has %lld (cut short?)",
                                 (long long)e->end, (long long)size);
        at_byte = e->end;
        next = (at_byte + f->align - 1) / f->align * f->align;
    }
    if (size >= at_byte && size <= next) return AG_OK;
    return agi_file_fail(AG_EFORMAT, f->path, NULL, "%lld bytes behind the last tensor",
                         (long long)(size - at_byte));
}

/* ---- names ---- */

static int compare_keys(const void *a, const void *b)
{
    return strcmp(((const agi_metadata *)a)->key, ((const agi_metadata *)b)->key);
}

/* qsort has no context argument: entries are sorted through pairs. */
typedef struct {
    const char *name;
    int index;
} named;

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const named *)a)->name, ((const named *)b)->name);
}

static int check_names(ag_file *f)
{
    size_t n = (size_t)f->n_entries;
    named *order = malloc((n + 1) * sizeof *order);
    f->by_name = malloc((n + 1) * sizeof *f->by_name);
    if (!order || !f->by_name) {
        free(order);
        return agi_file_fail(AG_ENOMEM, f->path, NULL, "out of memory");
    }
    for (int i = 0; i < f->n_entries; i++) order[i] = (named){f->entries[i].name, i};
    qsort(order, n, sizeof *order, compare_names);
    int rc = AG_OK;
    for (int i = 0; i < f->n_entries; i++) {
        f->by_name[i] = order[i].index;
        if (rc == AG_OK && i > 0 && !strcmp(order[i].name, order[i - 1].name))
            rc = refuse(f, &f->entries[order[i].index], "the name is there twice");
    }
    free(order);
    return rc;
}

static int check_keys(ag_file *f)
{
    if (f->n_metadata > 1)
        qsort(f->metadata, (size_t)f->n_metadata, sizeof *f->metadata, compare_keys);
    for (int i = 1; i < f->n_metadata; i++)
        if (!strcmp(f->metadata[i].key, f->metadata[i - 1].key))
            return agi_file_fail(AG_EFORMAT, f->path, f->metadata[i].key,
                                 "a metadata key is there twice");
    return AG_OK;
}

int agi_file_check(ag_file *f)
{
    int rc = check_layout(f);
    if (rc == AG_OK) rc = check_names(f);
    return rc ? rc : check_keys(f);
}
