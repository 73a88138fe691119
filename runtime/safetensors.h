/* safetensors.h: what the reader (safetensors.c), its header parser (safetensors_header.c) and the
 * writer (safetensors_save.c) share. */
#ifndef ARGENT_SAFETENSORS_H
#define ARGENT_SAFETENSORS_H

#include "argent.h"

#include <stddef.h>

enum { AGI_LONGEST_NAME = 1024 }; /* bytes of a tensor's name */

typedef struct {
    const char *name;  /* in the file's text arena */
    const char *dtype; /* static: the safetensors name */
    int64_t width;     /* bytes of an element */
    int own;           /* the same as ours, AG_F32, ...; -1: we have no such */
    int ndim;
    int64_t shape[AG_MAX_DIMS];
    int64_t begin, end; /* in the data section */
} agi_file_entry;

typedef struct {
    const char *key, *value;
} agi_metadata;

struct ag_file {
    int refs;
    char *path;
    char *map; /* the whole file, read only */
    int64_t size;
    const char *data; /* behind the header */
    char *text;       /* arena of names and metadata */
    agi_file_entry *entries;
    int n_entries, cap_entries;
    int *by_name; /* entry indices sorted by name */
    agi_metadata *metadata;
    int n_metadata, cap_metadata;
};

/* Parses the JSON header of f (n bytes at `header`) into entries and metadata, and checks all of
 * it; fills by_name. */
int agi_header_parse(ag_file *f, const char *header, int64_t n);

/* Bytes of the UTF-8 sequence at p < end; 0 where there is none, or an overlong form, a surrogate,
 * or what is beyond U+10FFFF. */
int agi_utf8_length(const char *p, const char *end);

/* Leaves "path: name: fact" as the message (name may be NULL) and returns code. One line: control
 * characters, which paths and JSON names may hold, become '?'. */
int agi_file_fail(int code, const char *path, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#endif
