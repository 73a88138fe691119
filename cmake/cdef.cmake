# Writes OUT, a C file whose ag_cdef() returns what LuaJIT's ffi.cdef is to read, from files in
# SOURCE: the marked part of argent.h, a constant for each dtype of dtype.def, and a prototype for
# each line of ops.def.

file(READ ${SOURCE}/argent.h HEADER)
string(FIND "${HEADER}" "/* cdef: begin */" BEGIN)
string(FIND "${HEADER}" "/* cdef: end */" END)
if(BEGIN LESS 0 OR END LESS BEGIN)
  message(FATAL_ERROR "argent.h has no cdef marks")
endif()
math(EXPR LENGTH "${END} - ${BEGIN}")
string(SUBSTRING "${HEADER}" ${BEGIN} ${LENGTH} TEXT)

file(READ ${SOURCE}/ops.def OPS)
string(REGEX REPLACE "AG_OP\\(([a-z0-9_]+), ([^)]*)\\)" "int ag_\\1(\\2);" OPS "${OPS}")
file(STRINGS ${SOURCE}/dtype.def LINES REGEX "^AG_DTYPE\\(")
string(REGEX REPLACE "AG_DTYPE\\(([A-Z0-9]+)[^;]*;?" "AG_\\1, " DTYPES "${LINES}")
file(WRITE ${OUT}.txt "${TEXT}enum { ${DTYPES}AG_DTYPES };\n${OPS}")
file(READ ${OUT}.txt BYTES HEX)
string(REGEX REPLACE "(..)" "0x\\1," BYTES "${BYTES}")
file(WRITE ${OUT} "/* Made by cmake/cdef.cmake. */
#include \"${SOURCE}/argent.h\"
const char *ag_cdef(void)
{
    static const char text[] = {${BYTES}0};
    return text;
}
")
