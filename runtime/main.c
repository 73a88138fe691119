/*
 * main.c: the `argent` executable: a LuaJIT state, the search path, and argent.cli. What a
 * verb does is Lua; this file only starts it and turns what is left over into an exit code.
 */
#include "argent.h"
#include "reserve.h"
#include "signals.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>
#include <luajit.h>
#include <lualib.h>

enum { EXIT_INTERNAL = 1, EXIT_NO_MEMORY = 5, EXIT_IO = 6, EXIT_INTERRUPTED = 130 };

/* A standard stream that comes closed gives its number to the next file that is opened, and notes
 * for standard error would land inside a sound. So the null device takes the number, opened the
 * other way round where bytes matter: then reading standard input or writing standard output fails
 * as it does on a closed one. */
static int fill_standard_streams(void)
{
    static const int modes[] = {O_WRONLY, O_RDONLY, O_WRONLY};
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", modes[fd]) != fd) return -1;
    return 0;
}

/* Where in the registry the names are kept that are there before a script runs. */
static const char GLOBALS[] = "argent.globals", MODULES[] = "argent.modules";

/* Where the Lua files are: in $ARGENT_HOME, beside the build folder, or where the installation has
 * put them (AGI_LUA, from the executable's folder). The path must not move with the working
 * directory, so it starts from the executable. Empty: where LuaJIT looks by itself. */
static int lua_root(char *out, size_t size)
{
    char exe[PATH_MAX], probe[PATH_MAX + 64];
    const char *home = getenv("ARGENT_HOME");
    if (home && *home) return snprintf(out, size, "%s/lua", home) < (int)size ? 0 : -1;
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (n < 0) return -1;
    exe[n] = '\0';
    char *slash = strrchr(exe, '/');
    if (slash) *slash = '\0';
    static const char *const places[] = {"../lua", AGI_LUA};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        const char *from = *places[i] == '/' ? "" : exe, *then = *from ? "/" : "";
        snprintf(probe, sizeof probe, "%s%s%s/argent/init.lua", from, then, places[i]);
        if (access(probe, R_OK) == 0)
            return snprintf(out, size, "%s%s%s", from, then, places[i]) < (int)size ? 0 : -1;
    }
    *out = '\0';
    return 0;
}

/* An ARGENT_HOME that is somewhere else would end in a missing module. */
static int home_is_wrong(void)
{
    char probe[PATH_MAX + 64];
    const char *home = getenv("ARGENT_HOME");
    if (!home || !*home) return 0;
    int n = snprintf(probe, sizeof probe, "%s/lua/argent/init.lua", home);
    return n >= (int)sizeof probe || access(probe, R_OK) != 0;
}

/* Keeps the names that the table on top of the stack has now, as the keys of registry[key]. */
static void note_names(lua_State *L, const char *key)
{
    lua_newtable(L);
    lua_pushnil(L);
    while (lua_next(L, -3)) {
        lua_pop(L, 1);
        lua_pushvalue(L, -1);
        lua_pushboolean(L, 1);
        lua_rawset(L, -4);
    }
    lua_setfield(L, LUA_REGISTRYINDEX, key);
    lua_pop(L, 1);
}

/* Takes the other names out of it. */
static void forget_names(lua_State *L, const char *key)
{
    lua_getfield(L, LUA_REGISTRYINDEX, key);
    lua_pushnil(L);
    while (lua_istable(L, -2) && lua_next(L, -3)) {
        lua_pop(L, 1);
        lua_pushvalue(L, -1);
        lua_rawget(L, -3);
        bool ours = lua_toboolean(L, -1);
        lua_pop(L, 1);
        if (ours) continue;
        lua_pushvalue(L, -1);
        lua_pushnil(L);
        lua_rawset(L, -5);
    }
    lua_settop(L, -3);
}

static int collect(lua_State *L)
{
    lua_gc(L, LUA_GCCOLLECT, 0);
    return 0;
}

/* When a state closes, tensors go before userdata, whose finalizers may still want them. So what
 * scripts have made is let go of and collected first, in the order in which it is used. */
static void forget_scripts(lua_State *L)
{
    lua_settop(L, 0);
    lua_pushvalue(L, LUA_GLOBALSINDEX);
    forget_names(L, GLOBALS);
    lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
    if (lua_istable(L, -1)) forget_names(L, MODULES);
    lua_settop(L, 0);
    for (int i = 0; i < 2; i++) { /* an error in a finalizer ends a collection, and no more */
        lua_cpcall(L, collect, NULL);
        lua_settop(L, 0);
    }
}

/* Whether an error has no text because memory was refused: LuaJIT may lose the text of an error
 * that passes through compiled code. */
static bool lost_for_memory;

static int traceback(lua_State *L)
{
    if (!lua_isstring(L, 1)) {
        lost_for_memory = errno == ENOMEM;
        luaL_callmeta(L, 1, "__tostring");
        return 1;
    }
    if (getenv("ARGENT_TRACE")) luaL_traceback(L, L, lua_tostring(L, 1), 1);
    return 1;
}

/* Whether the system lets a process make machine code; where a policy forbids it, as systemd's
 * MemoryDenyWriteExecute does, LuaJIT would end the process at its first compiled loop. */
