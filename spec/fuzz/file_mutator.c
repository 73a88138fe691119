/*
 * file_mutator.c: mutates files of tensors as what they are. A safetensors header (an input that
 * begins with '{') is cut into tokens (strings, numbers, marks); a token is replaced, an entry
 * dropped or doubled, and often the offsets are made right again, so that what comes after the
 * first check is reached too. A GGUF header is walked; a number is replaced, or a value or tensor
 * dropped or doubled. Everything else is left to libFuzzer's own mutations.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned int seed);

enum { TOKENS = 400, ROOM = 1 << 16 };

typedef struct {
    const char *at;
    size_t n;
} token;

static unsigned state;

static unsigned below(unsigned n)
{
    state = state * 1664525u + 1013904223u;
    return (state >> 8) % n;
}

/* ---- tokens ---- */

static bool space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

/* Cuts text into tokens, spaces left out; the number of them. */
static int cut(token *t, const char *text, const char *end)
{
    int n = 0;
    for (const char *p = text; p < end && n < TOKENS;) {
        const char *first = p++;
        if (space(*first)) continue;
        if (*first == '"') {
            while (p < end && *p != '"') p += *p == '\\' && p + 1 < end ? 2 : 1;
            p += p < end;
        } else if (!strchr("{}[]:,", *first)) {
            while (p < end && !space(*p) && !strchr("{}[]:,\"", *p)) p++;
        }
        t[n++] = (token){first, (size_t)(p - first)};
    }
    return n;
}

static bool is(token t, const char *text)
{
    return t.n == strlen(text) && !memcmp(t.at, text, t.n);
}

/* Behind the value that begins at token i: one token, or all up to the bracket that closes it. */
static int behind(const token *t, int n, int i)
{
    int depth = 0;
    for (; i < n; i++) {
        depth += is(t[i], "{") || is(t[i], "[");
        depth -= is(t[i], "}") || is(t[i], "]");
        if (depth <= 0) return i + 1;
    }
    return n;
}

static size_t join(char *out, size_t room, const token *t, int n)
{
    size_t size = 0;
    for (int i = 0; i < n && size + t[i].n <= room; size += t[i++].n)
        memcpy(out + size, t[i].at, t[i].n);
    return size;
}

/* ---- one change ---- */

static const char *const strings[] = {"\"dtype\"",
                                      "\"shape\"",
                                      "\"data_offsets\"",
                                      "\"__metadata__\"",
                                      "\"F32\"",
                                      "\"BF16\"",
                                      "\"F16\"",
                                      "\"I32\"",
                                      "\"BOOL\"",
                                      "\"U8\"",
                                      "\"I8\"",
                                      "\"F8_E4M3\"",
                                      "\"I16\"",
                                      "\"F64\"",
                                      "\"I64\"",
                                      "\"U64\"",
                                      "\"\"",
                                      "\"a\"",
                                      "\"b\"",
                                      "\"\\u0000\"",
                                      "\"\\ud83d\\ude00\"",
                                      "\"\\ud800\"",
                                      "\"\\u00e9\\/\\n\"",
                                      "\"\xc3\xa9\"",
                                      "\"\xf4\x90\x80\x80\"",
                                      "\"\xff\""};
static const char *const numbers[] = {"0",
                                      "1",
                                      "2",
                                      "3",
                                      "4",
                                      "7",
                                      "8",
                                      "12",
                                      "16",
                                      "255",
                                      "65536",
                                      "2147483647",
                                      "2147483648",
                                      "4294967296",
                                      "9007199254740993",
                                      "4611686018427387904",
                                      "9223372036854775807",
                                      "9223372036854775808",
                                      "18446744073709551616",
                                      "01",
                                      "-1",
                                      "1.0",
                                      "1e3",
                                      "null",
                                      "true"};
static const char *const marks[] = {"{", "}", "[", "]", ":", ",", " ", "\n", "{}", "[]", "/**/"};

