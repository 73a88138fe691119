/* blas.h: OpenBLAS, opened at run time where it is there, for products that scripts ask for. */
#ifndef ARGENT_BLAS_H
#define ARGENT_BLAS_H

struct agi_blas {
    void (*sgemm)(int order, int a, int b, int m, int n, int k, float alpha, const float *x,
                  int x_row, const float *y, int y_row, float beta, float *out, int out_row);
    const char *name; /* "OpenBLAS 0.3.21 ..." */
};

/* The library, set to one thread: the threads are those of the team, which call it side by side.
 * ARGENT_BLAS names the file to open, or is "off". NULL: there is none. */
const struct agi_blas *agi_blas_open(void);

#endif
