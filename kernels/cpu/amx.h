/* amx.h: whether this process may use the tiles of AMX. */
#ifndef ARGENT_KERNELS_CPU_AMX_H
#define ARGENT_KERNELS_CPU_AMX_H

#include <stdbool.h>

/* Whether the CPU has tiles with bf16 and int8 products and the system lets this process use them,
 * which is asked of it once, at the first call. */
bool agi_amx_allowed(void);

#endif