#define ANY(list) list[below(sizeof list / sizeof *list)]

static void replace(token *t)
{
    const char *by = *t->at == '"'              ? ANY(strings)
                     : strchr("{}[]:,", *t->at) ? ANY(marks)
                                                : ANY(numbers);
    *t = (token){by, strlen(by)};
}

/* Drops or doubles the entry `string : value` (or the value) at token i. */
static int splice(token *t, int n, int i)
{
    int last = i + 1 < n && is(t[i + 1], ":") ? behind(t, n, i + 2) : behind(t, n, i);
    if (last < n && is(t[last], ",")) last++;
    int more = last - i;
    if (below(2)) {
        memmove(t + i, t + last, (size_t)(n - last) * sizeof *t);
        return n - more;
    }
    if (n + more + 1 > TOKENS) return n;
    memmove(t + last + more, t + last, (size_t)(n - last) * sizeof *t);
    memcpy(t + last, t + i, (size_t)more * sizeof *t);
    return n + more;
}

/* Gives every entry the offsets that its dtype and shape want, behind those of the entry before;
 * how many bytes of data that makes. `room` keeps the texts. */
static size_t repair(token *t, int n, char (*room)[24])
{
    static const struct {
        const char *name;
        size_t width;
    } widths[] = {{"\"F32\"", 4}, {"\"I32\"", 4}, {"\"BF16\"", 2}, {"\"F16\"", 2},
                  {"\"I16\"", 2}, {"\"F64\"", 8}, {"\"I64\"", 8},  {"\"U64\"", 8}};
    size_t at = 0;
    for (int i = 1; i < n; i++) {
        if (!is(t[i], "{")) continue;
        const int last = behind(t, n, i);
        size_t bytes = 1;
        int offsets = 0;
        for (int k = i; k + 2 < last; k++) {
            if (is(t[k], "\"dtype\""))
                for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
                    if (is(t[k + 2], widths[w].name)) bytes *= widths[w].width;
            if (is(t[k], "\"shape\""))
                for (int d = k + 3; d < last && !is(t[d], "]"); d++)
                    if (t[d].n < 6 && *t[d].at != ',') bytes *= strtoul(t[d].at, NULL, 10) & 0xffff;
            if (is(t[k], "\"data_offsets\"") && k + 6 < last && is(t[k + 6], "]")) offsets = k + 3;
        }
        if (offsets && bytes < ROOM && at + bytes < ROOM) {
            snprintf(room[offsets], sizeof *room, "%zu", at);
            snprintf(room[offsets + 2], sizeof *room, "%zu", at += bytes);
            t[offsets] = (token){room[offsets], strlen(room[offsets])};
            t[offsets + 2] = (token){room[offsets + 2], strlen(room[offsets + 2])};
        }
        i = last - 1;
    }
    return at;
}

static size_t mutate_safetensors(uint8_t *data, size_t size, size_t most)
{
    static char out[ROOM], room[TOKENS][24];
    static token t[TOKENS];
    const char *text = (const char *)data, *end = text + size;
    while (end > text + 1 && end[-1] != '}') end--;
    size_t rest = size - (size_t)(end - text);
    int n = cut(t, text, end);
    for (unsigned changes = 1 + below(3); changes > 0 && n > 0; changes--) {
        int i = (int)below((unsigned)n);
        if (below(3)) replace(&t[i]);
        else n = splice(t, n, i);
    }
    const bool right = below(4) != 0;
    const size_t bytes = right ? repair(t, n, room) : rest;
    size_t made = join(out, most, t, n), kept = bytes < rest ? bytes : rest;
    if (kept > most - made) kept = most - made;
    memcpy(out + made, end, kept);
    made += kept;
    for (; kept < bytes && made < most; kept++) out[made++] = (char)below(256);
    memcpy(data, out, made);
    return made;
}

/* ---- GGUF ---- */

