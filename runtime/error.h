/* error.h: the one function that writes the message behind ag_last_error(). */
#ifndef ARGENT_ERROR_H
#define ARGENT_ERROR_H

enum { AGI_MESSAGE = 512 };

/* Formats the message of this thread and returns `code`, so that a failing function ends in
 * `return agi_fail(...)`. */
int agi_fail(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The code for what the system said in errno: memory that ran out is that, all else is AG_EIO. */
int agi_system_code(int error);

#endif
