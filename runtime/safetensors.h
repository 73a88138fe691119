/* safetensors.h: what the reader (safetensors.c) and its header parser (safetensors_header.c)
 * share. */
#ifndef ARGENT_SAFETENSORS_H
#define ARGENT_SAFETENSORS_H

#include "argent.h"

#include <stddef.h>

typedef struct {
    const char *name;  /* in the file's text arena */
    const char *dtype; /* static: the safetensors name */
    int64_t width;     /* bytes of an element */
    int ndim;
    int64_t shape[AG_MAX_DIMS];
    int64_t begin, end; /* in the data section */
} agi_entry;

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
    agi_entry *entries;
    int n_entries, cap_entries;
    int *by_name; /* entry indices sorted by name */
    agi_metadata *metadata;
    int n_metadata, cap_metadata;
};

/* Parses the JSON header of f (n bytes at `header`) into entries and metadata, and checks all of
 * it; fills by_name. */
int agi_header_parse(ag_file *f, const char *header, int64_t n);

#endif
