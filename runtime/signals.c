/*
 * signals.c: see signals.h. A handler only sets flags that ops, plans and Lua look at: the script
 * ends by an error, and what it holds is cleaned up on the way. Partial files go also where there
 * is no such way: at a second signal, at SIGBUS, and where a library crashes.
 */
#include "signals.h"
#include "argent.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_IO = 6, EXIT_INTERRUPTED = 130 };

static lua_State *volatile running;
static volatile sig_atomic_t ended_by; /* SIGTERM, SIGHUP */

static void interrupt_hook(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    lua_sethook(L, NULL, 0, 0);
    lua_pushliteral(L, "interrupted");
    lua_error(L);
}

static void stop_lua(void)
{
    if (running)
        lua_sethook(running, interrupt_hook, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
}

static void end_at_once(int signal_number)
{
    ag_partial_drop_all();
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

/* The first Ctrl-C asks ops and plans to stop, and interpreted Lua too; a later one ends the
 * process, unless the script has dealt with the first (ag_interrupt(0)), as a prompt does. Compiled
 * Lua loops see no hooks: those of scripts are not compiled (lua/argent/interpreted.lua), those
 * of the library look at the flag. Signals close together are one Ctrl-C: timeout(1) and other
 * wrappers pass it on to who has had it already. */
static void on_interrupt(int signal_number)
{
    static double first;
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    double now = (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
    if (!ag_interrupted() && now - first >= 0.1) first = 0; /* the last one has been dealt with */
    if (first > 0) {
        if (now - first >= 0.1) end_at_once(signal_number);
        return;
    }
    first = now;
    ag_interrupt(1);
    stop_lua();
}

static void on_alarm(int signal_number) { (void)signal_number; }

/* Like Ctrl-C, but the prompt ends too. Libraries may go on waiting for input when a signal
 * interrupts them once, so it does so again and again. */
static void on_end(int signal_number)
{
    if (ended_by || !running) {
        end_at_once(signal_number);
        return;
    }
    ended_by = signal_number;
    ag_interrupt(2);
    stop_lua();
    struct sigaction action = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval every = {.it_interval = {.tv_usec = 20000}, .it_value = {.tv_usec = 20000}};
    setitimer(ITIMER_REAL, &every, NULL);
}

static void say(const char *text)
{
    if (write(2, text, strlen(text)) < 0) return; /* nobody is left to tell */
}

/* On whichever thread touched the page. Only calls that a handler may make. */
static void on_bus_error(int signal_number, siginfo_t *info, void *context)
{
    (void)context;
    const char *path = ag_mapped_path(info->si_addr);
    if (!path) {
        end_at_once(signal_number);
        return;
    }
    ag_partial_drop_all();
    say("argent: ");
    say(path);
    say(": cut short while it was in use, or its disk failed; fetch it again\n");
    _exit(EXIT_IO);
}

/* A crash is as it would be without this handler (what was there before, a sanitizer's or none, has
 * it next), but that no partial file stays. */
static const int crashes[] = {SIGSEGV, SIGFPE, SIGILL, SIGABRT};
enum { CRASHES = sizeof crashes / sizeof *crashes };
static struct sigaction before_crash[CRASHES];

static void on_crash(int signal_number, siginfo_t *info, void *context)
{
    (void)context;
    ag_partial_drop_all();
    for (int i = 0; i < CRASHES; i++) sigaction(crashes[i], &before_crash[i], NULL);
    if (info->si_code <= 0) raise(signal_number); /* sent; others come again by themselves */
}

void signals_start(lua_State *L)
{
    running = L;
    struct sigaction action = {.sa_handler = on_interrupt}, before;
    sigaction(SIGINT, &action, NULL);
    action.sa_handler = on_end;
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, &before);
    if (before.sa_handler == SIG_IGN) sigaction(SIGHUP, &before, NULL); /* nohup(1) */
    struct sigaction bus = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};
    sigaction(SIGBUS, &bus, NULL);
    struct sigaction crash = {.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO};
    for (int i = 0; i < CRASHES; i++) sigaction(crashes[i], &crash, &before_crash[i]);
}

int signals_finish(int code)
{
    running = NULL;
    if (ended_by) setitimer(ITIMER_REAL, &(struct itimerval){.it_value = {0}}, NULL);
    return ended_by && code == EXIT_INTERRUPTED ? 128 + ended_by : code;
}
