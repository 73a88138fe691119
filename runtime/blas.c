/* blas.c: see blas.h. */
#include "blas.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

/* A function of the library: dlsym gives it as an object pointer, which C would not convert. */
static int find(void *library, const char *name, void *function, size_t size)
{
    void *p = dlsym(library, name);
    memcpy(function, &p, size);
    return p != NULL;
}

const struct agi_blas *agi_blas_open(void)
{
    static struct agi_blas blas;
    void (*set_threads)(int);
    int (*parallel)(void);
    char *(*config)(void);
    const char *path = getenv("ARGENT_BLAS");
    if (path && !strcmp(path, "off")) return NULL;
    void *library = dlopen(path && *path ? path : "libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
    if (!library) return NULL;
    /* One that was built without threads need not stand calls side by side. */
    if (!find(library, "cblas_sgemm", &blas.sgemm, sizeof blas.sgemm) ||
        !find(library, "openblas_set_num_threads", &set_threads, sizeof set_threads) ||
        !find(library, "openblas_get_parallel", &parallel, sizeof parallel) ||
        !find(library, "openblas_get_config", &config, sizeof config) || parallel() == 0) {
        dlclose(library);
        return NULL;
    }
    set_threads(1);
    blas.name = config();
    return &blas; /* it stays open: its functions are in plans */
}
