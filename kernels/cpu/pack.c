/* pack.c: the op pack: rows of weights in the order in which the products read them. */
#include "../../runtime/backend_cpu.h"
#include "../../runtime/convert.h"
#include "../../runtime/ops.h"

#include <string.h>

int agi_cpu_pack(const void *args, agi_worker *w)
{
    const agi_pack_args *a = args;
    const int64_t in = agi_dtype_size(a->w_dtype), size = agi_dtype_size(a->out_dtype);
    const int64_t chunks = (a->k + AGI_CHUNK - 1) / AGI_CHUNK;
    int64_t lo, hi;
    agi_share(w, (a->outs + AGI_PANEL - 1) / AGI_PANEL, 1, &lo, &hi);
    char *out = a->out + lo * chunks * AGI_PANEL * AGI_CHUNK * size;
    for (int64_t p = lo; p < hi; p++)
        for (int64_t c = 0; c < a->k; c += AGI_CHUNK)
            for (int64_t o = p * AGI_PANEL; o < (p + 1) * AGI_PANEL; o++, out += AGI_CHUNK * size) {
                int64_t n = o >= a->outs ? 0 : a->k - c < AGI_CHUNK ? a->k - c : AGI_CHUNK;
                if (n < AGI_CHUNK) memset(out, 0, (size_t)(AGI_CHUNK * size));
                if (n > 0)
                    agi_convert(out, a->out_dtype, 1, a->w + (o * a->stride + c) * in, a->w_dtype,
                                1, n);
            }
    return AG_OK;
}
