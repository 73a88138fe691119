/*
 * file.c: files of tensors, safetensors and GGUF, opened strictly and mapped, handed out as
 * tensors. safetensors is 8 bytes of header length (little endian), a JSON header
 * (safetensors_header.c), the data; GGUF is in gguf_header.c. Writing is in safetensors_save.c.
 */
#include "file.h"
#include "backend.h"
#include "convert.h"
#include "error.h"
#include "mapped.h"
#include "tensor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define LARGEST_HEADER 100000000

enum { LARGEST_BLOCK = 256 }; /* elements */

/* ---- opening ---- */

void ag_file_free(ag_file *f)
{
    if (!f || --f->refs > 0) return;
    if (f->map) {
        agi_mapped_forget(f->map);
        munmap(f->map, (size_t)f->size);
    }
    free(f->path);
    free(f->text);
    free(f->entries);
    free(f->by_name);
    for (int i = 0; i < f->n_metadata; i++) free(f->metadata[i].listed);
    free(f->metadata);
    free(f);
}

static int map_file(ag_file *f)
{
    struct stat st;
    int fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not block */
    if (fd < 0) return agi_file_fail(agi_system_code(errno), f->path, NULL, "%s", strerror(errno));
    int rc = AG_OK;
    if (fstat(fd, &st) != 0) {
        rc = agi_file_fail(agi_system_code(errno), f->path, NULL, "%s", strerror(errno));
    } else if (!S_ISREG(st.st_mode)) {
        rc = agi_file_fail(AG_EIO, f->path, NULL, "not a regular file");
    } else if (st.st_size < 8) {
        rc = agi_file_fail(AG_EFORMAT, f->path, NULL,
                           "%lld bytes are too few for a file of tensors (cut short?)",
                           (long long)st.st_size);
    } else {
        f->size = st.st_size;
        f->map = mmap(NULL, (size_t)f->size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (f->map == MAP_FAILED) {
            f->map = NULL;
            rc = agi_file_fail(agi_system_code(errno), f->path, NULL, "cannot map it: %s",
                               strerror(errno));
        } else {
            agi_mapped_note(f->map, f->size, f->path);
            /* Weights are read from here in every frame, a tenth faster where the file system
             * keeps them in huge pages; where it cannot, nothing changes. */
            madvise(f->map, (size_t)f->size, MADV_HUGEPAGE);
        }
    }
    close(fd);
    return rc;
}

static int read_header(ag_file *f)
{
    uint64_t n = 0;
    if (agi_gguf_is(f)) return agi_gguf_parse(f);
    for (int i = 7; i >= 0; i--) n = n << 8 | (unsigned char)f->map[i];
    if (n > LARGEST_HEADER)
        return agi_file_fail(AG_EFORMAT, f->path, NULL,
                             "a header of %llu bytes; at most 100 MB: not a safetensors file?",
                             (unsigned long long)n);
    if ((int64_t)n > f->size - 8)
        return agi_file_fail(AG_EFORMAT, f->path, NULL,
                             "a header of %llu bytes in a file of %lld (cut short?)",
                             (unsigned long long)n, (long long)f->size);
    f->data = f->map + 8 + n;
    return agi_header_parse(f, f->map + 8, (int64_t)n);
}

int ag_file_open(ag_file **out, const char *path)
{
    *out = NULL;
    if (!path) return agi_fail(AG_EINVAL, "file: no path");
    ag_file *f = calloc(1, sizeof *f);
    if (f) f->path = strdup(path);
    if (!f || !f->path) {
        free(f);
        return agi_file_fail(AG_ENOMEM, path, NULL, "out of memory");
    }
    f->refs = 1;
    int rc = map_file(f);
    if (rc == AG_OK) rc = read_header(f);
    if (rc) {
        ag_file_free(f);
        return rc;
    }
    *out = f;
    return AG_OK;
}

/* ---- looking ---- */

int ag_file_count(const ag_file *f) { return f->n_entries; }

int ag_file_find(const ag_file *f, const char *name)
{
    int lo = 0, hi = f->n_entries;
    while (lo < hi) {
        int mid = lo + (hi - lo) / 2, order = strcmp(name, f->entries[f->by_name[mid]].name);
        if (order == 0) return f->by_name[mid];
        if (order < 0) hi = mid;
        else lo = mid + 1;
    }
    return -1;
}

static const agi_file_entry *entry(const ag_file *f, int i)
{
    return i >= 0 && i < f->n_entries ? &f->entries[i] : NULL;
}

const char *ag_file_name(const ag_file *f, int i) { return entry(f, i) ? entry(f, i)->name : NULL; }

const char *ag_file_dtype(const ag_file *f, int i)
{
    return entry(f, i) ? entry(f, i)->dtype->name : NULL;
}

int ag_file_float(const ag_file *f, int i)
{
    const agi_file_dtype *d = entry(f, i) ? entry(f, i)->dtype : NULL;
    return d && (d->unblock || (d->own >= 0 && agi_dtype_infinite(d->own)));
}

int ag_file_ndim(const ag_file *f, int i) { return entry(f, i) ? entry(f, i)->ndim : 0; }

void ag_file_shape(const ag_file *f, int i, int64_t *shape)
{
    const agi_file_entry *e = entry(f, i);
    if (e) memcpy(shape, e->shape, (size_t)e->ndim * sizeof *shape);
}

double ag_file_bytes(const ag_file *f, int i)
{
    return entry(f, i) ? (double)(entry(f, i)->end - entry(f, i)->begin) : 0;
}

/* ---- metadata ---- */

int ag_file_metadata_count(const ag_file *f) { return f->n_metadata; }

static const agi_metadata *metadata(const ag_file *f, int i)
{
    return i >= 0 && i < f->n_metadata ? &f->metadata[i] : NULL;
}

const char *ag_file_metadata_key(const ag_file *f, int i)
{
    return metadata(f, i) ? metadata(f, i)->key : NULL;
}

int ag_file_metadata_kind(const ag_file *f, int i)
{
    return metadata(f, i) ? metadata(f, i)->kind : 0;
}

double ag_file_metadata_length(const ag_file *f, int i)
{
    return metadata(f, i) ? (double)metadata(f, i)->count : -1;
}

/* Entry i where it has a value j of this kind. */
static const agi_metadata *having(const ag_file *f, int i, double j, bool text)
{
    const agi_metadata *m = metadata(f, i);
    return m && (m->kind == 't') == text && j >= 0 && j < (m->count < 0 ? 1 : (double)m->count)
               ? m
               : NULL;
}

const char *ag_file_metadata_text(const ag_file *f, int i, double j, double *bytes)
{
    const agi_metadata *m = having(f, i, j, true);
    *bytes = 0;
    if (!m) return NULL;
    if (m->count < 0) {
        *bytes = (double)m->bytes;
        return m->value;
    }
    const char *p = m->listed[(int64_t)j];
    const uint64_t most = (uint64_t)(f->map + f->size - p); /* the file may have changed */
    uint64_t n;
    memcpy(&n, p - sizeof n, sizeof n);
    *bytes = (double)(n < most ? n : most);
    return p;
}

double ag_file_metadata_number(const ag_file *f, int i, double j)
{
    const agi_metadata *m = having(f, i, j, false);
    return m ? agi_gguf_number(m, (int64_t)j) : 0;
}

/* ---- tensors ---- */

/* What a mapped tensor holds on to. */
typedef struct {
    ag_file *f;
    char *p;
    int64_t n;
} mapped;

static void drop_mapped(void *owner)
{
    mapped *m = owner;
    agi_mapped_drop(m->p, m->n);
    ag_file_free(m->f);
    free(m);
}

static int copied(ag_tensor **out, const ag_file *f, const agi_file_entry *e, const char *src,
                  ag_backend *be, int from, int to)
{
    /* What needs no stage on the host goes from the file as it lies there, in larger pieces. */
    int64_t in = agi_dtype_size(from), size = agi_dtype_size(to), n = (e->end - e->begin) / in;
    const bool direct = from != to && be->slots->convert;
    const bool staged = from != to && !direct;
    const int64_t chunk = staged ? 1 << 16 : 1 << 23;
    char *stage = staged ? malloc((size_t)(chunk * size)) : NULL;
    int rc = stage || !staged
                 ? ag_tensor_new(out, be, to, e->ndim, e->shape)
                 : agi_fail(AG_ENOMEM, "out of memory: %lld bytes", (long long)(chunk * size));
    if (rc == AG_ENOMEM) {
        char why[256]; /* in the backend's words: a device says what is free */
        snprintf(why, sizeof why, "%s", ag_last_error());
        agi_file_fail(rc, f->path, e->name, "%s", why);
    }
    for (int64_t i = 0; i < n && rc == AG_OK; i += chunk) {
        int64_t m = n - i < chunk ? n - i : chunk;
        char *dst = agi_tensor_data(*out) + i * size;
        if (stage) agi_convert(stage, to, 1, src + i * in, from, 1, m);
        rc = direct ? be->slots->convert(be, dst, to, src + i * in, from, m)
                    : be->slots->upload(be, dst, stage ? stage : src + i * in, m * size);
        agi_mapped_drop(src + i * in, m * in); /* so that memory never holds both in full */
    }
    agi_mapped_drop(src, n * in); /* and the pages that two chunks shared */
    free(stage);
    if (rc && *out) {
        ag_tensor_free(*out);
        *out = NULL;
    }
    return rc;
}

/* The tensor of an entry that stands in blocks, by way of f32. */
static int unblocked(ag_tensor **out, const ag_file *f, const agi_file_entry *e, ag_backend *be,
                     int to)
{
    enum { CHUNK = 1 << 14 }; /* elements: whole blocks of any type */
    const agi_file_dtype *d = e->dtype;
    const int64_t n = (e->end - e->begin) / d->width * d->block, size = agi_dtype_size(to);
    float *values = malloc(CHUNK * sizeof *values);
    char *stage = malloc((size_t)(CHUNK * size));
    int rc = values && stage ? ag_tensor_new(out, be, to, e->ndim, e->shape)
                             : agi_file_fail(AG_ENOMEM, f->path, e->name, "out of memory");
    for (int64_t i = 0; i < n && rc == AG_OK; i += CHUNK) {
        const int64_t m = n - i < CHUNK ? n - i : CHUNK;
        d->unblock(values, f->data + e->begin + i / d->block * d->width, m / d->block);
        agi_convert(stage, to, 1, (const char *)values, AG_F32, 1, m);
        rc = be->slots->upload(be, agi_tensor_data(*out) + i * size, stage, m * size);
    }
    agi_mapped_drop(f->data + e->begin, e->end - e->begin); /* it is not read again as it is */
    free(values);
    free(stage);
    if (rc && *out) {
        ag_tensor_free(*out);
        *out = NULL;
    }
    return rc;
}

double ag_file_count_nonfinite(const ag_file *f, int i)
{
    const agi_file_entry *e = f ? entry(f, i) : NULL;
    if (!e) return -1;
    const agi_file_dtype *d = e->dtype;
    const char *p = f->data + e->begin;
    const int64_t blocks = (e->end - e->begin) / d->width;
    if (d->own >= 0) return (double)agi_count_nonfinite(p, blocks, d->own);
    if (!d->unblock) return -1;
    int64_t n = 0;
    for (int64_t b = 0; b < blocks; b++) {
        float values[LARGEST_BLOCK];
        d->unblock(values, p + b * d->width, 1);
        n += agi_count_nonfinite((const char *)values, d->block, AG_F32);
    }
    return (double)n;
}

int ag_file_tensor(ag_tensor **out, ag_file *f, int i, ag_backend *be, int dtype)
{
    *out = NULL;
    const agi_file_entry *e = f ? entry(f, i) : NULL;
    if (!e || !be) return agi_fail(AG_EINVAL, "file: no such tensor, or no backend");
    const bool blocks = e->dtype->unblock != NULL;
    const int from = blocks ? AG_F32 : e->dtype->own;
    if (dtype < 0) dtype = from;
    if (from < 0 || !agi_dtype_valid(dtype) || !agi_dtype_converts(from, dtype))
        return agi_file_fail(AG_EFORMAT, f->path, e->name, "dtype %s cannot become %s",
                             e->dtype->name,
                             agi_dtype_valid(dtype) ? ag_dtype_name(dtype) : "a tensor");
    if (blocks) return unblocked(out, f, e, be, dtype);
    char *src = f->map + (f->data - f->map) + e->begin;
    bool aligned = (uintptr_t)src % (uintptr_t)e->dtype->width == 0;
    if (from != dtype || !aligned || e->begin == e->end || be->slots->far)
        return copied(out, f, e, src, be, from, dtype);
    mapped *m = malloc(sizeof *m);
    if (!m) return agi_file_fail(AG_ENOMEM, f->path, e->name, "out of memory");
    *m = (mapped){f, src, e->end - e->begin};
    f->refs++;
    return agi_tensor_wrap(out, be, dtype, e->ndim, e->shape, src, m, drop_mapped);
}
