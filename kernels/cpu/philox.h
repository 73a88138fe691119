/*
 * philox.h: Philox 4x32-10, the counter-based random generator of Salmon et al. (SC'11). A draw is
 * a pure function of a key and a counter, so it is the same whatever the backend, the worker or the
 * batch. It has no state to keep or to seed.
 */
#ifndef ARGENT_KERNELS_CPU_PHILOX_H
#define ARGENT_KERNELS_CPU_PHILOX_H

#include <stdint.h>

void agi_philox(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2]);

/* A word as a number in [0, 1), a multiple of 2^-24. */
static inline double agi_philox_uniform(uint32_t word) { return (double)(word >> 8) / 16777216.0; }

#endif
