/*
 * safetensors_save.c: writes safetensors files, whole or not at all. What it writes, file.c reads:
 * the same rules for names, 8-byte aligned data, tensors in the order given without gaps.
 */
#include "file.h"
#include "error.h"
#include "partial.h"
#include "tensor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- what may be saved ---- */

static bool is_utf8(const char *s)
{
    const char *end = s + strlen(s);
    for (int n; s < end; s += n)
        if (!(n = agi_utf8_length(s, end))) return false;
    return true;
}

static int check_tensors(const char *path, int n, const char *const *names,
                         ag_tensor *const *tensors)
{
    for (int i = 0; i < n; i++) {
        const char *name = names[i], *fault = NULL;
        if (!name) return agi_file_fail(AG_EINVAL, path, NULL, "a tensor without a name");
        if (!*name || strlen(name) > AGI_LONGEST_NAME) fault = "a name must have 1 to 1024 bytes";
        else if (!is_utf8(name)) fault = "the name is not UTF-8";
        else if (!strcmp(name, "__metadata__")) fault = "not a name for a tensor";
        else if (i > 0 && strcmp(names[i - 1], name) >= 0)
            fault = "the names are not sorted, or one is there twice";
        else if (!tensors[i] || !tensors[i]->buf) fault = "the tensor has been released";
        else if (!ag_tensor_contiguous(tensors[i])) fault = "the tensor is not contiguous";
        if (fault) return agi_file_fail(AG_EINVAL, path, name, "%s", fault);
    }
    return AG_OK;
}

static int check_metadata(const char *path, int n, const char *const *keys,
                          const char *const *values)
{
    for (int i = 0; i < n; i++) {
        if (!keys[i] || !values[i] || !is_utf8(keys[i]) || !is_utf8(values[i]))
            return agi_file_fail(AG_EINVAL, path, NULL, "metadata that are not UTF-8");
        if (i > 0 && strcmp(keys[i - 1], keys[i]) >= 0)
            return agi_file_fail(AG_EINVAL, path, NULL,
                                 "the metadata are not sorted, or a key is there twice");
    }
    return AG_OK;
}

/* A rename would replace a device or a pipe by a file; and nobody means that. */
static int check_target(const char *path)
{
    struct stat st;
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return agi_file_fail(AG_EIO, path, NULL, "not a regular file");
    return AG_OK;
}

/* ---- the header ---- */

static void put_json_string(FILE *o, const char *s)
{
    fputc('"', o);
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\') fprintf(o, "\\%c", c);
        else if (c < 0x20) fprintf(o, "\\u%04x", c);
        else fputc(c, o);
    }
    fputc('"', o);
}

static char *header_text(int n, const char *const *names, ag_tensor *const *tensors, int meta,
                         const char *const *keys, const char *const *values, size_t *size)
{
    char *text = NULL;
    FILE *o = open_memstream(&text, size);
    if (!o) return NULL;
    int64_t at = 0;
    fputc('{', o);
    for (int i = 0; i < meta; i++) {
        fputs(i ? "," : "\"__metadata__\":{", o);
        put_json_string(o, keys[i]);
        fputc(':', o);
        put_json_string(o, values[i]);
    }
    if (meta > 0) fputs(n ? "}," : "}", o);
    for (int i = 0; i < n; i++) {
        const ag_tensor *t = tensors[i];
        if (i) fputc(',', o);
        put_json_string(o, names[i]);
        fprintf(o, ":{\"dtype\":\"%s\",\"shape\":[", agi_dtype_file_name(t->dtype));
        for (int d = 0; d < t->ndim; d++) fprintf(o, d ? ",%lld" : "%lld", (long long)t->shape[d]);
        int64_t end = at + agi_tensor_count(t) * agi_dtype_size(t->dtype);
        fprintf(o, "],\"data_offsets\":[%lld,%lld]}", (long long)at, (long long)end);
        at = end;
    }
    fputc('}', o);
    long length = ftell(o);
    while (length++ % 8) fputc(' ', o);
    bool failed = ferror(o) != 0;
    if (fclose(o) != 0 || failed) {
        free(text);
        return NULL;
    }
    return text;
}