typedef struct {
    const uint8_t *p, *end;
    size_t at;
    struct {
        size_t at, width;
    } numbers[TOKENS];
    int n;
} walk;

/* Notes the next number of the header and gives it, 0 at the end. */
static uint64_t number(walk *w, size_t width)
{
    uint64_t v = 0;
    if ((size_t)(w->end - w->p) < w->at + width) {
        w->at = (size_t)(w->end - w->p);
        return 0;
    }
    memcpy(&v, w->p + w->at, width);
    if (w->n < TOKENS) {
        w->numbers[w->n].at = w->at;
        w->numbers[w->n++].width = width;
    }
    w->at += width;
    return v;
}

static void skip(walk *w, uint64_t n)
{
    size_t left = (size_t)(w->end - w->p) - w->at;
    w->at += n < left ? (size_t)n : left;
}

static void skip_text(walk *w) { skip(w, number(w, 8)); }

static void skip_value(walk *w)
{
    static const uint8_t widths[13] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    uint64_t type = number(w, 4), count = 1;
    if (type == 9) {
        type = number(w, 4);
        count = number(w, 8);
    }
    if (type == 8)
        for (; count > 0 && w->p + w->at < w->end; count--) skip_text(w);
    else if (type < 13) skip(w, count < ROOM ? count * widths[type] : ROOM);
}

static void skip_tensor(walk *w)
{
    skip_text(w);
    for (uint64_t dims = number(w, 4); dims > 0 && w->p + w->at < w->end; dims--) number(w, 8);
    number(w, 4);
    number(w, 8);
}

enum { COUNTS = 8 }; /* of tensors, then of values */

static size_t mutate_gguf(uint8_t *data, size_t size, size_t most)
{
    static const uint64_t numbers_64[] = {
        0,   1,   2,     3,        8,         31,         32,        33,
        255, 256, 65535, 1u << 20, INT32_MAX, UINT32_MAX, INT64_MAX, UINT64_MAX};
    static walk w;
    static size_t begins[TOKENS];
    w = (walk){.p = data, .end = data + size, .at = 4};
    number(&w, 4);
    uint64_t tensors = number(&w, 8), values = number(&w, 8);
    int entries = 0, first_tensor = 0;
    for (uint64_t i = 0; i < values && w.at < size && entries < TOKENS - 1; i++) {
        begins[entries++] = w.at;
        skip_text(&w);
        skip_value(&w);
    }
    first_tensor = entries;
    for (uint64_t i = 0; i < tensors && w.at < size && entries < TOKENS - 1; i++) {
        begins[entries++] = w.at;
        skip_tensor(&w);
    }
    begins[entries] = w.at;
    if (entries == 0 || below(2)) {
        int i = (int)below((unsigned)(w.n ? w.n : 1));
        uint64_t v = below(3) ? numbers_64[below(16)] : below(40);
        if (w.n) memcpy(data + w.numbers[i].at, &v, w.numbers[i].width);
        return size;
    }
    const int i = (int)below((unsigned)entries), is_value = i < first_tensor;
    const size_t at = begins[i], n = begins[i + 1] - at;
    uint64_t count = is_value ? values : tensors;
    if (below(2)) {
        memmove(data + at, data + at + n, size - at - n);
        size -= n;
        count--;
    } else if (size + n <= most) {
        memmove(data + at + n, data + at, size - at);
        data[at + (n > 8 ? 8 : 0)] ^= 1; /* else the name is there twice */
        size += n;
        count++;
    }
    memcpy(data + COUNTS + (is_value ? 8 : 0), &count, sizeof count);
    return size;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned int seed)
{
    state = seed;
    if (size > 24 && !memcmp(data, "GGUF", 4) && below(3)) return mutate_gguf(data, size, most);
    if (size > 0 && data[0] == '{' && most <= ROOM && below(3))
        return mutate_safetensors(data, size, most);
    return LLVMFuzzerMutate(data, size, most);
}
