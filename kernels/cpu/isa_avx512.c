/* isa_avx512.c: the hot loops in AVX-512, from the sources that all vector sets share. */
#include "simd_avx512.h"
#include "dot_simd.h"
#include "loops_simd.h"
#include "blocks_simd.h"
#include "conv_filter.h"

AGI_BLOCKS_TABLE(avx512);
AGI_ISA_TABLE(avx512, avx512);
AGI_ISA_TABLE(avx512vnni, avx512vnni); /* products of quantised weights differ, nothing else */
