/* ops_nn.c: fronts (validation) of products, norms and token ops of ops.def. */
#include "front.h"
#include "size.h"

static float *f32(const ag_tensor *t) { return t ? (float *)(void *)agi_tensor_data(t) : NULL; }

static int32_t *i32(const ag_tensor *t) { return t ? (int32_t *)(void *)agi_tensor_data(t) : NULL; }

/* ---- products ---- */

int ag_linear(ag_tensor *out, ag_tensor *x, ag_tensor *w, ag_tensor *opt_bias, ag_tensor *opt_scale)
{
    agi_front f = agi_front_begin(AGI_OP_linear);
    agi_rows rx, ro;
    agi_weight weight;
    int64_t in, outs;
    if (!(agi_in(&f, "x", x, AG_F32) && agi_fold(&f, "x", x, &rx, &in) &&
          agi_out(&f, "out", out, AG_F32) && agi_fold(&f, "out", out, &ro, &outs) &&
          agi_weight_arg(&f, w, opt_scale, outs, in, &weight)))
        return f.rc;
    const bool rows = w->ndim == 2 && !opt_scale;
    if (!((!rows || (agi_equal(&f, "x", x, "w", w, in, w->shape[1]) &&
                     agi_equal(&f, "out", out, "w", w, outs, w->shape[0]))) &&
          agi_opt(&f, "bias", opt_bias, AG_F32) &&
          agi_equal(&f, "out", out, "x", x, ro.rows, rx.rows) &&
          agi_vector(&f, "bias", opt_bias, outs) && agi_apart(&f, out, false)))
        return f.rc;
    agi_linear_args a = {.out = f32(out),
                         .x = f32(x),
                         .bias = f32(opt_bias),
                         .w = weight,
                         .rows = rx.rows,
                         .outs = outs,
                         .k = in,
                         .out_stride = ro.stride,
                         .x_stride = rx.stride,
                         .taps = 1};
    return agi_front_run(&f, &a, sizeof a, (double)rx.rows * (double)outs * (double)in);
}

int ag_conv1d(ag_tensor *out, ag_tensor *x, ag_tensor *w, ag_tensor *opt_bias, int32_t dilation,
              int32_t stride)
{
    agi_front f = agi_front_begin(AGI_OP_conv1d);
    agi_rows rx, ro;
    int64_t channels, outs;
    if (!(agi_in(&f, "x", x, AG_F32) && agi_in(&f, "w", w, AGI_DENSE) &&
          agi_opt(&f, "bias", opt_bias, AG_F32) && agi_out(&f, "out", out, AG_F32) &&
          agi_ndim(&f, "x", x, 2) && agi_ndim(&f, "w", w, 3) && agi_ndim(&f, "out", out, 2) &&
          agi_fold(&f, "x", x, &rx, &channels) && agi_fold(&f, "out", out, &ro, &outs) &&
          agi_equal(&f, "x", x, "w", w, channels, w->shape[2]) &&
          agi_equal(&f, "out", out, "w", w, outs, w->shape[0]) &&
          agi_vector(&f, "bias", opt_bias, outs) &&
          agi_range(&f, "dilation", dilation, 1, 1 << 20) &&
          agi_range(&f, "stride", stride, 1, 1 << 20) && agi_apart(&f, out, false)))
        return f.rc;
    int64_t taps = w->shape[1];
    if (!ag_tensor_contiguous(w) || taps < 1 || taps > 1 << 20) {
        agi_bad(&f, "w must be contiguous, with at least one tap");
        return f.rc;
    }
    int64_t span = (taps - 1) * dilation + 1;
    int64_t rows = x->shape[0] < span ? 0 : (x->shape[0] - span) / stride + 1;
    if (!agi_equal(&f, "out", out, "x", x, out->shape[0], rows)) return f.rc;
    agi_conv1d_args a = {.out = f32(out),
                         .x = f32(x),
                         .bias = f32(opt_bias),
                         .w = agi_weight_of(w, taps * channels),
                         .rows = rows,
                         .outs = outs,
                         .k = channels,
                         .out_stride = ro.stride,
                         .x_stride = rx.stride * stride,
                         .taps = taps,
                         .x_tap = rx.stride * dilation};
    return agi_front_run(&f, &a, sizeof a, (double)rows * (double)outs * (double)(taps * channels));
}

/* Whether packed weights of this shape can be counted, in bytes and with whole panels of both. */
static bool countable(int64_t outs, int64_t taps, int64_t channels)
{
    enum { PANEL = 32 }; /* of no table more */
    int64_t n;
    return agi_mul(outs + PANEL, taps, &n) && agi_mul(n, channels + PANEL, &n) && agi_mul(n, 4, &n);
}

