/*
 * gguf_header.c: the header of GGUF, versions 2 and 3, strictly: little-endian counts, metadata of
 * typed values, tensors by name, dimensions (the innermost first), type and place. Every count is
 * held against the bytes that are left before anything is made from it. Lists of lists, which no
 * known file has, are refused, so that nothing nests.
 */
#include "file.h"
#include "error.h"
#include "grow.h"
#include "size.h"

#include <stdlib.h>
#include <string.h>

enum { MAGIC = 4, LONGEST_KEY = 65535, MOST_DIMS = 4, MOST_ALIGN = 1 << 20 };

enum type { U8, I8, U16, I16, U32, I32, F32, BOOL, TEXT, LIST, U64, I64, F64, TYPES };

static const struct {
    int bytes;
    char kind;
} types[TYPES] = {
    [U8] = {1, 'n'},  [I8] = {1, 'n'},  [U16] = {2, 'n'},  [I16] = {2, 'n'},  [U32] = {4, 'n'},
    [I32] = {4, 'n'}, [F32] = {4, 'n'}, [BOOL] = {1, 'b'}, [TEXT] = {8, 't'}, [LIST] = {12, 0},
    [U64] = {8, 'n'}, [I64] = {8, 'n'}, [F64] = {8, 'n'}}; /* of texts and lists the least */

typedef struct {
    ag_file *f;
    const char *p, *end;
    char *text; /* where the next name goes; NULL while they are counted */
    char *text_end;
    int64_t names; /* bytes of all names */
    int rc;
} parser;

static bool bad(parser *s, const char *what)
{
    s->rc = agi_file_fail(AG_EFORMAT, s->f->path, NULL, "header, byte %lld: %s",
                          (long long)(s->p - s->f->map), what);
    return false;
}

static bool no_memory(parser *s)
{
    s->rc = agi_file_fail(AG_ENOMEM, s->f->path, NULL, "out of memory");
    return false;
}

/* ---- values ---- */

static bool bytes(parser *s, void *out, int64_t n)
{
    if (s->end - s->p < n) return bad(s, "the file ends in its header (cut short?)");
    if (out) memcpy(out, s->p, (size_t)n);
    s->p += n;
    return true;
}

static bool u32(parser *s, uint32_t *out) { return bytes(s, out, sizeof *out); }

/* A number of things, of which each takes at least so many bytes of what is left. */
static bool count(parser *s, int64_t each, int64_t *out)
{
    uint64_t n;
    if (!bytes(s, &n, sizeof n)) return false;
    if (n > (uint64_t)(s->end - s->p) / (uint64_t)each)
        return bad(s, "a count that is larger than the file");
    *out = (int64_t)n;
    return true;
}

/* A text as it lies in the file. */
static bool text(parser *s, const char **out, int64_t *n)
{
    if (!count(s, 1, n)) return false;
    *out = s->p;
    s->p += *n;
    return true;
}

/* A text of UTF-8 without control characters, kept with a zero behind it. */
static bool name(parser *s, int64_t longest, const char **out)
{
    const char *p;
    int64_t n;
    if (!text(s, &p, &n)) return false;
    if (n < 1 || n > longest) return bad(s, "a name that is empty or too long");
    for (const char *c = p, *end = p + n; c < end;) {
        int length = agi_utf8_length(c, end);
        if (!length || (unsigned char)*c < 0x20 || *c == 0x7f)
            return bad(s, "a name that is not plain UTF-8");
        c += length;
    }
    s->names += n + 1;
    if (!s->text) return true;
    if (n >= s->text_end - s->text) return bad(s, "the file has changed while it was read");
    *out = memcpy(s->text, p, (size_t)n);
    s->text[n] = '\0';
    s->text += n + 1;
    return true;
}

/* ---- metadata ---- */

static bool booleans(parser *s, const char *p, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (p[i] != 0 && p[i] != 1) return bad(s, "a boolean that is neither 0 nor 1");
    return true;
}

static bool texts(parser *s, agi_metadata *m)
{
    if (s->text && !(m->listed = malloc((size_t)(m->count + 1) * sizeof *m->listed)))
        return no_memory(s);
    for (int64_t i = 0; i < m->count; i++) {
        const char *p;
        int64_t n;
        if (!text(s, &p, &n)) return false;
        if (m->listed) m->listed[i] = p;
    }
    return true;
}

static bool value(parser *s, agi_metadata *m)
{
    uint32_t type;
    if (!u32(s, &type)) return false;
    m->count = -1;
    if (type == LIST) {
        if (!u32(s, &type)) return false;
        if (type == LIST) return bad(s, "a list of lists");
        if (type >= TYPES) return bad(s, "a value of an unknown type");
        if (!count(s, types[type].bytes, &m->count)) return false;
    }
    if (type >= TYPES) return bad(s, "a value of an unknown type");
    m->type = (int)type;
    m->kind = types[type].kind;
    if (type == TEXT) return m->count < 0 ? text(s, &m->value, &m->bytes) : texts(s, m);
    m->value = s->p;
    const int64_t n = m->count < 0 ? 1 : m->count;
    return bytes(s, NULL, n * types[type].bytes) && (type != BOOL || booleans(s, m->value, n));
}

