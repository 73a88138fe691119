/* run.h: running the kernels of emulate.h, for the machines that do. */
#ifndef ARGENT_KERNELS_EMULATE_RUN_H
#define ARGENT_KERNELS_EMULATE_RUN_H

#include <stddef.h>
#include <stdint.h>

typedef void agi_kernel_fn(const void *args);

typedef struct {
    agi_kernel_fn *kernel;
    int64_t across, down; /* blocks */
    int threads;
    const void *args; /* `size` bytes, copied */
    size_t size;
    int dependent; /* on a card it may begin before the launch before it has ended */
} agi_emulated_call;

/* Runs a launch: at once, or, while launches overlap, when the next one is known or waited for.
 * Then what a dependent launch reads before its BEGIN is read before the launch before it has run,
 * and must still be there afterwards. */
int agi_emulated_launch(const agi_emulated_call *call);
void agi_emulated_overlap(int on);
/* Runs the launch that is still to run, if there is one. */
void agi_emulated_wait(void);
/* Launches go to `sink` instead, which keeps them for later; NULL: no longer. */
void agi_emulated_sink(int (*sink)(const agi_emulated_call *call));

#endif
