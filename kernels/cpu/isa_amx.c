/* isa_amx.c: the hot loops in AVX-512, and convolutions on the tiles of AMX. */
#include "simd_avx512.h"
#include "dot_simd.h"
#include "loops_simd.h"
#include "conv_amx.h"

AGI_ISA_TABLE(amx, avx512vnni);
