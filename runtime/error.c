/* error.c: messages of failing calls, one per thread, and the interrupt flag that Ctrl-C sets. */
#include "argent.h"
#include "error.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>

static _Thread_local char message[AGI_MESSAGE];
static volatile sig_atomic_t interrupted;

int agi_fail(int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    return code;
}

const char *ag_last_error(void) { return message; }

void ag_interrupt(int on) { interrupted = on != 0; }

int ag_interrupted(void) { return interrupted; }

const char *ag_version(void) { return AGI_VERSION; }
