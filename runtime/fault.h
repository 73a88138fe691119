/* fault.h: faults of the data (fault.def), as kernels report them and as they become messages. */
#ifndef ARGENT_FAULT_H
#define ARGENT_FAULT_H

#include <stdint.h>

enum agi_fault_kind {
    AGI_NO_FAULT,
#define AGI_FAULT(name, code, text) AGI_FAULT_##name,
#include "fault.def"
#undef AGI_FAULT
};

/* What a GPU's kernels leave for the host. */
typedef struct {
    int32_t what; /* enum agi_fault_kind */
    int64_t a, b, c, d;
} agi_fault;

/* Leaves the fault's message and returns its code. */
int agi_fault_fail(int what, int64_t a, int64_t b, int64_t c, int64_t d);

#endif
