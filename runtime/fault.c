/* fault.c: see fault.h. */
#include "fault.h"
#include "argent.h"
#include "dtype.h"
#include "error.h"

#include <math.h>

static const struct {
    int code;
    const char *text, *name;
} faults[] = {
#define AGI_FAULT(name, code, text) [AGI_FAULT_##name] = {code, text, #name},
#include "fault.def"
#undef AGI_FAULT
};

int agi_fault_fail(int what, int64_t a, int64_t b, int64_t c, int64_t d)
{
    static const char *const settings[] = {"temperature", "top-k", "top-p", "repetition penalty",
                                           "min-p"};
    const int code = faults[what].code;
    const char *text = faults[what].text;
    if (what == AGI_FAULT_SETTING) {
        const float value = agi_f32_from_bits((uint32_t)c);
        return agi_fail(code, text, settings[b], (long long)a,
                        isnan(value) ? (double)NAN : (double)value); /* never "-nan" */
    }
    return agi_fail(code, text, (long long)a, (long long)b, (long long)c, (long long)d);
}

const char *ag_fault_name(int word)
{
    return word > 0 && word < (int)(sizeof faults / sizeof *faults) ? faults[word].name : NULL;
}
