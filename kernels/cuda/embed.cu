/*
 * embed.cu: the op embedding: table rows by id, or their sum over groups; one thread an element. An id
 * outside its table adds nothing to its row and is reported.
 */
#include "device.h"

DEVICE void embedding_item(const agi_embedding_args *a, int64_t i, agi_fault *f)
{
    int64_t r = i / a->n, c = i % a->n;
    float sum = 0, *out = a->out + r * a->out_stride + c;
    bool known = true;
    for (int64_t g = 0; g < a->groups; g++) {
        int64_t id = a->ids[r * a->ids_row + g * a->ids_group];
        if (id >= 0 && id < a->vocab) continue;
        if (known && c == 0) agi_report(f, AG_EVALUE, AGI_FAULT_ID, id, r, g, a->vocab);
        known = false;
    }
    for (int64_t g = 0; known && g < a->groups; g++) {
        int64_t at =
            g * a->group_stride + a->ids[r * a->ids_row + g * a->ids_group] * a->table_stride + c;
        sum += a->table_dtype == AG_F32
                   ? ((const float *)(const void *)a->table)[at]
                   : agi_dev_from_bf16(((const uint16_t *)(const void *)a->table)[at]);
    }
    *out = a->accumulate ? *out + sum : sum;
}
AGI_EACH(embedding, agi_embedding_args, embedding_item, a->rows * a->n)
