/* plan.h: plans from the inside, and the door through which every validated op goes. */
#ifndef ARGENT_PLAN_H
#define ARGENT_PLAN_H

#include "backend.h"

/* A plan keeps references to the buffers its ops touch; `impl` belongs to the backend. */
struct ag_plan {
    ag_backend *be;
    int size, barriers;
    agi_buffer **buffers;
    int n_buffers, cap_buffers;
    void *impl;
};

/* Runs a validated call, or adds it to the plan that is being captured. */
int agi_dispatch(ag_backend *be, const agi_call *call);

#endif
