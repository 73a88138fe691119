/* isa_neondot.c: the products of quantised weights in NEON with dot products of bytes. */
#include "simd_neon.h"
#include "blocks_simd.h"

AGI_BLOCKS_TABLE(neondot);
