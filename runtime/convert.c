/* convert.c: see convert.h. */
#include "convert.h"
#include "argent.h"
#include "dtype.h"

typedef void run_fn(char *out, int64_t os, const char *x, int64_t xs, int64_t n);

/* Contiguous elements are a loop of their own, for the compiler to make vectors of. */
#define RUN(name, out_t, x_t, convert)                                                             \
    static inline void name##_one(char *out, const char *x)                                        \
    {                                                                                              \
        x_t v;                                                                                     \
        memcpy(&v, x, sizeof v);                                                                   \
        const out_t c = convert(v);                                                                \
        memcpy(out, &c, sizeof c);                                                                 \
    }                                                                                              \
    static void name(char *out, int64_t os, const char *x, int64_t xs, int64_t n)                  \
    {                                                                                              \
        enum { O = sizeof(out_t), X = sizeof(x_t) };                                               \
        if (os == 1 && xs == 1)                                                                    \
            for (int64_t i = 0; i < n; i++) name##_one(out + i * O, x + i * X);                    \
        else                                                                                       \
            for (int64_t i = 0; i < n; i++) name##_one(out + i * os * O, x + i * xs * X);          \
    }

static uint16_t bf16_from_f16(uint16_t h) { return agi_bf16_from_f32(agi_f32_from_f16(h)); }

static uint16_t f16_from_bf16(uint16_t h) { return agi_f16_from_f32(agi_f32_from_bf16(h)); }

RUN(same_8, uint8_t, uint8_t, )
RUN(same_16, uint16_t, uint16_t, )
RUN(same_32, uint32_t, uint32_t, )
RUN(f32_to_bf16, uint16_t, float, agi_bf16_from_f32)
RUN(f32_to_f16, uint16_t, float, agi_f16_from_f32)
RUN(bf16_to_f32, float, uint16_t, agi_f32_from_bf16)
RUN(f16_to_f32, float, uint16_t, agi_f32_from_f16)
RUN(bf16_to_f16, uint16_t, uint16_t, f16_from_bf16)
RUN(f16_to_bf16, uint16_t, uint16_t, bf16_from_f16)

void agi_convert(char *out, int to, int64_t os, const char *x, int from, int64_t xs, int64_t n)
{
    static run_fn *const same[] = {[1] = same_8, [2] = same_16, [4] = same_32}; /* by size */
    static run_fn *const runs[AG_DTYPES][AG_DTYPES] = {
        /* [to][from] */
        [AG_F32] = {[AG_BF16] = bf16_to_f32, [AG_F16] = f16_to_f32},
        [AG_BF16] = {[AG_F32] = f32_to_bf16, [AG_F16] = f16_to_bf16},
        [AG_F16] = {[AG_F32] = f32_to_f16, [AG_BF16] = bf16_to_f16},
    };
    (to == from ? same[agi_dtype_size(to)] : runs[to][from])(out, os, x, xs, n);
}