/* ---- the file ---- */

static int write_fault(const char *path)
{
    return agi_file_fail(agi_system_code(errno), path, NULL, "%s", strerror(errno));
}

/* By pieces, so that a large tensor is not in memory twice. */
static int put_tensor(FILE *o, ag_tensor *t, const char *path, char *piece, int64_t room)
{
    int64_t size = agi_dtype_size(t->dtype), n = agi_tensor_count(t), stride = 1;
    for (int64_t i = 0, m; i < n; i += m) {
        ag_tensor *part;
        m = n - i < room / size ? n - i : room / size;
        int rc = ag_tensor_view(&part, t, 1, &m, &stride, i);
        if (rc) return rc;
        rc = ag_tensor_read(part, piece, m * size);
        ag_tensor_free(part);
        if (rc) return rc;
        if (fwrite(piece, (size_t)size, (size_t)m, o) != (size_t)m) return write_fault(path);
    }
    return AG_OK;
}

static int put_all(FILE *o, const char *path, const char *header, size_t size, int n,
                   ag_tensor *const *tensors)
{
    enum { PIECE = 1 << 20 };
    unsigned char length[8];
    char *piece = malloc(PIECE);
    if (!piece) return agi_file_fail(AG_ENOMEM, path, NULL, "out of memory");
    for (int i = 0; i < 8; i++) length[i] = (unsigned char)((uint64_t)size >> (8 * i));
    bool ok = fwrite(length, 1, 8, o) == 8 && fwrite(header, 1, size, o) == size;
    int rc = ok ? AG_OK : write_fault(path);
    for (int i = 0; i < n && rc == AG_OK; i++) rc = put_tensor(o, tensors[i], path, piece, PIECE);
    if (rc == AG_OK && (fflush(o) != 0 || fsync(fileno(o)) != 0)) rc = write_fault(path);
    free(piece);
    return rc;
}

static int save(const char *path, const char *header, size_t size, int n, ag_tensor *const *tensors)
{
    const size_t room = agi_partial_room(path);
    char *partial = malloc(room);
    if (!partial) return agi_file_fail(AG_ENOMEM, path, NULL, "out of memory");
    int fd = ag_partial_create(path, partial, (int64_t)room);
    if (fd < 0) {
        char why[256];
        snprintf(why, sizeof why, "%s", ag_last_error());
        free(partial);
        return agi_file_fail(fd, path, NULL, "%s", why);
    }
    FILE *o = fdopen(fd, "wb");
    int rc = o ? put_all(o, path, header, size, n, tensors) : write_fault(path);
    if (rc == AG_OK && ag_partial_finish(partial, path) != AG_OK) rc = write_fault(path);
    if (rc) ag_partial_drop(partial);
    if (o) fclose(o); /* all of it is on the disk already */
    else close(fd);
    free(partial);
    return rc;
}

int ag_file_save(const char *path, int n, const char *const *names, ag_tensor *const *tensors,
                 int meta, const char *const *keys, const char *const *values)
{
    if (!path || n < 0 || meta < 0) return agi_fail(AG_EINVAL, "save: no path, or a bad count");
    int rc = check_tensors(path, n, names, tensors);
    if (rc == AG_OK) rc = check_metadata(path, meta, keys, values);
    if (rc == AG_OK) rc = check_target(path);
    if (rc) return rc;
    size_t size = 0;
    char *header = header_text(n, names, tensors, meta, keys, values, &size);
    if (!header) return agi_file_fail(AG_ENOMEM, path, NULL, "out of memory");
    rc = save(path, header, size, n, tensors);
    free(header);
    return rc;
}
