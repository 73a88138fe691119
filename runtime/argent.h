/*
 * argent.h: the one public header of the Argent runtime, for C99, C++ and LuaJIT.
 *
 * The text between the marks is also what lua/argent/ffi.lua feeds to ffi.cdef, so it holds nothing
 * that needs a preprocessor. The prototypes of the ops (ag_linear, ag_rms_norm, ...) come from
 * ops.def, which is the list of them, and the constants AG_F32, ... from dtype.def.
 *
 * Functions that can fail return AG_OK or a negative AG_E* and leave a one-line message for
 * ag_last_error(). A result is the first parameter and is NULL after a failure. Shapes are in
 * elements, slowest dimension first. Nothing here prints, exits, or leaves by longjmp. One backend
 * is driven by one thread at a time; its worker team is its own affair.
 */
#ifndef ARGENT_H
#define ARGENT_H

#include <stdint.h>

enum {
#define AG_DTYPE(NAME, ...) AG_##NAME,
#include "dtype.def"
    AG_DTYPES
};

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)
/* cdef: begin */
typedef struct ag_backend ag_backend;
typedef struct ag_tensor ag_tensor;
typedef struct ag_plan ag_plan;
typedef struct ag_file ag_file;

enum {
    AG_OK = 0,
    AG_EINVAL = -1,       /* misuse: an argument of the wrong shape, dtype, range */
    AG_ENOMEM = -2,       /* no memory, on the host or on the device */
    AG_EIO = -3,          /* the operating system refused a read, a write, a map */
    AG_EFORMAT = -4,      /* a file is not what it says it is */
    AG_EUNSUPPORTED = -5, /* this build, backend or CPU cannot do it */
    AG_ECAPACITY = -6,    /* a session or reserved tensor is full */
    AG_EVALUE = -7,       /* data, not shapes, are wrong: NaN logits, an id outside its table */
    AG_EINTERRUPTED = -8  /* ag_interrupt() was called (Ctrl-C) */
};

enum { AG_MAX_DIMS = 8 };

/* What the ops map, combine and reduce compute; in Lua 'exp', 'log', ... */
enum ag_map { AG_MAP_EXP, AG_MAP_LOG, AG_MAP_SQRT, AG_MAP_ABS, AG_MAP_FLOAT };
enum ag_combine {
    AG_COMBINE_DIV,
    AG_COMBINE_POW,
    AG_COMBINE_EQ,
    AG_COMBINE_NE,
    AG_COMBINE_GT,
    AG_COMBINE_GE
};
enum ag_reduce {
    AG_REDUCE_SUM,
    AG_REDUCE_MEAN,
    AG_REDUCE_VAR,
    AG_REDUCE_VAR_BIASED,
    AG_REDUCE_NORM
};

/* What all parts of an installation must agree on: the library, its name (libargent.so.AG_ABI), the
 * Lua files (lua/argent/ffi.lua), the CUDA half, and programs that were compiled with this header.
 * It is raised when a prototype here or in ops.def, a dtype, or a struct that the CUDA half shares
 * changes, once for each release. ag_abi() is that of the library at hand. */
enum { AG_ABI = 1 };
int ag_abi(void);

const char *ag_version(void);
const char *ag_build(void);      /* compiler and kind of build, for people */
const char *ag_cdef(void);       /* this section and the prototypes of the ops, as text */
const char *ag_last_error(void); /* thread-local; valid until the next failing call */
/* 1 where what LuaJIT, its `require` or the dynamic loader said means that there was no memory. A
 * module whose file is there and was not found counts too. Only for texts of theirs, which give no
 * other sign; one that holds a person's words, such as a path, says nothing of memory. */
int ag_out_of_memory(const char *error);
/* Of dtypes and of kinds of weights; NULL where there is no such. */
const char *ag_dtype_name(int dtype); /* "f32", ... */
const char *ag_dtype_host(int dtype); /* the C type of an element on the host: "float", ... */
const char *ag_weight_name(int kind); /* from 0 up: "f32", ... */
int ag_dtype_float(int dtype);        /* 1 for floats, 0 for integers */
/* The name of a fault of the data, as a row's word has it (ops with opt_fault): "NAN", "INF",
 * "NO_LOGIT", "SETTING", "ID"; runtime/fault.def lists all. NULL where there is no such. */
const char *ag_fault_name(int word);
/* Ops and plans return AG_EINTERRUPTED from ag_interrupt(1) until ag_interrupt(0); 2: who asks
 * wants the process to end, so that a prompt ends too. Safe in a signal handler, as ag_interrupted
 * is, which gives what was set last. */
void ag_interrupt(int on);
int ag_interrupted(void);

/* How many cores this process has: those it may run on, or what the CPU quotas of its control
 * groups are worth (rounded up) where that is less. root goes before /proc and /sys; NULL: nothing
 * does. */
