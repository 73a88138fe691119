/* isa_avx512.c: the hot loops in AVX-512, from the sources that all vector sets share. */
#include "simd_avx512.h"
#include "dot_simd.h"
#include "loops_simd.h"

AGI_ISA_TABLE(avx512);
