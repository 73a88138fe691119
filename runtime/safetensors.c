/*
 * safetensors.c: safetensors files: opened strictly and mapped, handed out as tensors, written
 * atomically. 8 bytes of header length (little endian), a JSON header (safetensors_header.c), the
 * data.
 */
#include "safetensors.h"
#include "backend.h"
#include "error.h"
#include "size.h"
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

/* ---- opening ---- */

void ag_file_free(ag_file *f)
{
    if (!f || --f->refs > 0) return;
    if (f->map) munmap(f->map, (size_t)f->size);
    free(f->path);
    free(f->text);
    free(f->entries);
    free(f->by_name);
    free(f->metadata);
    free(f);
}

static int map_file(ag_file *f)
{
    struct stat st;
    int fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not block */
    if (fd < 0) return agi_fail(AG_EIO, "%s: %s", f->path, strerror(errno));
    int rc = AG_OK;
    if (fstat(fd, &st) != 0) {
        rc = agi_fail(AG_EIO, "%s: %s", f->path, strerror(errno));
    } else if (!S_ISREG(st.st_mode)) {
        rc = agi_fail(AG_EIO, "%s: not a regular file", f->path);
    } else if (st.st_size < 8) {
        rc = agi_fail(AG_EFORMAT, "%s: %lld bytes are too few for a safetensors file (cut short?)",
                      f->path, (long long)st.st_size);
    } else {
        f->size = st.st_size;
        f->map = mmap(NULL, (size_t)f->size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (f->map == MAP_FAILED) {
            f->map = NULL;
            rc = agi_fail(AG_EIO, "%s: cannot map it: %s", f->path, strerror(errno));
        }
    }
    close(fd);
    return rc;
}

static int read_header(ag_file *f)
{
    uint64_t n = 0;
    for (int i = 7; i >= 0; i--) n = n << 8 | (unsigned char)f->map[i];
    if (n > LARGEST_HEADER)
        return agi_fail(AG_EFORMAT,
                        "%s: a header of %llu bytes; at most 100 MB: not a safetensors file?",
                        f->path, (unsigned long long)n);
    if ((int64_t)n > f->size - 8)
        return agi_fail(AG_EFORMAT, "%s: a header of %llu bytes in a file of %lld (cut short?)",
                        f->path, (unsigned long long)n, (long long)f->size);
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
        return agi_fail(AG_ENOMEM, "%s: out of memory", path);
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

static const agi_entry *entry(const ag_file *f, int i)
{
    return i >= 0 && i < f->n_entries ? &f->entries[i] : NULL;
}

const char *ag_file_name(const ag_file *f, int i) { return entry(f, i) ? entry(f, i)->name : NULL; }

const char *ag_file_dtype(const ag_file *f, int i)
{
    return entry(f, i) ? entry(f, i)->dtype : NULL;
}

int ag_file_ndim(const ag_file *f, int i) { return entry(f, i) ? entry(f, i)->ndim : 0; }

void ag_file_shape(const ag_file *f, int i, int64_t *shape)
{
    const agi_entry *e = entry(f, i);
    if (e) memcpy(shape, e->shape, (size_t)e->ndim * sizeof *shape);
}

double ag_file_bytes(const ag_file *f, int i)
{
    return entry(f, i) ? (double)(entry(f, i)->end - entry(f, i)->begin) : 0;
}

int ag_file_metadata_count(const ag_file *f) { return f->n_metadata; }

const char *ag_file_metadata(const ag_file *f, int i, int value)
{
    if (i < 0 || i >= f->n_metadata) return NULL;
    return value ? f->metadata[i].value : f->metadata[i].key;
}

/* ---- tensors ---- */

/* What a mapped tensor holds on to. */
typedef struct {
    ag_file *f;
    char *p;
    int64_t n;
} mapped;

/* The pages wholly inside [p, p + n) leave this process's memory; they stay in the page cache, and
 * a later access maps them again. So weights that were repacked do not count twice. */
static void forget_pages(const char *p, int64_t n)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t lo = ((uintptr_t)p + page - 1) / page * page,
              hi = ((uintptr_t)p + (uintptr_t)n) / page * page;
    if (hi > lo) madvise((void *)lo, hi - lo, MADV_DONTNEED);
}

static void drop_mapped(void *owner)
{
    mapped *m = owner;
    forget_pages(m->p, m->n);
    ag_file_free(m->f);
    free(m);
}

static int own_dtype(const agi_entry *e)
{
    static const struct {
        const char *name;
        int dtype;
    } known[] = {{"F32", AG_F32}, {"BF16", AG_BF16}, {"F16", AG_F16}, {"I32", AG_I32}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(e->dtype, known[i].name)) return known[i].dtype;
    return -1;
}

/* n elements at unaligned src to dst. */
static void convert(char *dst, int to, const char *src, int from, int64_t n)
{
    uint16_t h;
    float v;
    if (to == from) {
        memcpy(dst, src, (size_t)(n * agi_dtype_size(to)));
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        if (from == AG_F32) {
            memcpy(&v, src + 4 * i, 4);
        } else {
            memcpy(&h, src + 2 * i, 2);
            v = from == AG_BF16 ? agi_f32_from_bf16(h) : agi_f32_from_f16(h);
        }
        if (to == AG_F32) {
            memcpy(dst + 4 * i, &v, 4);
        } else {
            h = to == AG_BF16 ? agi_bf16_from_f32(v) : agi_f16_from_f32(v);
            memcpy(dst + 2 * i, &h, 2);
        }
    }
}

static int converted(ag_tensor **out, const agi_entry *e, const char *src, ag_backend *be, int from,
                     int to)
{
    enum { CHUNK = 1 << 16 };
    int rc = ag_tensor_new(out, be, to, e->ndim, e->shape);
    if (rc) return rc;
    int64_t n = agi_tensor_count(*out), in = agi_dtype_size(from), size = agi_dtype_size(to);
    char *stage = malloc((size_t)(CHUNK * size));
    if (!stage) rc = agi_fail(AG_ENOMEM, "out of memory");
    char *dst = agi_tensor_data(*out);
    for (int64_t i = 0; i < n && rc == AG_OK; i += CHUNK) {
        int64_t m = n - i < CHUNK ? n - i : CHUNK;
        convert(stage, to, src + i * in, from, m);
        rc = be->slots->upload(be, dst + i * size, stage, m * size);
    }
    free(stage);
    forget_pages(src, n * in);
    if (rc) {
        ag_tensor_free(*out);
        *out = NULL;
    }
    return rc;
}

int ag_file_tensor(ag_tensor **out, ag_file *f, int i, ag_backend *be, int dtype)
{
    *out = NULL;
    const agi_entry *e = entry(f, i);
    if (!e || !be) return agi_fail(AG_EINVAL, "file: no such tensor, or no backend");
    int from = own_dtype(e);
    if (dtype < 0) dtype = from;
    if (from < 0 || !agi_dtype_valid(dtype) || (from == AG_I32) != (dtype == AG_I32))
        return agi_fail(AG_EFORMAT, "%s: %.120s: dtype %s cannot become %s", f->path, e->name,
                        e->dtype, agi_dtype_valid(dtype) ? ag_dtype_name(dtype) : "a tensor");
    char *src = f->map + (f->data - f->map) + e->begin;
    bool aligned = (uintptr_t)src % (uintptr_t)e->width == 0;
    if (from != dtype || !aligned || e->begin == e->end || strcmp(be->kind, "cpu") != 0)
        return converted(out, e, src, be, from, dtype);
    mapped *m = malloc(sizeof *m);
    if (!m) return agi_fail(AG_ENOMEM, "%s: out of memory", f->path);
    *m = (mapped){f, src, e->end - e->begin};
    f->refs++;
    return agi_tensor_wrap(out, be, dtype, e->ndim, e->shape, src, m, drop_mapped);
}

/* ---- saving ---- */

static void put_json_string(FILE *o, const char *s)
{
    fputc('"', o);
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\') fprintf(o, "\\%c", c);
        else if (c < 0x20) fprintf(o, "\\u%04x", c);
        else fputc(c, o);
    }
    fputc('"', o);
}