int ag_cores(const char *root);

/* Backends. kind: "cpu", "cuda", "cuda-emulated". threads: 0 = ag_cores(). isa:
 * NULL or "auto" = the best this CPU has (or what ARGENT_ISA says), else a name of ag_isa_name's.
 * device: which card, from 0; the one that is current for the calling thread stays so. One
 * reference is returned. */
int ag_backend_new(ag_backend **out, const char *kind, int threads, const char *isa, int device);
/* Ties each thread of a CPU backend to a core of its own, of those that the calling thread may use,
 * and that thread to the first of them until it frees the backend. For machines on which nothing
 * else is busy, or where what else is busy is kept away from those cores. */
int ag_backend_pin(ag_backend *be);
void ag_backend_retain(ag_backend *be); /* one more reference, for ag_backend_free to drop */
void ag_backend_free(ag_backend *be);
const char *ag_backend_kind(const ag_backend *be);
const char *ag_backend_isa(const ag_backend *be);
int ag_backend_threads(const ag_backend *be);
int ag_backend_packed(const ag_backend *be); /* 1 when `linear` reads packed weights there */
/* Bytes that are allocated or committed; mapped files do not count. */
double ag_backend_live_bytes(const ag_backend *be);
int ag_backend_sync(ag_backend *be);
/* How many floats the packed weights [outs, taps, channels] of ops.pack_conv1d take on this
 * backend; 0 where it packs none, or not so many. */
double ag_packed_conv1d_size(const ag_backend *be, int32_t outs, int32_t taps, int32_t channels);
/* The i-th instruction set that this build has kernels for, from "plain", 0, to the fastest; NULL
 * beyond the last. */
const char *ag_isa_name(int i);
int ag_isa_supported(const char *isa); /* 1 when this CPU and this build have it */

/* Tensors. A new tensor is zeroed, contiguous, and owns its memory; a view shares it. At most
 * AG_MAX_DIMS dims; sizes of zero are legal. ag_tensor_reserve reserves addresses for `shape` [S,
 * N, ...] and no memory; ag_tensor_commit gives one of the S rows memory for its first n of N,
 * without moving (a failure leaves it as it was), and ag_tensor_decommit takes a row's memory and
 * contents back; some devices keep it (live_bytes tells). Strides are in elements. */
int ag_tensor_new(ag_tensor **out, ag_backend *be, int dtype, int ndim, const int64_t *shape);
int ag_tensor_reserve(ag_tensor **out, ag_backend *be, int dtype, int ndim, const int64_t *shape);
int ag_tensor_commit(ag_tensor *t, int64_t row, int64_t n);
int ag_tensor_decommit(ag_tensor *t, int64_t row);
int ag_tensor_view(ag_tensor **out, ag_tensor *t, int ndim, const int64_t *shape,
                   const int64_t *stride, int64_t offset);
void ag_tensor_free(ag_tensor *t); /* drops one reference; accepts NULL */
/* Gives the memory back at once and leaves an empty shell that ops refuse. */
void ag_tensor_release(ag_tensor *t);
int ag_tensor_ndim(const ag_tensor *t);
int ag_tensor_dtype(const ag_tensor *t);
int ag_tensor_released(const ag_tensor *t);
int ag_tensor_contiguous(const ag_tensor *t);
void ag_tensor_shape(const ag_tensor *t, int64_t *shape);   /* fills ag_tensor_ndim(t) entries */
void ag_tensor_stride(const ag_tensor *t, int64_t *stride); /* likewise, in elements */
ag_backend *ag_tensor_backend(const ag_tensor *t);          /* borrowed */
/* Copies `bytes` bytes (all of a contiguous tensor) to or from host memory; synchronises. */
int ag_tensor_write(ag_tensor *t, const void *src, int64_t bytes);
int ag_tensor_read(const ag_tensor *t, void *dst, int64_t bytes);
/* Replaces every NaN by the one that LuaJIT takes for a number: others, which a file may hold, are
 * tagged values to it, and reading them from Lua ends in a crash. */
void ag_canonical_nan(float *x, int64_t n);
/* Lets go of the pages of a mapped file that a tensor lies in: they leave this process's memory,
 * and come back when they are read. Nothing happens to other tensors. */
void ag_tensor_forget(const ag_tensor *t);
/* Host address of a CPU tensor's first element, NULL elsewhere. For specs and for writing sound;
 * not for kernels. */
const void *ag_tensor_host(const ag_tensor *t);
/* Reads each whole cache line of a contiguous tensor's memory once, on the CPU with all workers, to
 * measure bandwidth: in 1, 2, 4 or 8 streams a worker, asking for the line `ahead` bytes further
 * (0: asking for none). *seen is the exclusive or of the lines' first 32-bit words. */