double ag_packed_conv1d_size(const ag_backend *be, int32_t outs, int32_t taps, int32_t channels)
{
    if (!be->slots->packed_conv1d_size || outs < 1 || taps < 1 || channels < 1) return 0;
    if (!countable(outs, taps, channels)) return 0;
    return (double)be->slots->packed_conv1d_size(be, outs, taps, channels);
}

/* Whether w is as large as packed weights of this shape are. */
static bool packed(agi_front *f, const char *name, const ag_tensor *w, int64_t outs, int64_t taps,
                   int64_t channels)
{
    const agi_backend_slots *slots = f->be->slots;
    if (!slots->packed_conv1d_size) {
        f->rc =
            agi_fail(AG_EUNSUPPORTED, "%s: backend '%s' packs no convolutions", f->op, f->be->kind);
        return false;
    }
    return agi_range(f, "outputs", outs, 1, INT32_MAX) && agi_range(f, "taps", taps, 1, 1 << 20) &&
           agi_range(f, "channels", channels, 1, INT32_MAX) &&
           (countable(outs, taps, channels) ||
            agi_bad(f, "%lld outputs, %lld taps and %lld channels are too many", (long long)outs,
                    (long long)taps, (long long)channels)) &&
           agi_vector(f, name, w, slots->packed_conv1d_size(f->be, outs, taps, channels));
}

int ag_pack_conv1d(ag_tensor *out, ag_tensor *w)
{
    agi_front f = agi_front_begin(AGI_OP_pack_conv1d);
    if (!(agi_in(&f, "w", w, AGI_DENSE) && agi_out(&f, "out", out, AG_F32) &&
          agi_ndim(&f, "w", w, 3) &&
          packed(&f, "out", out, w->shape[0], w->shape[1], w->shape[2]) &&
          agi_apart(&f, out, false)))
        return f.rc;
    if (!ag_tensor_contiguous(w)) {
        agi_bad(&f, "w must be contiguous");
        return f.rc;
    }
    agi_pack_conv1d_args a = {.out = f32(out),
                              .w = agi_tensor_data(w),
                              .w_dtype = w->dtype,
                              .outs = w->shape[0],
                              .taps = w->shape[1],
                              .k = w->shape[2]};
    return agi_front_run(&f, &a, sizeof a, (double)agi_tensor_count(w));
}

int ag_packed_conv1d(ag_tensor *out, ag_tensor *x, ag_tensor *w, ag_tensor *opt_bias,
                     ag_tensor *opt_alpha, ag_tensor *opt_inv_beta, int32_t taps, int32_t dilation,
                     int32_t period, int32_t accumulate)
{
    agi_front f = agi_front_begin(AGI_OP_packed_conv1d);
    agi_rows rx, ro;
    int64_t channels, outs;
    if (!(agi_in(&f, "x", x, AG_F32) && agi_in(&f, "w", w, AG_F32) &&
          agi_opt(&f, "bias", opt_bias, AG_F32) && agi_opt(&f, "alpha", opt_alpha, AG_F32) &&
          agi_opt(&f, "inv_beta", opt_inv_beta, AG_F32) && agi_out(&f, "out", out, AG_F32) &&
          agi_fold(&f, "x", x, &rx, &channels) && agi_fold(&f, "out", out, &ro, &outs) &&
          agi_range(&f, "dilation", dilation, 1, 1 << 20) &&
          packed(&f, "w", w, outs, taps, channels) && agi_vector(&f, "bias", opt_bias, outs) &&
          agi_vector(&f, "alpha", opt_alpha, channels) &&
          agi_vector(&f, "inv_beta", opt_inv_beta, channels) &&
          agi_range(&f, "period", period, 0, INT32_MAX) &&
          agi_range(&f, "accumulate", accumulate, 0, 1) && agi_apart(&f, out, false)))
        return f.rc;
    if (!opt_alpha != !opt_inv_beta) {
        agi_bad(&f, "alpha and inv_beta belong together");
        return f.rc;
    }
    const int64_t past = (int64_t)(taps - 1) * dilation;
    if (!countable(past + 512, 2, channels)) { /* what a worker has of x at once */
        agi_bad(&f, "%lld rows of %lld channels are too many", (long long)past,
                (long long)channels);
        return f.rc;
    }
    const int64_t rows = rx.rows < past ? 0 : rx.rows - past;
    if (!agi_equal(&f, "out", out, "x", x, ro.rows, rows)) return f.rc;
    agi_packed_conv1d_args a = {.out = f32(out),
                                .x = f32(x),
                                .w = f32(w),
                                .bias = f32(opt_bias),
                                .alpha = f32(opt_alpha),
                                .inv_beta = f32(opt_inv_beta),
                                .rows = rows,
                                .outs = outs,
                                .taps = taps,
                                .k = channels,
                                .dilation = dilation,
                                .period = period,
                                .out_stride = ro.stride,
                                .x_stride = rx.stride,
                                .accumulate = accumulate};
    return agi_front_run(&f, &a, sizeof a, (double)rows * (double)outs * (double)(taps * channels));
}

