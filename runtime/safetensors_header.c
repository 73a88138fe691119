/*
 * safetensors_header.c: the JSON header, strictly. The format allows one shape of document: an
 * object of tensors, each exactly {"dtype", "shape", "data_offsets"}, and "__metadata__", an object
 * of strings. So this parser knows no other values, needs no recursion, and cannot be nested deep.
 */
#include "file.h"
#include "error.h"
#include "size.h"

#include <stdlib.h>
#include <string.h>

/* Ours, and what else a file may hold, of which tensors cannot be made. */
static const agi_file_dtype dtypes[] = {
#define AG_DTYPE(NAME, name, type, ...) {#NAME, 1, sizeof(type), AG_##NAME, NULL},
#include "dtype.def"
    {"BOOL", 1, 1, -1, NULL}, {"F8_E4M3", 1, 1, -1, NULL}, {"F8_E5M2", 1, 1, -1, NULL},
    {"I16", 1, 2, -1, NULL},  {"U16", 1, 2, -1, NULL},     {"U32", 1, 4, -1, NULL},
    {"F64", 1, 8, -1, NULL},  {"I64", 1, 8, -1, NULL},     {"U64", 1, 8, -1, NULL}};

/* ---- the text ---- */

typedef struct {
    ag_file *f;
    const char *p, *begin, *end;
    char *text; /* next free byte of the arena; decoded text is never longer than its source */
    int rc;
} parser;

static bool bad(parser *s, const char *what)
{
    s->rc = agi_file_fail(AG_EFORMAT, s->f->path, NULL, "header, byte %lld: %s",
                          (long long)(s->p - s->begin), what);
    return false;
}

static void skip_space(parser *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
        s->p++;
}

static bool at(parser *s, char c)
{
    skip_space(s);
    return s->p < s->end && *s->p == c;
}

static bool expect(parser *s, char c)
{
    char what[] = "expected ' '";
    what[10] = c;
    if (!at(s, c)) return bad(s, what);
    s->p++;
    return true;
}

/* ---- strings ---- */

static bool hex4(parser *s, unsigned *out)
{
    if (s->end - s->p < 4) return bad(s, "a cut \\u escape");
    unsigned v = 0;
    for (int i = 0; i < 4; i++) {
        char c = *s->p++;
        if (c >= '0' && c <= '9') v = v * 16 + (unsigned)(c - '0');
        else if (c >= 'a' && c <= 'f') v = v * 16 + (unsigned)(c - 'a' + 10);
        else if (c >= 'A' && c <= 'F') v = v * 16 + (unsigned)(c - 'A' + 10);
        else return bad(s, "a bad \\u escape");
    }
    *out = v;
    return true;
}

static void put_utf8(parser *s, unsigned c)
{
    if (c < 0x80) {
        *s->text++ = (char)c;
        return;
    }
    int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const unsigned lead[] = {0, 0xc0, 0xe0, 0xf0};
    *s->text++ = (char)(lead[more] | c >> (6 * more));
    while (more-- > 0) *s->text++ = (char)(0x80 | (c >> (6 * more) & 0x3f));
}

static bool escape(parser *s)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (s->p >= s->end) return bad(s, "a cut escape");
    char c = *s->p++;
    const char *simple = c ? strchr(from, c) : NULL;
    if (simple) {
        *s->text++ = to[simple - from];
        return true;
    }
    if (c != 'u') return bad(s, "an unknown escape");
    unsigned u, low;
    if (!hex4(s, &u)) return false;
    if (u == 0) return bad(s, "a NUL in a string");
    if (u >= 0xdc00 && u <= 0xdfff) return bad(s, "half of a surrogate pair");
    if (u >= 0xd800 && u <= 0xdbff) {
        if (s->end - s->p < 2 || s->p[0] != '\\' || s->p[1] != 'u')
            return bad(s, "half of a surrogate pair");
        s->p += 2;
        if (!hex4(s, &low)) return false;
        if (low < 0xdc00 || low > 0xdfff) return bad(s, "half of a surrogate pair");
        u = 0x10000 + ((u - 0xd800) << 10) + (low - 0xdc00);
    }
    put_utf8(s, u);
    return true;
}

static bool utf8(parser *s)
{
    int n = agi_utf8_length(s->p, s->end);
    if (!n) return bad(s, "not UTF-8");
    memcpy(s->text, s->p, (size_t)n);
    s->text += n;
    s->p += n;
    return true;
}

static bool string(parser *s, const char **out)
{
    if (!at(s, '"')) return bad(s, "expected a string");
    s->p++;
    *out = s->text;
    while (s->p < s->end && *s->p != '"') {
        if ((unsigned char)*s->p < 0x20) return bad(s, "a control character in a string");
        if (*s->p == '\\') {
            s->p++;
            if (!escape(s)) return false;
        } else if (!utf8(s)) {
            return false;
        }
    }
    if (s->p >= s->end) return bad(s, "a string without an end");
    s->p++;
    *s->text++ = '\0';
    return true;
}

/* ---- numbers ---- */

static bool integer(parser *s, int64_t *out)
{
    skip_space(s);
    const char *first = s->p;
    int64_t v = 0;
    for (; s->p < s->end && *s->p >= '0' && *s->p <= '9'; s->p++)
        if (!agi_mul(v, 10, &v) || !agi_add(v, *s->p - '0', &v))
            return bad(s, "an integer that is too large");
    bool digits = s->p > first, zero_led = s->p - first > 1 && *first == '0';
    bool fraction = s->p < s->end && strchr(".eE", *s->p) && *s->p;
    if (!digits || zero_led || fraction) return bad(s, "expected a plain non-negative integer");
    *out = v;
    return true;
}

