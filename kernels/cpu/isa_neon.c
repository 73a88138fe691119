/* isa_neon.c: the hot loops in NEON, from the sources that all vector sets share. */
#include "simd_neon.h"
#include "dot_simd.h"
#include "loops_simd.h"
#include "conv_direct.h"

AGI_ISA_TABLE(neon, plain);
