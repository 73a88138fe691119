/* ops_weight.c: fronts (validation) of the ops that rewrite weights. */
#include "front.h"

/* The shape of w [outs, k] packed, and how. */
static int packed_shape(const ag_tensor *out, const ag_tensor *w, enum agi_packing *packing,
                        int64_t *k, int64_t shape[5])
{
    const bool scales = w->dtype == AG_F16 && out->dtype == AG_F16;
    *packing = w->dtype == AG_I8   ? AGI_PACK_Q8
               : w->dtype == AG_U8 ? AGI_PACK_Q4
               : scales            ? AGI_PACK_SCALES
                                   : AGI_PACK_DENSE;
    *k = w->shape[1];
    shape[0] = (w->shape[0] + AGI_PANEL - 1) / AGI_PANEL;
    if (scales) {
        shape[1] = *k;
        shape[2] = AGI_PANEL;
        return 3;
    }
    if (*packing == AGI_PACK_Q4) *k *= 2;
    shape[1] = (*k + AGI_CHUNK - 1) / AGI_CHUNK;
    if (*packing == AGI_PACK_DENSE) {
        shape[2] = AGI_PANEL;
        shape[3] = AGI_CHUNK;
        return 4;
    }
    shape[2] = *packing == AGI_PACK_Q8 ? AGI_CHUNK / 4 : AGI_CHUNK / 8;
    shape[3] = AGI_PANEL;
    shape[4] = 4;
    return 5;
}

int ag_pack(ag_tensor *out, ag_tensor *w)
{
    agi_front f = agi_front_begin(AGI_OP_pack);
    enum agi_packing packing;
    agi_rows rw;
    int64_t k, shape[5];
    if (!(agi_in(&f, "w", w, AGI_ANY) && agi_out(&f, "out", out, AGI_ANY) &&
          agi_ndim(&f, "w", w, 2) && agi_fold(&f, "w", w, &rw, &k)))
        return f.rc;
    const int ndim = packed_shape(out, w, &packing, &k, shape);
    const bool codes = packing == AGI_PACK_Q8 || packing == AGI_PACK_Q4;
    const bool fits = codes                        ? out->dtype == AG_U8
                      : packing == AGI_PACK_SCALES ? true
                                                   : agi_dtype_converts(w->dtype, out->dtype) &&
                                                         agi_weight_kind_of(out->dtype) >= 0;
    if (!fits) {
        agi_bad(&f, "%s cannot be packed as %s", ag_dtype_name(w->dtype),
                ag_dtype_name(out->dtype));
        return f.rc;
    }
    if (!(agi_shaped(&f, "out", out, ndim, shape) && agi_apart(&f, out, false))) return f.rc;
    agi_pack_args a = {.out = agi_tensor_data(out),
                       .w = agi_tensor_data(w),
                       .packing = packing,
                       .out_dtype = out->dtype,
                       .w_dtype = w->dtype,
                       .outs = w->shape[0],
                       .k = k,
                       .stride = rw.stride};
    return agi_front_run(&f, &a, sizeof a, (double)a.outs * (double)k);
}

int ag_quantize(ag_tensor *out, ag_tensor *scale, ag_tensor *w)
{
    agi_front f = agi_front_begin(AGI_OP_quantize);
    agi_rows ro, rs, rw;
    int64_t n, k, blocks;
    if (!(agi_in(&f, "w", w, AGI_ANY) && agi_out(&f, "out", out, AGI_ANY) &&
          agi_out(&f, "scale", scale, AG_F16) && agi_ndim(&f, "w", w, 2) &&
          agi_fold(&f, "w", w, &rw, &k) && agi_ndim(&f, "out", out, 2) &&
          agi_fold(&f, "out", out, &ro, &n) && agi_ndim(&f, "scale", scale, 2) &&
          agi_fold(&f, "scale", scale, &rs, &blocks)))
        return f.rc;
    const int kind = agi_weight_kind_of(out->dtype);
    if (!agi_dtype_infinite(w->dtype) || kind < 0 || agi_weight_dense(kind)) {
        agi_bad(&f, "%s cannot become codes in %s: i8 is q8, u8 is q4", ag_dtype_name(w->dtype),
                ag_dtype_name(out->dtype));
        return f.rc;
    }
    const int64_t outs = w->shape[0];
    if (!(agi_equal(&f, "out", out, "w", w, out->shape[0], outs) &&
          agi_equal(&f, "out", out, "w", w, n, kind == AGI_WEIGHT_Q4 ? (k + 1) / 2 : k) &&
          agi_equal(&f, "scale", scale, "w", w, scale->shape[0], outs) &&
          agi_equal(&f, "scale", scale, "w", w, blocks, (k + AGI_CHUNK - 1) / AGI_CHUNK) &&
          agi_apart(&f, out, false)))
        return f.rc;
    agi_quantize_args a = {.code = agi_tensor_data(out),
                           .scale = (uint16_t *)(void *)agi_tensor_data(scale),
                           .w = agi_tensor_data(w),
                           .w_dtype = w->dtype,
                           .kind = (enum agi_weight_kind)kind,
                           .outs = outs,
                           .k = k,
                           .stride = rw.stride,
                           .code_stride = ro.stride,
                           .scale_stride = rs.stride};
    return agi_front_run(&f, &a, sizeof a, (double)outs * (double)k);
}
