/* mapped.h: which files are mapped where, for whoever meets the signal of one that shrank. */
#ifndef ARGENT_MAPPED_H
#define ARGENT_MAPPED_H

#include <stdint.h>

/* Notes a mapping; `path` must live until agi_mapped_forget. */
void agi_mapped_note(const void *map, int64_t size, const char *path);
void agi_mapped_forget(const void *map);
/* The pages wholly inside [p, p + n) leave this process's memory; they stay in the page cache, and
 * a later access maps them again. So weights that were repacked do not count twice. */
void agi_mapped_drop(const char *p, int64_t n);

#endif
