/* pack.c: the op pack: weights, codes and scales in the order in which the products read them. */
#include "../../runtime/backend_cpu.h"
#include "../../runtime/convert.h"
#include "../../runtime/ops.h"

#include <string.h>

/* Row o, n <= AGI_CHUNK columns from c, as floats; those of the chunk that are not there are 0. */
static void pack_dense(char *out, const agi_pack_args *a, int64_t o, int64_t c, int64_t n)
{
    const int64_t in = agi_dtype_size(a->w_dtype), size = agi_dtype_size(a->out_dtype);
    out += o % AGI_PANEL * AGI_CHUNK * size;
    if (n < AGI_CHUNK) memset(out, 0, (size_t)(AGI_CHUNK * size));
    if (n > 0) agi_convert(out, a->out_dtype, 1, a->w + (o * a->stride + c) * in, a->w_dtype, 1, n);
}

/* Codes plus 128, four columns of a row side by side. */
static void pack_q8(char *out, const agi_pack_args *a, int64_t o, int64_t c, int64_t n)
{
    uint8_t codes[AGI_CHUNK] = {0};
    if (n > 0) memcpy(codes, a->w + o * a->stride + c, (size_t)n);
    for (int i = 0; i < AGI_CHUNK; i++) codes[i] ^= 0x80;
    for (int j = 0; j < AGI_CHUNK / 4; j++)
        memcpy(out + (j * AGI_PANEL + o % AGI_PANEL) * 4, codes + 4 * j, 4);
}

/* Each byte a column (low) and the one half a chunk further. */
static void pack_q4(char *out, const agi_pack_args *a, int64_t o, int64_t c, int64_t n)
{
    enum { HALF = AGI_CHUNK / 2 };
    uint8_t in[HALF], codes[AGI_CHUNK], both[HALF];
    memset(in, 0x88, sizeof in);
    if (n > 0) memcpy(in, a->w + o * a->stride + c / 2, (size_t)(n / 2));
    for (int i = 0; i < HALF; i++) {
        codes[2 * i] = in[i] & 15;
        codes[2 * i + 1] = in[i] >> 4;
    }
    for (int i = 0; i < HALF; i++) both[i] = (uint8_t)(codes[i] | codes[i + HALF] << 4);
    for (int j = 0; j < HALF / 4; j++)
        memcpy(out + (j * AGI_PANEL + o % AGI_PANEL) * 4, both + 4 * j, 4);
}

static void pack_codes(const agi_pack_args *a, int64_t lo, int64_t hi)
{
    static void (*const packs[])(char *, const agi_pack_args *, int64_t, int64_t, int64_t) = {
        [AGI_PACK_DENSE] = pack_dense, [AGI_PACK_Q8] = pack_q8, [AGI_PACK_Q4] = pack_q4};
    int64_t size = AGI_PANEL * AGI_CHUNK * agi_dtype_size(a->out_dtype);
    if (a->packing == AGI_PACK_Q4) size /= 2;
    char *out = a->out + lo * ((a->k + AGI_CHUNK - 1) / AGI_CHUNK) * size;
    for (int64_t p = lo; p < hi; p++)
        for (int64_t c = 0; c < a->k; c += AGI_CHUNK, out += size)
            for (int64_t o = p * AGI_PANEL; o < (p + 1) * AGI_PANEL; o++) {
                const int64_t left = a->k - c < AGI_CHUNK ? a->k - c : AGI_CHUNK;
                packs[a->packing](out, a, o, c, o < a->outs ? left : 0);
            }
}

static void pack_scales(const agi_pack_args *a, int64_t lo, int64_t hi)
{
    const uint16_t *w = (const uint16_t *)(const void *)a->w;
    uint16_t *out = (uint16_t *)(void *)a->out + lo * a->k * AGI_PANEL;
    for (int64_t p = lo; p < hi; p++)
        for (int64_t b = 0; b < a->k; b++)
            for (int64_t o = p * AGI_PANEL; o < (p + 1) * AGI_PANEL; o++)
                *out++ = o < a->outs ? w[o * a->stride + b] : 0;
}

int agi_cpu_pack(const void *args, agi_worker *w)
{
    const agi_pack_args *a = args;
    int64_t lo, hi;
    agi_share(w, (a->outs + AGI_PANEL - 1) / AGI_PANEL, 1, &lo, &hi);
    if (a->packing == AGI_PACK_SCALES) pack_scales(a, lo, hi);
    else pack_codes(a, lo, hi);
    return AG_OK;
}