/* A list of at most `most` integers. */
static bool integers(parser *s, int64_t *out, int most, int *n)
{
    *n = 0;
    if (!expect(s, '[')) return false;
    if (at(s, ']')) {
        s->p++;
        return true;
    }
    for (;;) {
        if (*n == most) return bad(s, "a list that is too long (8 dimensions, 2 offsets at most)");
        if (!integer(s, &out[(*n)++])) return false;
        if (at(s, ']')) break;
        if (!expect(s, ',')) return false;
    }
    s->p++;
    return true;
}

/* ---- the document ---- */

static bool grow(parser *s, void **p, int *cap, int n, size_t size)
{
    if (n < *cap) return true;
    int more = *cap ? 2 * *cap : 256;
    void *q = realloc(*p, (size_t)more * size);
    if (!q) {
        s->rc = agi_file_fail(AG_ENOMEM, s->f->path, NULL, "out of memory");
        return false;
    }
    *p = q;
    *cap = more;
    return true;
}

static bool tensor_fault(parser *s, const agi_file_entry *e, const char *fact)
{
    s->rc = agi_file_fail(AG_EFORMAT, s->f->path, e->name, "%s", fact);
    return false;
}

static bool read_dtype(parser *s, agi_file_entry *e)
{
    const char *name;
    if (!string(s, &name)) return false;
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
        if (strcmp(name, dtypes[i].name) != 0) continue;
        e->dtype = &dtypes[i];
        return true;
    }
    s->rc = agi_file_fail(AG_EFORMAT, s->f->path, e->name, "unknown dtype '%.40s'", name);
    return false;
}

static bool read_tensor(parser *s, const char *name)
{
    ag_file *f = s->f;
    if (!grow(s, (void **)&f->entries, &f->cap_entries, f->n_entries, sizeof *f->entries))
        return false;
    agi_file_entry *e = &f->entries[f->n_entries++];
    *e = (agi_file_entry){.name = name, .begin = -1, .ndim = -1};
    size_t length = strlen(name);
    if (length == 0 || length > AGI_LONGEST_NAME)
        return bad(s, "a tensor name must have 1 to 1024 bytes");
    if (!expect(s, '{')) return false;
    for (;;) {
        const char *key;
        int64_t offsets[2];
        int n;
        if (!string(s, &key) || !expect(s, ':')) return false;
        if (!strcmp(key, "dtype") && !e->dtype) {
            if (!read_dtype(s, e)) return false;
        } else if (!strcmp(key, "shape") && e->ndim < 0) {
            if (!integers(s, e->shape, AG_MAX_DIMS, &e->ndim)) return false;
        } else if (!strcmp(key, "data_offsets") && e->begin < 0) {
            if (!integers(s, offsets, 2, &n)) return false;
            if (n != 2) return tensor_fault(s, e, "data_offsets must be two integers");
            e->begin = offsets[0];
            e->end = offsets[1];
        } else {
            return tensor_fault(s, e, "a field that is unknown or there twice");
        }
        if (at(s, '}')) break;
        if (!expect(s, ',')) return false;
    }
    s->p++;
    if (!e->dtype || e->ndim < 0 || e->begin < 0)
        return tensor_fault(s, e, "dtype, shape or data_offsets is missing");
    return true;
}

static bool read_metadata(parser *s)
{
    ag_file *f = s->f;
    if (!expect(s, '{')) return false;
    if (at(s, '}')) {
        s->p++;
        return true;
    }
    for (;;) {
        agi_metadata m = {.kind = 't', .count = -1};
        if (!string(s, &m.key) || !expect(s, ':') || !string(s, &m.value)) return false;
        m.bytes = (int64_t)strlen(m.value);
        if (!grow(s, (void **)&f->metadata, &f->cap_metadata, f->n_metadata, sizeof m))
            return false;
        f->metadata[f->n_metadata++] = m;
        if (at(s, '}')) break;
        if (!expect(s, ',')) return false;
    }
    s->p++;
    return true;
}

static bool read_document(parser *s)
{
    bool has_metadata = false;
    if (s->p == s->end || *s->p != '{') return bad(s, "expected '{'");
    s->p++;
    if (at(s, '}')) {
        s->p++;
    } else {
        for (;;) {
            const char *name;
            if (!string(s, &name) || !expect(s, ':')) return false;
            if (!strcmp(name, "__metadata__")) {
                if (has_metadata) return bad(s, "__metadata__ is there twice");
                has_metadata = true;
                if (!read_metadata(s)) return false;
            } else if (!read_tensor(s, name)) {
                return false;
            }
            if (at(s, '}')) break;
            if (!expect(s, ',')) return false;
        }
        s->p++;
    }
    while (s->p < s->end && *s->p == ' ') s->p++; /* the format pads with spaces alone */
    return s->p == s->end || bad(s, "more after the document's end");
}

int agi_header_parse(ag_file *f, const char *header, int64_t n)
{
    f->text = malloc((size_t)n + 1);
    if (!f->text) return agi_file_fail(AG_ENOMEM, f->path, NULL, "out of memory");
    parser s = {.f = f, .p = header, .begin = header, .end = header + n, .text = f->text};
    f->align = 1;
    return read_document(&s) ? agi_file_check(f) : s.rc;
}
