/*
 * file_fuzz.c: a libFuzzer target for files of tensors, safetensors and GGUF. A file of the
 * fuzzer's bytes is opened; where that succeeds, all of it is looked at, every tensor is made in
 * every dtype, and what can be is saved as safetensors and must open again. scripts/fuzz builds and
 * runs it.
 */
#include "argent.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void require(int holds, const char *what)
{
    if (holds) return;
    fprintf(stderr, "%s: %s\n", what, ag_last_error());
    abort();
}

static void require_message(int rc)
{
    const char *m = ag_last_error();
    require(rc == AG_EFORMAT && *m && !strchr(m, '\n'), "not a fault of the format, on one line");
}

/* A file without a name, so that no disk is worn. Bytes that begin with '{' get a length in front
 * that ends the header at the last '}'; others are the whole file. Few mutations would keep the
 * length right by themselves. */
static int memory_file(const uint8_t *data, size_t n, char path[64])
{
    int fd = memfd_create("fuzz", 0);
    if (n > 0 && data[0] == '{') {
        uint64_t length = n;
        while (length > 1 && data[length - 1] != '}') length--;
        if (write(fd, &length, 8) != 8) abort();
    }
    if (fd < 0 || write(fd, data, n) != (ssize_t)n) abort();
    snprintf(path, 64, "/proc/self/fd/%d", fd);
    return fd;
}

/* Reads every byte of a tensor, which the sanitizer watches. */
static void read_all(const ag_tensor *t)
{
    const int dtype = ag_tensor_dtype(t);
    int64_t shape[AG_MAX_DIMS], bytes = dtype == AG_F32 || dtype == AG_I32 ? 4
                                        : dtype == AG_I8 || dtype == AG_U8 ? 1
                                                                           : 2;
    ag_tensor_shape(t, shape);
    for (int d = 0; d < ag_tensor_ndim(t); d++) bytes *= shape[d];
    void *host = malloc((size_t)bytes + 1);
    require(host && ag_tensor_read(t, host, bytes) == AG_OK, "read");
    require(ag_tensor_count_nonfinite(t) >= 0, "count_nonfinite");
    free(host);
}

/* Saves the tensors of f, in the order of their names, and opens the result. */
static void save_again(ag_file *f, ag_backend *be)
{
    const char *names[64], *keys[1] = {"k"}, *values[1] = {"\x01\"\\v"};
    ag_tensor *tensors[64];
    int n = 0;
    char path[64];
    for (int i = 0; i < ag_file_count(f) && n < 64; i++) {
        ag_tensor *t;
        if (ag_file_tensor(&t, f, i, be, -1) != AG_OK) continue;
        require(ag_file_count_nonfinite(f, i) == ag_tensor_count_nonfinite(t), "scan");
        int at = n++;
        for (; at > 0 && strcmp(names[at - 1], ag_file_name(f, i)) > 0; at--) {
            names[at] = names[at - 1];
            tensors[at] = tensors[at - 1];
        }
        names[at] = ag_file_name(f, i);
        tensors[at] = t;
    }
    snprintf(path, sizeof path, "/dev/shm/file_fuzz.%d", (int)getpid());
    require(ag_file_save(path, n, names, tensors, 1, keys, values) == AG_OK, "save");
    ag_file *again;
    require(ag_file_open(&again, path) == AG_OK, "reopen");
    unlink(path);
    require(ag_file_count(again) == n, "count after saving");
    for (int i = 0; i < n; i++) {
        int at = ag_file_find(again, names[i]);
        require(at >= 0, "find after saving");
        require(ag_file_ndim(again, at) == ag_tensor_ndim(tensors[i]), "rank after saving");
        ag_tensor_free(tensors[i]);
    }
    double bytes;
    require(ag_file_metadata_count(again) == 1 &&
                !strcmp(ag_file_metadata_text(again, 0, 0, &bytes), values[0]),
            "metadata after saving");
    ag_file_free(again);
}

/* Every value of metadata entry i can be read, and no text is longer than the file. */
static void require_metadata(const ag_file *f, int i, double n)
{
    double bytes, length = ag_file_metadata_length(f, i), sum = 0;
    require((double)strlen(ag_file_metadata_key(f, i)) < n, "key");
    for (double j = 0; j < (length < 0 ? 1 : length); j++) {
        const char *p = ag_file_metadata_text(f, i, j, &bytes);
        require(bytes < n && !p == (ag_file_metadata_kind(f, i) != 't'), "text");
        for (int64_t c = 0; p && c < (int64_t)bytes; c++) sum += p[c];
        sum += ag_file_metadata_number(f, i, j);
    }
    static volatile double seen; /* so that the reads are made */
    seen = sum;
    (void)seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static ag_backend *be;
    if (!be) require(ag_backend_new(&be, "cpu", 1, "plain", 0) == AG_OK, "backend");
    char path[64];
    int fd = memory_file(data, n, path);
    ag_file *f;
    int rc = ag_file_open(&f, path);
    close(fd);
    if (rc) {
        require(f == NULL, "a file after a failure");
        require_message(rc);
        return 0;
    }
    for (int i = 0; i < ag_file_metadata_count(f); i++) require_metadata(f, i, (double)n);
    for (int i = 0; i < ag_file_count(f); i++) {
        require(ag_file_find(f, ag_file_name(f, i)) == i, "find");
        require(ag_file_bytes(f, i) <= (double)n, "bytes");
        for (int dtype = -1; dtype < AG_DTYPES; dtype++) {
            ag_tensor *t;
            rc = ag_file_tensor(&t, f, i, be, dtype);
            if (rc) {
                require_message(rc);
                continue;
            }
            read_all(t);
            ag_tensor_free(t);
        }
    }
    save_again(f, be);
    ag_file_free(f);
    require(ag_backend_live_bytes(be) == 0, "memory left");
    return 0;
}
