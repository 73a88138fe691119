/* isa_avx2vnni.c: the products of quantised weights in AVX2 with VNNI. */
#include "simd_avx2.h"
#include "blocks_simd.h"

AGI_BLOCKS_TABLE(avx2vnni);
