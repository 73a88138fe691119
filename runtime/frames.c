/*
 * frames.c: __register_frame and __deregister_frame, which LuaJIT calls for each piece of machine
 * code it makes, so that errors can pass through it. libgcc's ask for memory and do not look
 * whether they got it; these, which come before them because they are the executable's, have it.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* An `object` of libgcc, of at most 7 words. LuaJIT makes pieces of 64 KB, and 2 MB in all. */
enum { PIECES = 128, OBJECT = 64 };

void __register_frame_info(const void *begin, void *object);
void *__deregister_frame_info(const void *begin);

#pragma GCC visibility push(default)
void __register_frame(void *begin);
void __deregister_frame(void *begin);
#pragma GCC visibility pop

static _Alignas(64) char objects[PIECES][OBJECT];
static atomic_bool taken[PIECES];

static bool is_empty(const void *begin) { return *(const uint32_t *)begin == 0; }

void __register_frame(void *begin)
{
    if (is_empty(begin)) return;
    for (int i = 0; i < PIECES; i++) {
        if (atomic_exchange(&taken[i], true)) continue;
        __register_frame_info(begin, objects[i]);
        return;
    }
    void *object = malloc(OBJECT);
    if (object) __register_frame_info(begin, object);
}

void __deregister_frame(void *begin)
{
    if (is_empty(begin)) return;
    char *object = __deregister_frame_info(begin);
    if (object < objects[0] || object >= objects[0] + sizeof objects) free(object);
    else atomic_store(&taken[(object - objects[0]) / OBJECT], false);
}