static int check_savable(int n, const char *const *names, ag_tensor *const *tensors)
{
    for (int i = 0; i < n; i++) {
        if (!tensors[i] || !tensors[i]->buf)
            return agi_fail(AG_EINVAL, "save: %s has been released", names[i]);
        if (!ag_tensor_contiguous(tensors[i]))
            return agi_fail(AG_EINVAL, "save: %s is not contiguous", names[i]);
        if (i > 0 && strcmp(names[i - 1], names[i]) >= 0)
            return agi_fail(AG_EINVAL, "save: the names are not sorted, or one is there twice");
    }
    return AG_OK;
}

static char *header_text(int n, const char *const *names, ag_tensor *const *tensors, int meta,
                         const char *const *keys, const char *const *values, size_t *size)
{
    static const char *const upper[AG_DTYPES] = {"F32", "BF16", "F16", "I32"};
    char *text = NULL;
    FILE *o = open_memstream(&text, size);
    if (!o) return NULL;
    int64_t at = 0;
    fputc('{', o);
    for (int i = 0; i < meta; i++) {
        fputs(i ? "," : "\"__metadata__\":{", o);
        put_json_string(o, keys[i]);
        fputc(':', o);
        put_json_string(o, values[i]);
    }
    if (meta > 0) fputs(n ? "}," : "}", o);
    for (int i = 0; i < n; i++) {
        const ag_tensor *t = tensors[i];
        if (i) fputc(',', o);
        put_json_string(o, names[i]);
        fprintf(o, ":{\"dtype\":\"%s\",\"shape\":[", upper[t->dtype]);
        for (int d = 0; d < t->ndim; d++) fprintf(o, d ? ",%lld" : "%lld", (long long)t->shape[d]);
        int64_t end = at + agi_tensor_count(t) * agi_dtype_size(t->dtype);
        fprintf(o, "],\"data_offsets\":[%lld,%lld]}", (long long)at, (long long)end);
        at = end;
    }
    fputc('}', o);
    long length = ftell(o);
    while (length++ % 8) fputc(' ', o);
    if (fclose(o) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

static int put_tensor(FILE *o, const ag_tensor *t, const char *path)
{
    int64_t bytes = agi_tensor_count(t) * agi_dtype_size(t->dtype);
    if (bytes == 0) return AG_OK;
    char *host = malloc((size_t)bytes);
    if (!host) return agi_fail(AG_ENOMEM, "%s: out of memory", path);
    int rc = ag_tensor_read(t, host, bytes);
    if (rc == AG_OK && fwrite(host, 1, (size_t)bytes, o) != (size_t)bytes)
        rc = agi_fail(AG_EIO, "%s: %s", path, strerror(errno));
    free(host);
    return rc;
}

int ag_file_save(const char *path, int n, const char *const *names, ag_tensor *const *tensors,
                 int meta, const char *const *keys, const char *const *values)
{
    int rc = check_savable(n, names, tensors);
    if (rc) return rc;
    size_t size = 0, room = strlen(path) + 32;
    char *header = header_text(n, names, tensors, meta, keys, values, &size),
         *partial = malloc(room);
    if (!header || !partial) {
        free(header);
        free(partial);
        return agi_fail(AG_ENOMEM, "%s: out of memory", path);
    }
    snprintf(partial, room, "%s.%d.partial", path, (int)getpid());
    FILE *o = fopen(partial, "wb");
    if (!o) rc = agi_fail(AG_EIO, "%s: %s", path, strerror(errno));
    if (o) {
        unsigned char length[8];
        for (int i = 0; i < 8; i++) length[i] = (unsigned char)((uint64_t)size >> (8 * i));
        bool ok = fwrite(length, 1, 8, o) == 8 && fwrite(header, 1, size, o) == size;
        if (!ok) rc = agi_fail(AG_EIO, "%s: %s", path, strerror(errno));
        for (int i = 0; i < n && rc == AG_OK; i++) rc = put_tensor(o, tensors[i], path);
        if (rc == AG_OK && (fflush(o) != 0 || fsync(fileno(o)) != 0))
            rc = agi_fail(AG_EIO, "%s: %s", path, strerror(errno));
        if (fclose(o) != 0 && rc == AG_OK) rc = agi_fail(AG_EIO, "%s: %s", path, strerror(errno));
        if (rc == AG_OK && rename(partial, path) != 0)
            rc = agi_fail(AG_EIO, "%s: %s", path, strerror(errno));
        if (rc) unlink(partial);
    }
    free(header);
    free(partial);
    return rc;
}
