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

/* The library of a device, which stays open: beside this one, or wherever the system looks. */
static int open_device(ag_backend **out, const char *kind, const char *file, int number)
{
    char path[PATH_MAX];
    Dl_info self;
    const char *slash = NULL;
    if (dladdr((void *)&agi_op_names, &self) && self.dli_fname)
        slash = strrchr(self.dli_fname, '/');
    int dir = slash ? (int)(slash - self.dli_fname) + 1 : 0;
    snprintf(path, sizeof path, "%.*s%s", dir, slash ? self.dli_fname : "", file);
    bool there = access(path, R_OK) == 0;
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
    const agi_device_host host = {AGI_DEVICE_ABI, AGI_OPS, agi_fail, agi_fault_fail};
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
