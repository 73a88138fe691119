/* file.h: files of tensors, mapped: what the reader (file.c), the parsers of the two formats
 * (safetensors_header.c, gguf_header.c), their checks (file_check.c) and the writer
 * (safetensors_save.c) share. */
#ifndef ARGENT_FILE_H
#define ARGENT_FILE_H

#include "argent.h"

#include <stdbool.h>
#include <stddef.h>

enum { AGI_LONGEST_NAME = 1024 }; /* bytes of a tensor's name */

/* Makes f32 of n whole blocks. */
typedef void agi_unblock(float *out, const void *blocks, int64_t n);

/* An element type of a file. Elements stand in blocks; those of most types alone. */
typedef struct {
    const char *name;     /* as the format writes it */
    int64_t block, width; /* elements of a block, and its bytes */
    int own;              /* the same as ours, AG_F32, ...; -1: we have no such */
    agi_unblock *unblock; /* NULL: a block is one element */
} agi_file_dtype;

typedef struct {
    const char *name;            /* in the file's text arena */
    const agi_file_dtype *dtype; /* static */
    int ndim;
    int64_t shape[AG_MAX_DIMS];
    int64_t begin, end; /* in the data section */
} agi_file_entry;

/* A value or a list of values beside the tensors. Texts are `bytes` long and may hold any byte. */
typedef struct {
    const char *key;
    char kind;           /* 't': text, 'n': number, 'b': boolean */
    int type;            /* of the format */
    int64_t count;       /* of a list; -1: one value */
    const char *value;   /* of numbers and booleans the first, in the map; of one text its bytes */
    int64_t bytes;       /* of one text */
    const char **listed; /* of a list of texts each, in the map, behind its length */
} agi_metadata;

struct ag_file {
    int refs;
    char *path;
    char *map; /* the whole file, read only */
    int64_t size;
    const char *data; /* behind the header */
    int64_t align;    /* of tensors in it */
    char *text;       /* arena of names and metadata */
    agi_file_entry *entries;
    int n_entries, cap_entries;
    int *by_name; /* entry indices sorted by name */
    agi_metadata *metadata;
    int n_metadata, cap_metadata;
};

/* Parses the JSON header of f (n bytes at `header`) into entries and metadata. */
int agi_header_parse(ag_file *f, const char *header, int64_t n);

/* Whether the file begins as GGUF does, and its parser: entries, metadata, data, align. */
bool agi_gguf_is(const ag_file *f);
int agi_gguf_parse(ag_file *f);
double agi_gguf_number(const agi_metadata *m, int64_t j);

/* The element types of GGUF that tensors can be made of, and those that are known by name and size
 * alone; NULL: unknown. */
const agi_file_dtype *agi_gguf_dtype(uint32_t type);

/* Checks sizes, that the tensors tile the data section, and that no name or key is there twice;
 * sorts metadata and fills by_name. */
int agi_file_check(ag_file *f);

/* Bytes of the UTF-8 sequence at p < end; 0 where there is none, or an overlong form, a surrogate,
 * or what is beyond U+10FFFF. */
int agi_utf8_length(const char *p, const char *end);

/* Leaves "path: name: fact" as the message (name may be NULL) and returns code. One line: control
 * characters, which paths and JSON names may hold, become '?'. */
int agi_file_fail(int code, const char *path, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#endif