int ag_depthwise_conv1d(ag_tensor *out, ag_tensor *x, ag_tensor *w, ag_tensor *opt_bias)
{
    agi_front f = agi_front_begin(AGI_OP_depthwise_conv1d);
    agi_rows rx, ro;
    int64_t n;
    if (!(agi_in(&f, "x", x, AG_F32) && agi_in(&f, "w", w, AG_F32) &&
          agi_opt(&f, "bias", opt_bias, AG_F32) && agi_out(&f, "out", out, AG_F32) &&
          agi_ndim(&f, "x", x, 2) && agi_ndim(&f, "w", w, 2) && agi_ndim(&f, "out", out, 2) &&
          agi_fold(&f, "out", out, &ro, &n) && agi_fold(&f, "x", x, &rx, &n) &&
          agi_equal(&f, "x", x, "w", w, n, w->shape[1]) &&
          agi_equal(&f, "out", out, "x", x, out->shape[1], n) &&
          agi_vector(&f, "bias", opt_bias, n) && agi_apart(&f, out, false)))
        return f.rc;
    int64_t taps = w->shape[0], rows = x->shape[0] - taps + 1;
    if (!ag_tensor_contiguous(w) || taps < 1) {
        agi_bad(&f, "w must be contiguous, with at least one tap");
        return f.rc;
    }
    if (!agi_equal(&f, "out", out, "x", x, out->shape[0], rows < 0 ? 0 : rows)) return f.rc;
    agi_depthwise_conv1d_args a = {f32(out), f32(x), f32(w),    f32(opt_bias), out->shape[0],
                                   n,        taps,   ro.stride, rx.stride};
    return agi_front_run(&f, &a, sizeof a, (double)(a.rows * n * taps));
}

/* ---- norms ---- */

int ag_rms_norm(ag_tensor *out, ag_tensor *x, ag_tensor *w, double eps, ag_tensor *opt_add,
                ag_tensor *opt_scale)
{
    agi_front f = agi_front_begin(AGI_OP_rms_norm);
    agi_rows rx, ro, ra = {0};
    int64_t n, add_n;
    if (!((opt_add ? agi_out(&f, "x", x, AG_F32) : agi_in(&f, "x", x, AG_F32)) &&
          agi_in(&f, "w", w, AG_F32) && agi_opt(&f, "add", opt_add, AG_F32) &&
          agi_opt(&f, "scale", opt_scale, AG_F32) && agi_out(&f, "out", out, AG_F32) &&
          agi_same_shape(&f, "out", out, "x", x) && agi_fold(&f, "out", out, &ro, &n) &&
          agi_fold(&f, "x", x, &rx, &n) && agi_vector(&f, "w", w, n) &&
          agi_vector(&f, "scale", opt_scale, n)))
        return f.rc;
    if (opt_scale && !opt_add) {
        agi_bad(&f, "scale is given without add");
        return f.rc;
    }
    if (opt_add &&
        !(agi_same_shape(&f, "add", opt_add, "x", x) && agi_fold(&f, "add", opt_add, &ra, &add_n)))
        return f.rc;
    if (!agi_apart(&f, out, !opt_add)) return f.rc;
    agi_rms_norm_args a = {f32(out), f32(x),    f32(w),    f32(opt_add), f32(opt_scale), rx.rows,
                           n,        ro.stride, rx.stride, ra.stride,    (float)eps};
    return agi_front_run(&f, &a, sizeof a, (double)(rx.rows * n));
}

