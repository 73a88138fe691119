/*
 * philox.h: Philox 4x32-10, the counter-based random generator of Salmon et al. (SC'11). A draw is
 * a pure function of a key and a counter, so it is the same whatever the backend, the worker or the
 * batch. It has no state to keep or to seed. The four constants are those of the paper.
 */
#ifndef ARGENT_KERNELS_PHILOX_H
#define ARGENT_KERNELS_PHILOX_H

#include "../runtime/both.h"

#include <stdint.h>

AGI_BOTH void agi_philox(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p = (uint64_t)0xd2511f53u * c0, q = (uint64_t)0xcd9e8d57u * c2;
        c0 = (uint32_t)(q >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)q;
        c2 = (uint32_t)(p >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p;
        k0 += 0x9e3779b9u;
        k1 += 0xbb67ae85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/* A word as a number in [0, 1), a multiple of 2^-24. */
AGI_BOTH double agi_philox_uniform(uint32_t word) { return (double)(word >> 8) / 16777216.0; }

#endif
