/* error.h: the one function that writes the message behind ag_last_error(). */
#ifndef ARGENT_ERROR_H
#define ARGENT_ERROR_H

enum { AGI_MESSAGE = 512 };

/* Formats the message of this thread and returns `code`, so that a failing function ends in
 * `return agi_fail(...)`. */
int agi_fail(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