static bool metadata(parser *s)
{
    ag_file *f = s->f;
    agi_metadata m = {0};
    if (!name(s, LONGEST_KEY, &m.key)) return false;
    /* Noted before its value is read: what that has allocated is freed with the file. */
    agi_metadata *at = &m;
    if (s->text) {
        if (!agi_grow((void **)&f->metadata, f->n_metadata, &f->cap_metadata, sizeof m))
            return no_memory(s);
        at = &f->metadata[f->n_metadata++];
        *at = m;
    }
    return value(s, at);
}

double agi_gguf_number(const agi_metadata *m, int64_t j)
{
    const char *p = m->value + j * types[m->type].bytes;
    switch (m->type) {
#define READ(TYPE, type)                                                                           \
    case TYPE: {                                                                                   \
        type v;                                                                                    \
        memcpy(&v, p, sizeof v);                                                                   \
        return (double)v;                                                                          \
    }
        READ(U8, uint8_t)
        READ(I8, int8_t)
        READ(U16, uint16_t)
        READ(I16, int16_t)
        READ(U32, uint32_t)
        READ(I32, int32_t)
        READ(F32, float)
        READ(BOOL, uint8_t)
        READ(U64, uint64_t)
        READ(I64, int64_t)
        READ(F64, double)
#undef READ
    default: return 0;
    }
}

/* ---- tensors ---- */

static bool tensor(parser *s)
{
    ag_file *f = s->f;
    agi_file_entry e = {0};
    uint32_t dims, type;
    uint64_t at, d;
    if (!name(s, AGI_LONGEST_NAME, &e.name) || !u32(s, &dims)) return false;
    if (dims > MOST_DIMS) return bad(s, "a tensor of more than 4 dimensions");
    e.ndim = (int)dims;
    for (int i = e.ndim - 1; i >= 0; i--) {
        if (!bytes(s, &d, sizeof d)) return false;
        if (d > INT64_MAX) return bad(s, "a dimension that is too large");
        e.shape[i] = (int64_t)d;
    }
    if (!u32(s, &type) || !bytes(s, &at, sizeof at)) return false;
    if (!(e.dtype = agi_gguf_dtype(type))) return bad(s, "a tensor of an unknown type");
    int64_t n = 1;
    for (int i = 0; i < e.ndim; i++)
        if (!agi_mul(n, e.shape[i], &n)) return bad(s, "a shape whose product overflows");
    if (at > INT64_MAX || !agi_mul(n / e.dtype->block, e.dtype->width, &n) ||
        !agi_add((int64_t)at, n, &e.end))
        return bad(s, "a tensor that is too large");
    e.begin = (int64_t)at;
    if (!s->text) return true;
    if (!agi_grow((void **)&f->entries, f->n_entries, &f->cap_entries, sizeof e))
        return no_memory(s);
    f->entries[f->n_entries++] = e;
    return true;
}

/* ---- the document ---- */

bool agi_gguf_is(const ag_file *f) { return memcmp(f->map, "GGUF", MAGIC) == 0; }

/* Once without a place for the names, to know how many bytes they are, and once with it. */
static bool walk(parser *s)
{
    uint32_t version;
    int64_t tensors, values;
    s->p = s->f->map + MAGIC;
    if (!u32(s, &version)) return false;
    if (version == 2u << 24 || version == 3u << 24) return bad(s, "a big-endian file");
    if (version != 2 && version != 3) return bad(s, "a version that is neither 2 nor 3");
    /* The least that one takes: a name of one byte and no dimensions; a key and one byte. */
    if (!count(s, 8 + 1 + 4 + 4 + 8, &tensors) || !count(s, 8 + 1 + 4 + 1, &values)) return false;
    for (int64_t i = 0; i < values; i++)
        if (!metadata(s)) return false;
    for (int64_t i = 0; i < tensors; i++)
        if (!tensor(s)) return false;
    return true;
}

static bool find_align(parser *s)
{
    ag_file *f = s->f;
    f->align = 32;
    for (int i = 0; i < f->n_metadata; i++) {
        const agi_metadata *m = &f->metadata[i];
        if (strcmp(m->key, "general.alignment") != 0) continue;
        const double n = m->kind == 'n' && m->count < 0 ? agi_gguf_number(m, 0) : 0;
        if (!(n >= 1 && n <= MOST_ALIGN)) return bad(s, "an alignment beyond 1 to 2^20");
        f->align = (int64_t)n;
    }
    return true;
}

int agi_gguf_parse(ag_file *f)
{
    parser s = {.f = f, .end = f->map + f->size};
    if (!walk(&s)) return s.rc;
    if (!(f->text = malloc((size_t)s.names + 1)))
        return agi_file_fail(AG_ENOMEM, f->path, NULL, "out of memory");
    s.text = f->text;
    s.text_end = f->text + s.names + 1;
    s.names = 0;
    if (!walk(&s) || !find_align(&s)) return s.rc;
    const int64_t header = (s.p - f->map + f->align - 1) / f->align * f->align;
    f->data = f->map + (header < f->size ? header : f->size);
    return agi_file_check(f);
}
