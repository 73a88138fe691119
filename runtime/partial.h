/* partial.h: names of files that are being written; see ag_partial_create in argent.h. */
#ifndef ARGENT_PARTIAL_H
#define ARGENT_PARTIAL_H

#include <stddef.h>

/* Room that the name of a partial file beside `path` may need. */
size_t agi_partial_room(const char *path);

#endif
