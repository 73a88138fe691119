/* backends.c: which backends there are, and how each is opened. */
#include "backend_cpu.h"
#include "device/device.h"
#include "error.h"
#include "fault.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Where the library of a device is: beside this one, as in a build folder, or in argent/ there, as
 * in an installation. */
static bool find_beside(char *path, size_t size, const char *file)
{
    static const char *const folders[] = {"", "argent/"};
    Dl_info self;
    const char *slash = NULL;
    if (dladdr((void *)&agi_op_names, &self) && self.dli_fname)
        slash = strrchr(self.dli_fname, '/');
    int dir = slash ? (int)(slash - self.dli_fname) + 1 : 0;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        int n =
            snprintf(path, size, "%.*s%s%s", dir, slash ? self.dli_fname : "", folders[i], file);
        if (n < (int)size && access(path, R_OK) == 0) return true;
    }
    return false;
}

/* Opens the library of a device, which stays open, and the device by its number. */
static int open_device(ag_backend **out, const char *kind, const char *file, int number)
{
    char path[PATH_MAX];
    bool there = find_beside(path, sizeof path, file);
    void *so = dlopen(there ? path : file, RTLD_NOW | RTLD_LOCAL);
    if (!so && !there)
        return agi_fail(AG_EUNSUPPORTED,
                        "backend '%s': this build has no CUDA half (no %s); it is built where nvcc "
                        "is found",
                        kind, file);
    if (!so)
        return agi_fail(AG_EUNSUPPORTED, "backend '%s': %s does not open: %s", kind, file,
                        dlerror());
    agi_device_open_fn *open = NULL;
    *(void **)&open = dlsym(so, "agi_device_open");
    if (!open) return agi_fail(AG_EUNSUPPORTED, "backend '%s': %s is not Argent's", kind, file);
    const agi_device_host host = {AG_ABI, AGI_OPS, agi_fail, agi_fault_fail};
    return open(out, &host, number);
}

int ag_backend_new(ag_backend **out, const char *kind, int threads, const char *isa, int device)
{
    *out = NULL;
    if (device < 0) return agi_fail(AG_EINVAL, "backend: device %d", device);
    if (kind && !strcmp(kind, "cpu")) {
        if (device) return agi_fail(AG_EINVAL, "backend 'cpu': it is one device, 0");
        return agi_backend_cpu_new(out, threads, isa);
    }
    if (kind && !strcmp(kind, "cuda")) return open_device(out, kind, "libargent_cuda.so", device);
    if (kind && !strcmp(kind, "cuda-emulated"))
        return open_device(out, kind, "libargent_emulated.so", device);
    return agi_fail(AG_EUNSUPPORTED, "backend '%s': known are cpu and cuda", kind ? kind : "");
}
