/* isa_avx2.c: the hot loops in AVX2, from the sources that all vector sets share. */
#include "simd_avx2.h"
#include "dot_simd.h"
#include "loops_simd.h"
#include "blocks_simd.h"
#include "conv_filter.h"

AGI_BLOCKS_TABLE(avx2);
AGI_ISA_TABLE(avx2, avx2);
AGI_ISA_TABLE(avx2vnni, avx2vnni); /* products of quantised weights differ, nothing else */
