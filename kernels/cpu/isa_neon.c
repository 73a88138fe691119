/* isa_neon.c: the hot loops in NEON, from the sources that all vector sets share. */
#include "simd_neon.h"
#include "dot_simd.h"
#include "loops_simd.h"
#include "conv_filter.h"
#include "blocks_simd.h"

AGI_BLOCKS_TABLE(neon);
AGI_ISA_TABLE(neon, neon);
AGI_ISA_TABLE(neondot, neondot); /* products of quantised weights differ, nothing else */
