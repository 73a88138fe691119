/*
 * peak.h: how many multiply-adds this CPU can make, for `argent bench`: loops that do nothing else,
 * on numbers that stay in registers. It is what a product could reach if memory cost nothing.
 */
#ifndef ARGENT_KERNELS_CPU_PEAK_H
#define ARGENT_KERNELS_CPU_PEAK_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    const char *name; /* of the numbers that are multiplied */
    bool (*here)(void);
    double (*run)(int64_t rounds); /* the multiply-adds that it has made */
} agi_peak;

/* The i-th that this build knows, whether this CPU has it or not; NULL: there are no more. */
const agi_peak *agi_peak_at(int i);

#endif
