/* isa.c: which instruction sets this CPU and its operating system have. */
#include "isa.h"

#include <stddef.h>
#include <string.h>

#if defined(__x86_64__)
static int has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static int has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}
#endif

const agi_isa *agi_isa_find(const char *name)
{
    if (!strcmp(name, "plain")) return &agi_isa_plain;
#if defined(__x86_64__)
    if (!strcmp(name, "avx2") && has_avx2()) return &agi_isa_avx2;
    if (!strcmp(name, "avx512") && has_avx512()) return &agi_isa_avx512;
#endif
    return NULL;
}

const agi_isa *agi_isa_best(void)
{
    static const char *const best_first[] = {"avx512", "avx2"};
    for (size_t i = 0; i < sizeof best_first / sizeof *best_first; i++) {
        const agi_isa *isa = agi_isa_find(best_first[i]);
        if (isa) return isa;
    }
    return &agi_isa_plain;
}