int ag_tensor_scan(const ag_tensor *t, int streams, int ahead, uint32_t *seen);
/* Loops of nothing but multiply-adds, to measure what the CPU could do: of the i-th kind of numbers
 * ("f32", "bf16", "int8", "amx_bf16"; NULL: there are no more), by all workers, `rounds` rounds
 * each. *done is how many multiply-adds that were; 0 where this CPU has no such instructions. */
const char *ag_peak_name(int i);
int ag_peak_run(ag_backend *be, int i, int64_t rounds, double *done);
/* How many elements are NaN or infinite; negative after a failure. */
double ag_tensor_count_nonfinite(const ag_tensor *t);

/* Plans. Between begin and end ops are recorded, not run. A plan keeps the memory of its
 * tensors. */
int ag_capture_begin(ag_backend *be);
int ag_capture_end(ag_plan **out, ag_backend *be);
void ag_capture_abort(ag_backend *be);
int ag_capturing(const ag_backend *be); /* between begin and end */
int ag_plan_run(ag_plan *plan);
/* Runs the plan, then reads a tensor of its backend as ag_tensor_read does; on a device with one
 * wait for both. */
int ag_plan_read(ag_plan *plan, const ag_tensor *t, void *dst, int64_t bytes);
int ag_plan_size(const ag_plan *plan); /* ops */
/* Ops that wait for earlier ones; on a device, kernels. */
int ag_plan_barriers(const ag_plan *plan);
void ag_plan_free(ag_plan *plan);

/* safetensors and GGUF files: strict, mapped read-only. Tensors made from a file keep it mapped.
 * Names and dtypes are borrowed from the file. */
int ag_file_open(ag_file **out, const char *path);
void ag_file_free(ag_file *f);
int ag_file_count(const ag_file *f);
int ag_file_find(const ag_file *f, const char *name); /* index, or -1 */
const char *ag_file_name(const ag_file *f, int i);
/* As the file says: "BF16", "F32", "I64", "Q4_K", ... */
const char *ag_file_dtype(const ag_file *f, int i);
/* Whether it holds floats that a tensor can be made of. */
int ag_file_float(const ag_file *f, int i);
int ag_file_ndim(const ag_file *f, int i);
void ag_file_shape(const ag_file *f, int i, int64_t *shape);
double ag_file_bytes(const ag_file *f, int i);
/* Tensor i in a dtype of the caller's choice (AG_F32, AG_BF16, AG_F16 from any of these; AG_I32
 * from I32 alone; -1: as stored, of GGUF's blocks F32). On the CPU an unconverted, aligned tensor
 * shares the mapping. */
int ag_file_tensor(ag_tensor **out, ag_file *f, int i, ag_backend *be, int dtype);
/* How many values of tensor i are NaN or infinite, as the file holds them, without making a tensor;
 * negative for a dtype that no tensor has. */
double ag_file_count_nonfinite(const ag_file *f, int i);
/* What a file says beside its tensors, sorted by key. Of entry i: its key; whether it is text
 * ('t'), a number ('n') or a boolean ('b'); how many of them it lists, -1: it is one; and value j,
 * which is 0 for one. A text is borrowed from the file and may hold any byte. */
int ag_file_metadata_count(const ag_file *f);
const char *ag_file_metadata_key(const ag_file *f, int i);
int ag_file_metadata_kind(const ag_file *f, int i);
double ag_file_metadata_length(const ag_file *f, int i);
const char *ag_file_metadata_text(const ag_file *f, int i, double j, double *bytes);
double ag_file_metadata_number(const ag_file *f, int i, double j);
/* Writes a safetensors file: n contiguous tensors, names sorted by the caller; atomic (temporary
 * name, then rename). */
int ag_file_save(const char *path, int n, const char *const *names, ag_tensor *const *tensors,
                 int meta, const char *const *keys, const char *const *values);
/* The path of the mapped file that holds an address, else NULL. Safe in a signal handler. */
const char *ag_mapped_path(const void *address);

/* Files that are being written. ag_partial_create makes a new file beside `path`, under a hidden
 * name that it puts into `partial` (`room` bytes: 40 more than the path), and gives its descriptor,
 * or a negative AG_E*; what dead processes have left in that folder goes. ag_partial_finish gives
 * it its name, while the descriptor is still open; ag_partial_drop removes it. ag_partial_drop_all
 * removes all of this process's, and is safe in a signal handler. */
int ag_partial_create(const char *path, char *partial, int64_t room);
int ag_partial_finish(const char *partial, const char *path);
void ag_partial_drop(const char *partial);
void ag_partial_drop_all(void);
/* cdef: end */

#define AG_OP(name, ...) int ag_##name(__VA_ARGS__);
#include "ops.def"
#undef AG_OP
#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
