/*
 * gguf_blocks.c: the element types of GGUF, and the numbers that their blocks stand for. A block of
 * 32 has a scale d (and a least value m) in f16 before its codes; a block of 256 ("K") has codes of
 * scales for its parts as well. Each product is rounded as the format's Python package rounds it,
 * so that both give the same bits.
 */
#include "file.h"
#include "half.h"

#include <string.h>

static float f16_at(const uint8_t *p)
{
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return agi_f32_from_f16(h);
}

/* ---- blocks of 32: code j is in the low half of byte j, code j + 16 in the high half ---- */

static int nibble(const uint8_t *codes, int j)
{
    return j < 16 ? codes[j] & 15 : codes[j - 16] >> 4;
}

/* The fifth bit of code j. */
static int fifth(const uint8_t *high, int j) { return (high[j / 8] >> (j % 8) & 1) << 4; }

static void q4_0(float *out, const uint8_t *p)
{
    const float d = f16_at(p);
    for (int j = 0; j < 32; j++) out[j] = (float)(nibble(p + 2, j) - 8) * d;
}

static void q4_1(float *out, const uint8_t *p)
{
    const float d = f16_at(p), m = f16_at(p + 2);
    for (int j = 0; j < 32; j++) out[j] = (float)nibble(p + 4, j) * d + m;
}

static void q5_0(float *out, const uint8_t *p)
{
    const float d = f16_at(p);
    for (int j = 0; j < 32; j++) out[j] = (float)((nibble(p + 6, j) | fifth(p + 2, j)) - 16) * d;
}

static void q5_1(float *out, const uint8_t *p)
{
    const float d = f16_at(p), m = f16_at(p + 2);
    for (int j = 0; j < 32; j++) out[j] = (float)(nibble(p + 8, j) | fifth(p + 4, j)) * d + m;
}

static void q8_0(float *out, const uint8_t *p)
{
    const float d = f16_at(p);
    for (int j = 0; j < 32; j++) out[j] = (float)(int8_t)p[2 + j] * d;
}

/* ---- blocks of 256 ---- */

/* Scale and least value of part i of eight: 6 bits each, packed into 12 bytes. */
static void part_scales(const uint8_t *q, int i, float *scale, float *least)
{
    const int low = i & 3, s = q[low], m = q[low + 4], both = q[low + 8];
    *scale = (float)(i < 4 ? s & 63 : (both & 15) | (s >> 6) << 4);
    *least = (float)(i < 4 ? m & 63 : both >> 4 | (m >> 6) << 4);
}

/* Parts 2n and 2n + 1 are the low and the high halves of the same 32 bytes. */
static int part_code(const uint8_t *codes, int i, int j)
{
    const int byte = codes[i / 2 * 32 + j];
    return i % 2 ? byte >> 4 : byte & 15;
}

static void q4_k(float *out, const uint8_t *p)
{
    const float d = f16_at(p), m = f16_at(p + 2);
    for (int i = 0; i < 8; i++) {
        float scale, least;
        part_scales(p + 4, i, &scale, &least);
        for (int j = 0; j < 32; j++)
            out[i * 32 + j] = d * scale * (float)part_code(p + 16, i, j) - m * least;
    }
}

static void q5_k(float *out, const uint8_t *p)
{
    const float d = f16_at(p), m = f16_at(p + 2);
    for (int i = 0; i < 8; i++) {
        float scale, least;
        part_scales(p + 4, i, &scale, &least);
        for (int j = 0; j < 32; j++) {
            const int code = part_code(p + 48, i, j) | (p[16 + j] >> i & 1) << 4;
            out[i * 32 + j] = d * scale * (float)code - m * least;
        }
    }
}

/* Two halves of 128, each of four quarters whose low bits share 64 bytes and whose high ones 32. */
static void q6_k(float *out, const uint8_t *p)
{
    const float d = f16_at(p + 208);
    for (int i = 0; i < 256; i++) {
        const int half = i / 128, quarter = i / 32 % 4, j = i % 32;
        const int low = p[half * 64 + quarter % 2 * 32 + j] >> (quarter / 2 * 4) & 15;
        const int high = p[128 + half * 32 + j] >> (2 * quarter) & 3;
        const float scale = (float)(int8_t)p[192 + i / 16];
        out[i] = d * scale * (float)((low | high << 4) - 32);
    }
}

/* ---- types ---- */

#define BLOCKS(one, size, bytes)                                                                   \
    static void one##_blocks(float *out, const void *p, int64_t n)                                 \
    {                                                                                              \
        for (int64_t i = 0; i < n; i++) one(out + i * (size), (const uint8_t *)p + i * (bytes));   \
    }

BLOCKS(q4_0, 32, 18)
BLOCKS(q4_1, 32, 20)
BLOCKS(q5_0, 32, 22)
BLOCKS(q5_1, 32, 24)
BLOCKS(q8_0, 32, 34)
BLOCKS(q4_k, 256, 144)
BLOCKS(q5_k, 256, 176)
BLOCKS(q6_k, 256, 210)

const agi_file_dtype *agi_gguf_dtype(uint32_t type)
{
    static const agi_file_dtype dtypes[] = {
        [0] = {"F32", 1, 4, AG_F32, NULL},
        [1] = {"F16", 1, 2, AG_F16, NULL},
        [2] = {"Q4_0", 32, 18, -1, q4_0_blocks},
        [3] = {"Q4_1", 32, 20, -1, q4_1_blocks},
        [6] = {"Q5_0", 32, 22, -1, q5_0_blocks},
        [7] = {"Q5_1", 32, 24, -1, q5_1_blocks},
        [8] = {"Q8_0", 32, 34, -1, q8_0_blocks},
        [9] = {"Q8_1", 32, 36, -1, NULL},
        [10] = {"Q2_K", 256, 84, -1, NULL},
        [11] = {"Q3_K", 256, 110, -1, NULL},
        [12] = {"Q4_K", 256, 144, -1, q4_k_blocks},
        [13] = {"Q5_K", 256, 176, -1, q5_k_blocks},
        [14] = {"Q6_K", 256, 210, -1, q6_k_blocks},
        [15] = {"Q8_K", 256, 292, -1, NULL},
        [24] = {"I8", 1, 1, -1, NULL},
        [25] = {"I16", 1, 2, -1, NULL},
        [26] = {"I32", 1, 4, AG_I32, NULL},
        [27] = {"I64", 1, 8, -1, NULL},
        [28] = {"F64", 1, 8, -1, NULL},
        [30] = {"BF16", 1, 2, AG_BF16, NULL},
    };
    if (type >= sizeof dtypes / sizeof *dtypes || !dtypes[type].name) return NULL;
    return &dtypes[type];
}
