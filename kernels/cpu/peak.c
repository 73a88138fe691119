/* peak.c: see peak.h. A loop keeps SUMS sums under way, which hides the latency of one. */
#include "peak.h"

#include <stddef.h>

#define UNROLL _Pragma("GCC unroll 12") /* so that the sums live in registers */

enum { SUMS = 12 };

/* double NAME(rounds): s = STEP for each of SUMS vectors s of a type, from zero; a STEP multiplies
 * `what`s and makes `lanes` multiply-adds. At the end the sums are stored where the compiler cannot
 * tell whether they are read. */
#define PEAK(name, attribute, type, zero, what_type, what, lanes, step)                            \
    attribute static double name(int64_t rounds)                                                   \
    {                                                                                              \
        const what_type a = what;                                                                  \
        type sums[SUMS], end[SUMS];                                                                \
        UNROLL for (int i = 0; i < SUMS; i++) sums[i] = zero;                                      \
        for (int64_t r = 0; r < rounds; r++) UNROLL for (int i = 0; i < SUMS; i++)                 \
            {                                                                                      \
                const type s = sums[i];                                                            \
                sums[i] = (step);                                                                  \
            }                                                                                      \
        UNROLL for (int i = 0; i < SUMS; i++) end[i] = sums[i];                                    \
        __asm__ volatile("" ::"r"(end) : "memory");                                                \
        return (double)rounds * SUMS * (lanes);                                                    \
    }

#if defined(__x86_64__)
#include "amx.h"
#include <cpuid.h>
#include <immintrin.h>

#define FOR(isa) __attribute__((target(isa)))

PEAK(f32_avx2, FOR("avx2,fma"), __m256, _mm256_setzero_ps(), __m256, _mm256_set1_ps(0.5f), 8,
     _mm256_fmadd_ps(a, a, s))
PEAK(f32_avx512, FOR("avx512f"), __m512, _mm512_setzero_ps(), __m512, _mm512_set1_ps(0.5f), 16,
     _mm512_fmadd_ps(a, a, s))
PEAK(bf16_avx512, FOR("avx512f,avx512bf16"), __m512, _mm512_setzero_ps(), __m512bh,
     _mm512_cvtne2ps_pbh(_mm512_set1_ps(0.5f), _mm512_set1_ps(0.5f)), 32, _mm512_dpbf16_ps(s, a, a))
PEAK(int8_vnni, FOR("avx512f,avx512vnni"), __m512i, _mm512_setzero_si512(), __m512i,
     _mm512_set1_epi8(1), 64, _mm512_dpbusd_epi32(s, a, a))

/* Tiles 0 to 3 are sums of 16 x 16, 4 and 5 what is multiplied: 16 x 32 by 32 x 16. */
__attribute__((target("amx-tile,amx-bf16"))) static double bf16_amx(int64_t rounds)
{
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } shapes = {.palette = 1};
    for (int i = 0; i < 6; i++) {
        shapes.bytes[i] = 64;
        shapes.rows[i] = 16;
    }
    __asm__ volatile("" ::"r"(&shapes) : "memory"); /* gcc 12 takes it to read 8 bytes of them */
    _tile_loadconfig(&shapes);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_zero(4);
    _tile_zero(5);
    for (int64_t r = 0; r < rounds; r++) {
        _tile_dpbf16ps(0, 4, 5);
        _tile_dpbf16ps(1, 4, 5);
        _tile_dpbf16ps(2, 4, 5);
        _tile_dpbf16ps(3, 4, 5);
    }
    _tile_release();
    return (double)rounds * 4 * 16 * 16 * 32;
}

static bool has_avx512(void) { return __builtin_cpu_supports("avx512f"); }

static bool has_f32(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool has_vnni(void) { return has_avx512() && __builtin_cpu_supports("avx512vnni"); }

static bool has_bf16(void)
{
    unsigned a, b, c, d;
    return has_avx512() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & (1 << 5));
}

static double f32(int64_t rounds) { return has_avx512() ? f32_avx512(rounds) : f32_avx2(rounds); }

static const agi_peak peaks[] = {
    {"f32", has_f32, f32},
    {"bf16", has_bf16, bf16_avx512},
    {"int8", has_vnni, int8_vnni},
    {"amx_bf16", agi_amx_allowed, bf16_amx},
    {NULL, NULL, NULL},
};
#elif defined(__aarch64__)
#include <arm_neon.h>

static bool always(void) { return true; }

PEAK(f32, , float32x4_t, vdupq_n_f32(0), float32x4_t, vdupq_n_f32(0.5f), 4, vfmaq_f32(s, a, a))

static const agi_peak peaks[] = {{"f32", always, f32}, {NULL, NULL, NULL}};
#else
static const agi_peak peaks[] = {{NULL, NULL, NULL}};
#endif

const agi_peak *agi_peak_at(int i)
{
    const int n = (int)(sizeof peaks / sizeof *peaks) - 1;
    return i >= 0 && i < n ? &peaks[i] : NULL;
}