int ag_layer_norm(ag_tensor *out, ag_tensor *x, ag_tensor *w, ag_tensor *b, double eps)
{
    agi_front f = agi_front_begin(AGI_OP_layer_norm);
    agi_rows rx, ro;
    int64_t n;
    if (!(agi_in(&f, "x", x, AG_F32) && agi_in(&f, "w", w, AG_F32) && agi_in(&f, "b", b, AG_F32) &&
          agi_out(&f, "out", out, AG_F32) && agi_same_shape(&f, "out", out, "x", x) &&
          agi_fold(&f, "out", out, &ro, &n) && agi_fold(&f, "x", x, &rx, &n) &&
          agi_vector(&f, "w", w, n) && agi_vector(&f, "b", b, n) && agi_apart(&f, out, true)))
        return f.rc;
    agi_layer_norm_args a = {f32(out), f32(x),    f32(w),    f32(b),    rx.rows,
                             n,        ro.stride, rx.stride, (float)eps};
    return agi_front_run(&f, &a, sizeof a, (double)(rx.rows * n));
}

int ag_pool(ag_tensor *out, ag_tensor *x, ag_tensor *opt_logits, double floor)
{
    agi_front f = agi_front_begin(AGI_OP_pool);
    agi_rows ro, rx, rl = {0};
    int64_t n;
    if (!(agi_in(&f, "x", x, AG_F32) && agi_opt(&f, "logits", opt_logits, AG_F32) &&
          agi_out(&f, "out", out, AG_F32) && agi_ndim(&f, "x", x, 2) &&
          agi_ndim(&f, "out", out, 2) && agi_fold(&f, "out", out, &ro, &n) &&
          agi_fold(&f, "x", x, &rx, &n) &&
          agi_equal(&f, "out", out, "x", x, out->shape[1], x->shape[1]) &&
          agi_range(&f, "rows of out", out->shape[0], 1, 2)))
        return f.rc;
    if (x->shape[0] == 0) {
        agi_bad(&f, "x has no rows to pool");
        return f.rc;
    }
    if (opt_logits && !(agi_same_shape(&f, "logits", opt_logits, "x", x) &&
                        agi_fold(&f, "logits", opt_logits, &rl, &n)))
        return f.rc;
    if (!(floor >= 0)) {
        agi_bad(&f, "floor is %g, expected 0 or more", floor);
        return f.rc;
    }
    if (!agi_apart(&f, out, false)) return f.rc;
    agi_pool_args a = {.out = f32(out),
                       .x = f32(x),
                       .logits = f32(opt_logits),
                       .outs = out->shape[0],
                       .rows = x->shape[0],
                       .n = n,
                       .out_stride = ro.stride,
                       .x_stride = rx.stride,
                       .logits_stride = rl.stride,
                       .floor = (float)floor};
    return agi_front_run(&f, &a, sizeof a, (double)(a.rows * n) * (opt_logits ? 32 : 4));
}

/* ---- tokens ---- */

int ag_embedding(ag_tensor *out, ag_tensor *table, ag_tensor *ids, int32_t accumulate,
                 ag_tensor *opt_fault)
{
    agi_front f = agi_front_begin(AGI_OP_embedding);
    agi_rows ro;
    int64_t n;
    if (!(agi_in(&f, "table", table, AGI_DENSE) && agi_in(&f, "ids", ids, AG_I32) &&
          agi_out(&f, "out", out, AG_F32) && agi_ndim(&f, "out", out, 2) &&
          agi_fold(&f, "out", out, &ro, &n) && agi_range(&f, "accumulate", accumulate, 0, 1) &&
          agi_apart(&f, out, false)))
        return f.rc;
    agi_embedding_args a = {.out = f32(out),
                            .ids = i32(ids),
                            .accumulate = accumulate,
                            .rows = out->shape[0],
                            .n = n,
                            .groups = 1,
                            .out_stride = ro.stride};
    int grouped = table->ndim == 3;
    if (!(agi_ndim(&f, "table", table, 2 + grouped) && agi_ndim(&f, "ids", ids, 1 + grouped) &&
          agi_equal(&f, "out", out, "table", table, n, table->shape[1 + grouped]) &&
          agi_equal(&f, "out", out, "ids", ids, a.rows, ids->shape[0])))
        return f.rc;
    if (n > 1 && table->stride[1 + grouped] != 1) {
        agi_bad(&f, "table: its last dimension must be contiguous");
        return f.rc;
    }
    a.vocab = table->shape[grouped];
    a.table = agi_weight_of(table, table->stride[grouped]);
    a.ids_row = ids->stride[0];
    if (grouped) {
        if (!agi_equal(&f, "table", table, "ids", ids, table->shape[0], ids->shape[1])) return f.rc;
        a.groups = table->shape[0];
        a.group_stride = table->stride[0];
        a.ids_group = ids->stride[1];
    }
    if (!agi_faults_arg(&f, opt_fault, a.rows, &a.faults)) return f.rc;
    return agi_front_run(&f, &a, sizeof a, (double)(a.rows * n * a.groups));
}

