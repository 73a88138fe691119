/*
 * reserve.c: what is done where the system refuses memory to LuaJIT. Where compiled code asks for
 * it, LuaJIT crashes instead of raising an error (it takes the place of the error from a stack that
 * compiled code keeps elsewhere); so such a request is served from memory that is kept, and the
 * error, if there is to be one, is raised where Lua is interpreted.
 */
#include "reserve.h"

#include <stddef.h>

#include <lauxlib.h>

enum { BYTES = 96 << 10 }; /* LuaJIT's allocator gives back pieces of 128 KB and more at once */

static struct {
    lua_Alloc allocate; /* LuaJIT's own, and its state */
    void *state;
    lua_State *L;
    void *kept;
    lua_Hook hook; /* that was there before ours, */
    int mask, count;
} reserve;

static void *keep(void) { return reserve.allocate(reserve.state, NULL, 0, BYTES); }

static void fill(lua_State *L, lua_Debug *place)
{
    (void)place;
    lua_sethook(L, reserve.hook, reserve.mask, reserve.count);
    lua_gc(L, LUA_GCCOLLECT, 0);
    reserve.kept = keep();
    if (!reserve.kept) luaL_error(L, "not enough memory");
}

static void *allocate(void *unused, void *p, size_t old, size_t n)
{
    (void)unused;
    void *got = reserve.allocate(reserve.state, p, old, n);
    if (got || n == 0 || !reserve.kept) return got;
    reserve.allocate(reserve.state, reserve.kept, BYTES, 0);
    reserve.kept = NULL;
    reserve.hook = lua_gethook(reserve.L);
    reserve.mask = lua_gethookmask(reserve.L);
    reserve.count = lua_gethookcount(reserve.L);
    lua_sethook(reserve.L, fill, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
    return reserve.allocate(reserve.state, p, old, n);
}

void reserve_start(lua_State *L)
{
    reserve.allocate = lua_getallocf(L, &reserve.state);
    reserve.L = L;
    reserve.kept = keep();
    lua_setallocf(L, allocate, NULL);
}

void reserve_finish(lua_State *L)
{
    reserve.kept = NULL; /* which closing frees */
    lua_setallocf(L, reserve.allocate, reserve.state);
}