static bool may_make_code(void)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *p = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return true;
    bool may = mprotect(p, page, PROT_READ | PROT_EXEC) == 0 || errno == ENOMEM;
    munmap(p, page);
    return may;
}

/* os.exit: the code as the shell sees it, so that -1 is left to those who end without memory. */
static int os_exit(lua_State *L)
{
    if (lua_isnumber(L, 1)) {
        lua_pushinteger(L, lua_tointeger(L, 1) & 0xff);
        lua_replace(L, 1);
    }
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, 0);
    return 0;
}

static void open_libraries(lua_State *L)
{
    lua_gc(L, LUA_GCSTOP, 0);
    luaL_openlibs(L);
    lua_gc(L, LUA_GCRESTART, 0);
    if (!may_make_code()) luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
    lua_getglobal(L, "os");
    lua_getfield(L, -1, "exit");
    lua_pushcclosure(L, os_exit, 1);
    lua_setfield(L, -2, "exit");
    lua_pop(L, 1);
}

/* Runs argent.cli.main(argv) in protected mode; its result is the exit code. */
static int run(lua_State *L)
{
    char **argv = lua_touserdata(L, 1);
    char root[PATH_MAX];
    open_libraries(L);
    if (lua_root(root, sizeof root) != 0)
        return luaL_error(L, "the path of the executable is too long");
    if (*root) {
        lua_getglobal(L, "package");
        lua_getfield(L, -1, "path");
        lua_pushfstring(L, "%s/?.lua;%s/?/init.lua;%s", root, root, lua_tostring(L, -1));
        lua_setfield(L, -3, "path");
        lua_settop(L, 1);
    }

    lua_getglobal(L, "require");
    lua_pushliteral(L, "argent.cli");
    lua_call(L, 1, 1);
    lua_pushvalue(L, LUA_GLOBALSINDEX);
    note_names(L, GLOBALS);
    lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
    note_names(L, MODULES);
    lua_getfield(L, -1, "main");
    lua_newtable(L);
    for (int i = 0; argv[i]; i++) {
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, i);
    }
    lua_call(L, 1, 1);
    return 1;
}

/* One line, whatever the message holds: a missing module's runs over many. All of it on demand. */
static void report(const char *message)
{
    size_t n = getenv("ARGENT_TRACE") ? strlen(message) : strcspn(message, "\n");
    fprintf(stderr, "argent: %.*s\n", (int)n, message);
}

/* LuaJIT calls this, and then exit, where it cannot go on: when the system has no memory to make a
 * page of machine code writable or executable. */
static int panic(lua_State *L)
{
    const bool memory = errno == ENOMEM;
    const char *message = lua_tostring(L, -1);
    report(memory ? "out of memory" : message ? message : "LuaJIT cannot go on");
    exit(memory ? EXIT_NO_MEMORY : EXIT_INTERNAL);
}

/* Runs at any exit(), also one that a script or a library calls in the middle of something.
 * lua-cjson calls exit(-1) where it has no memory, which nobody else does. */
static void leave(int status, void *unused)
{
    (void)unused;
    ag_partial_drop_all();
    if (status != -1) return;
    report("out of memory");
    _exit(EXIT_NO_MEMORY);
}

static int finish(lua_State *L, int status)
{
    if (status == 0) return (int)lua_tointeger(L, -1);
    const char *message = lua_tostring(L, -1);
    if (status == LUA_ERRMEM || (message ? ag_out_of_memory(message) : lost_for_memory)) {
        report("out of memory");
        return EXIT_NO_MEMORY;
    }
    if (ag_interrupted()) {
        report("interrupted");
        return EXIT_INTERRUPTED;
    }
    report(message ? message : "an error that is not a string");
    return EXIT_INTERNAL;
}

/* Scripts print without looking; what did not reach standard output must not pass for done. Verbs
 * that noticed have said so already and come here with their exit code. */
static int flush_output(int code)
{
    int lost = fflush(stdout) != 0;
    if (code != 0 || !(lost || ferror(stdout))) return code;
    report("standard output could not be written");
    return EXIT_IO;
}

int main(int argc, char **argv)
{
    (void)argc;
    if (fill_standard_streams() != 0) return EXIT_IO;
    signal(SIGPIPE, SIG_IGN);
    if (home_is_wrong()) {
        report("ARGENT_HOME is set to a folder without lua/argent; unset it, or name the one that "
               "holds Argent's lua/");
        return EXIT_INTERNAL;
    }
    lua_State *L = luaL_newstate();
    if (!L) {
        report("out of memory");
        return EXIT_NO_MEMORY;
    }
    lua_atpanic(L, panic);
    on_exit(leave, NULL);
    reserve_start(L);
    signals_start(L);
    lua_pushcfunction(L, traceback);
    lua_pushcfunction(L, run);
    lua_pushlightuserdata(L, argv);
    int code = finish(L, lua_pcall(L, 1, 1, 1));
    code = signals_finish(code);
    forget_scripts(L);
    reserve_finish(L);
    lua_close(L);
    return flush_output(code);
}
