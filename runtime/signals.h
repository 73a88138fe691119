/* signals.h: what the `argent` executable does about signals. */
#ifndef ARGENT_SIGNALS_H
#define ARGENT_SIGNALS_H

#include <lua.h>

/* From here on Ctrl-C, SIGTERM and SIGHUP stop what L runs, and SIGBUS ends the process with the
 * name of the file that was cut short. */
void signals_start(lua_State *L);

/* L is about to be closed: from here on SIGTERM and SIGHUP end the process at once. Gives the exit
 * code of a process that a signal has ended, 128 + its number, and `code` for others. */
int signals_finish(int code);

#endif
