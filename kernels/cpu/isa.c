/* isa.c: the instruction sets of this build, and which of them this CPU and its operating system
 * have. */
#include "isa.h"
#include "amx.h"

#include <stdbool.h>
#include <string.h>

static bool always(void) { return true; }

#if defined(__x86_64__)
#include <cpuid.h>

enum { AVX_VNNI = 1 << 4 }; /* CPUID leaf 7.1, eax */

static bool has_avx2(void)
{
    unsigned a, b, c, d; /* clang 14 knows no feature "f16c" */
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}

static bool has_avx2vnni(void)
{
    unsigned a, b, c, d;
    return has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & AVX_VNNI);
}

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}

static bool has_avx512vnni(void) { return has_avx512() && __builtin_cpu_supports("avx512vnni"); }

static bool has_amx(void)
{
    return has_avx512vnni() && __builtin_cpu_supports("avx512bf16") && agi_amx_allowed();
}
#endif

#if defined(__aarch64__)
#include <sys/auxv.h>

static bool has_dot(void) { return getauxval(AT_HWCAP) & HWCAP_ASIMDDP; }
#endif

/* Each faster than the one before it. */
static const struct {
    const agi_isa *isa;
    bool (*here)(void);
} sets[] = {
    {&agi_isa_plain, always},
#if defined(__x86_64__)
    {&agi_isa_avx2, has_avx2},     {&agi_isa_avx2vnni, has_avx2vnni},
    {&agi_isa_avx512, has_avx512}, {&agi_isa_avx512vnni, has_avx512vnni},
    {&agi_isa_amx, has_amx},
#elif defined(__aarch64__)
    {&agi_isa_neon, always},
    {&agi_isa_neondot, has_dot},
#endif
};

enum { SETS = sizeof sets / sizeof *sets };

const char *agi_isa_name(int i) { return i >= 0 && i < SETS ? sets[i].isa->name : NULL; }

const agi_isa *agi_isa_find(const char *name)
{
    for (int i = 0; i < SETS; i++)
        if (!strcmp(name, sets[i].isa->name)) return sets[i].here() ? sets[i].isa : NULL;
    return NULL;
}

const agi_isa *agi_isa_best(void)
{
    int i = SETS - 1;
    while (!sets[i].here()) i--;
    return sets[i].isa;
}
