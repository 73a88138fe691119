/* error.c: messages of failing calls, one per thread, and the interrupt flag that Ctrl-C sets. */
#include "argent.h"
#include "error.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

static _Thread_local char message[AGI_MESSAGE];
static atomic_int interrupted; /* set by signal handlers, read by every worker */

int agi_fail(int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    return code;
}

const char *ag_last_error(void) { return message; }

void ag_interrupt(int on) { atomic_store_explicit(&interrupted, on, memory_order_relaxed); }

int ag_interrupted(void) { return atomic_load_explicit(&interrupted, memory_order_relaxed); }

const char *ag_version(void) { return AGI_VERSION; }
