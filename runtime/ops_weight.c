/* ops_weight.c: the front (validation) of the op that rewrites weights. */
#include "front.h"

int ag_pack(ag_tensor *out, ag_tensor *w)
{
    agi_front f = agi_front_begin(AGI_OP_pack);
    agi_rows rw;
    int64_t k;
    if (!(agi_in(&f, "w", w, AGI_ANY) && agi_out(&f, "out", out, AGI_WEIGHT) &&
          agi_ndim(&f, "w", w, 2) && agi_fold(&f, "w", w, &rw, &k)))
        return f.rc;
    if (!agi_dtype_converts(w->dtype, out->dtype)) {
        agi_bad(&f, "%s cannot become %s", ag_dtype_name(w->dtype), ag_dtype_name(out->dtype));
        return f.rc;
    }
    if (!(agi_packed(&f, "out", out, w->shape[0], k) && agi_apart(&f, out, false))) return f.rc;
    agi_pack_args a = {.out = agi_tensor_data(out),
                       .w = agi_tensor_data(w),
                       .out_dtype = out->dtype,
                       .w_dtype = w->dtype,
                       .outs = w->shape[0],
                       .k = k,
                       .stride = rw.stride};
    return agi_front_run(&f, &a, sizeof a, (double)a.outs * (double)k);
}
