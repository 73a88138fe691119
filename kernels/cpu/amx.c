/* amx.c: see amx.h. Tiles are 8 KB of state for each thread, which Linux gives to processes that
 * ask for it. Threads that are there already may use them, too. */
#include "amx.h"

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { REQ_XCOMP_PERM = 0x1023, XTILEDATA = 18 }; /* arch_prctl's, since Linux 5.16 */
enum { AMX_BF16 = 1 << 22, AMX_TILE = 1 << 24, AMX_INT8 = 1 << 25 }; /* CPUID leaf 7, edx */

static bool allowed;

static void ask(void)
{
    const unsigned need = AMX_BF16 | AMX_TILE | AMX_INT8;
    unsigned a, b, c, d;
    allowed = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & need) == need &&
              syscall(SYS_arch_prctl, REQ_XCOMP_PERM, XTILEDATA) == 0;
}

bool agi_amx_allowed(void)
{
    static pthread_once_t asked = PTHREAD_ONCE_INIT;
    pthread_once(&asked, ask);
    return allowed;
}
#else
bool agi_amx_allowed(void) { return false; }
#endif
