/* reserve.h: memory that the `argent` executable keeps for Lua. */
#ifndef ARGENT_RESERVE_H
#define ARGENT_RESERVE_H

#include <lua.h>

/* From here on a request of L that the system refuses is served from the reserve, if that is large
 * enough, and L's next interpreted line collects garbage and fills it again, or raises 'not enough
 * memory'. */
void reserve_start(lua_State *L);

/* L is about to be closed, by the allocator that it was made with. */
void reserve_finish(lua_State *L);

#endif
