/* backend.c: what all backends share. */
#include "backend.h"
#include "error.h"

const char *const agi_op_names[AGI_OPS] = {
#define AG_OP(name, ...) #name,
#include "ops.def"
#undef AG_OP
};

const char *ag_backend_isa(const ag_backend *be) { return be->isa; }

int ag_backend_threads(const ag_backend *be) { return be->threads; }

int ag_backend_packed(const ag_backend *be) { return be->slots->packed; }

void ag_backend_retain(ag_backend *be) { be->refs++; }

void ag_backend_free(ag_backend *be)
{
    if (be && --be->refs == 0) be->slots->destroy(be);
}

const char *ag_backend_kind(const ag_backend *be) { return be->kind; }

double ag_backend_live_bytes(const ag_backend *be) { return (double)be->live; }

int ag_backend_sync(ag_backend *be) { return be->slots->sync(be); }

int ag_backend_pin(ag_backend *be)
{
    if (!be->slots->pin) return agi_fail(AG_EUNSUPPORTED, "pin: not on backend '%s'", be->kind);
    return be->slots->pin(be);
}

int ag_peak_run(ag_backend *be, int i, int64_t rounds, double *done)
{
    if (!be->slots->peak) return agi_fail(AG_EUNSUPPORTED, "peak: not on backend '%s'", be->kind);
    return be->slots->peak(be, i, rounds, done);
}