int ag_nearest(ag_tensor *out, ag_tensor *x, ag_tensor *table)
{
    agi_front f = agi_front_begin(AGI_OP_nearest);
    agi_rows rx, rt;
    int64_t n;
    if (!(agi_in(&f, "x", x, AG_F32) && agi_in(&f, "table", table, AG_F32) &&
          agi_out(&f, "out", out, AG_I32) && agi_ndim(&f, "x", x, 2) &&
          agi_ndim(&f, "table", table, 2) && agi_ndim(&f, "out", out, 1) &&
          agi_fold(&f, "x", x, &rx, &n) && agi_fold(&f, "table", table, &rt, &n) &&
          agi_equal(&f, "x", x, "table", table, x->shape[1], table->shape[1]) &&
          agi_equal(&f, "out", out, "x", x, out->shape[0], x->shape[0]) &&
          agi_range(&f, "rows of table", table->shape[0], 1, INT32_MAX) &&
          agi_apart(&f, out, false)))
        return f.rc;
    agi_nearest_args a = {.out = i32(out),
                          .x = f32(x),
                          .table = f32(table),
                          .rows = x->shape[0],
                          .n = n,
                          .vocab = table->shape[0],
                          .out_stride = out->stride[0],
                          .x_stride = rx.stride,
                          .table_stride = rt.stride};
    return agi_front_run(&f, &a, sizeof a, (double)a.rows * (double)(a.vocab * n));
}

int ag_sample(ag_tensor *out, ag_tensor *logits, ag_tensor *key, ag_tensor *params,
              ag_tensor *opt_seen, int32_t group, int32_t suppress_from, int32_t eos,
              int32_t minimum, ag_tensor *opt_fault)
{
    agi_front f = agi_front_begin(AGI_OP_sample);
    agi_rows rl, rk, rp, rs = {0};
    int64_t vocab, n;
    if (!(agi_in(&f, "logits", logits, AG_F32) && agi_in(&f, "key", key, AG_I32) &&
          agi_in(&f, "params", params, AG_F32) &&
          (!opt_seen || agi_out(&f, "seen", opt_seen, AG_I32)) && agi_out(&f, "out", out, AG_I32) &&
          agi_ndim(&f, "logits", logits, 2) && agi_ndim(&f, "key", key, 2) &&
          agi_ndim(&f, "params", params, 2) && agi_ndim(&f, "out", out, 1) &&
          agi_fold(&f, "logits", logits, &rl, &vocab) &&
          agi_equal(&f, "out", out, "logits", logits, out->shape[0], logits->shape[0]) &&
          agi_equal(&f, "key", key, "logits", logits, key->shape[0], logits->shape[0]) &&
          agi_equal(&f, "params", params, "logits", logits, params->shape[0], logits->shape[0]) &&
          agi_fold(&f, "key", key, &rk, &n) && agi_range(&f, "width of key", n, 4, 4) &&
          agi_fold(&f, "params", params, &rp, &n) && agi_range(&f, "width of params", n, 4, 5) &&
          agi_range(&f, "vocabulary", vocab, 1, INT32_MAX) &&
          agi_range(&f, "group", group, 0, 1 << 20) &&
          agi_range(&f, "suppress_from", suppress_from, 0, INT32_MAX) &&
          agi_range(&f, "eos", eos, -1, vocab - 1) &&
          agi_range(&f, "minimum", minimum, 0, INT32_MAX)))
        return f.rc;
    if (opt_seen && !(agi_same_shape(&f, "seen", opt_seen, "logits", logits) &&
                      agi_fold(&f, "seen", opt_seen, &rs, &n)))
        return f.rc;
    if (!agi_apart(&f, out, false)) return f.rc;
    agi_sample_args a = {.out = i32(out),
                         .key = i32(key),
                         .seen = i32(opt_seen),
                         .logits = f32(logits),
                         .params = f32(params),
                         .rows = logits->shape[0],
                         .vocab = vocab,
                         .out_stride = out->stride[0],
                         .logits_stride = logits->stride[0],
                         .key_stride = key->stride[0],
                         .params_stride = params->stride[0],
                         .seen_stride = opt_seen ? opt_seen->stride[0] : 0,
                         .settings = (int32_t)params->shape[1],
                         .group = group,
                         .suppress_from = suppress_from,
                         .eos = eos,
                         .minimum = minimum};
    if (!agi_faults_arg(&f, opt_fault, a.rows, &a.faults)) return f.rc;
    return agi_front_run(&f, &a, sizeof a, (double)(a.rows * vocab) * 2);
}
