/* error.c: messages of failing calls, one per thread, and the interrupt flag that Ctrl-C sets. */
#include "argent.h"
#include "error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

int agi_system_code(int error) { return error == ENOMEM ? AG_ENOMEM : AG_EIO; }

const char *ag_last_error(void) { return message; }

void ag_interrupt(int on) { atomic_store_explicit(&interrupted, on, memory_order_relaxed); }

int ag_interrupted(void) { return atomic_load_explicit(&interrupted, memory_order_relaxed); }

int ag_abi(void) { return AG_ABI; }

const char *ag_version(void) { return AGI_VERSION; }

const char *ag_build(void) { return AGI_BUILD; }

/* Whether a file is there of which an error says that it was not found: who asks by opening it
 * needs memory for that. Its path stands between `before` and `after`. */
static int is_there(const char *error, const char *before, const char *after)
{
    char path[4096];
    for (const char *p = error; (p = strstr(p, before)) != NULL;) {
        p += strlen(before);
        size_t n = strcspn(p, after);
        if (n >= sizeof path) continue;
        memcpy(path, p, n);
        path[n] = '\0';
        if (access(path, R_OK) == 0) return 1;
    }
    return 0;
}

int ag_out_of_memory(const char *error)
{
    static const char *const texts[] = {
        "not enough memory", "out of memory", "annot allocate memory",
        /* What the loader says without the system's word for it. */
        "cannot create shared object descriptor", "cannot create scope list",
        "cannot create search path array", "cannot create cache for search path",
        "cannot allocate name record", "cannot allocate dependency",
        "cannot allocate symbol search"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (strstr(error, texts[i])) return 1;
    if (strstr(error, "cannot open shared object file") && is_there(error, "\n\t", ":")) return 1;
    return is_there(error, "no file '", "'"); /* Lua's `require` lists what it has tried */
}
