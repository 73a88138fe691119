/* isa_avx512vnni.c: the products of quantised weights in AVX-512 with VNNI. */
#include "simd_avx512.h"
#include "blocks_simd.h"

AGI_BLOCKS_TABLE(avx512vnni);
