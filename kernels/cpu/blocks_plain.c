/* blocks_plain.c: products of quantised weights in plain C, which defines them. */
#include "../weight.h"
#include "blocks.h"

#include <math.h>
#include <stdbool.h>

static void quantize(int8_t *code, float *scale, const float *x, int64_t n)
{
    for (int64_t c = 0; c < n; c += AGI_CHUNK) {
        float largest = 0, bad = 0;
        for (int64_t i = c; i < n && i < c + AGI_CHUNK; i++) {
            largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
            bad += x[i] - x[i]; /* NaN where one is NaN or infinite */
        }
        const bool none = largest < AGI_BLOCK_LEAST || bad != 0;
        const float inverse = none ? 0 : 127 / largest;
        for (int64_t i = c; i < c + AGI_CHUNK; i++)
            code[i - c] = i < n && !none ? (int8_t)lrintf(x[i] * inverse) : 0;
        *scale = (none ? 0 : largest / 127) + bad;
        code += AGI_BLOCK_ROWS * AGI_CHUNK;
        scale += AGI_BLOCK_ROWS;
    }
}

static void dot(const agi_linear_args *a, const agi_block_rows *x, int64_t o0, int64_t o1)
{
    for (int64_t r = 0; r < a->rows; r++)
        for (int64_t o = o0; o < o1; o++) {
            float acc = 0;
            for (int64_t b = 0; b < x->chunks; b++) {
                const int64_t block = agi_block_of(x, r, b);
                const int8_t *code = x->code + block * AGI_CHUNK;
                int32_t sum = 0;
                for (int64_t i = 0; i < AGI_CHUNK && b * AGI_CHUNK + i < a->k; i++)
                    sum += code[i] * agi_weight_code(&a->w, a->w.kind, o, b * AGI_CHUNK + i);
                acc = fmaf(agi_weight_scale(&a->w, o, b) * x->scale[block], (float)sum, acc);
            }
            a->out[r * a->out_stride + o] = a->bias ? acc + a->bias[o] : acc;
        }
}

const agi_blocks agi_blocks_plain = {quantize, dot, 0};
