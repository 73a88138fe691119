# The toolchain for aarch64 from Debian's cross compiler: cmake -DCMAKE_TOOLCHAIN_FILE=THIS
# -DARGENT_ROOT=DIR, an arm64 root with LuaJIT's headers and library (scripts/arm64 makes one).

set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_FIND_ROOT_PATH ${ARGENT_ROOT})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES ARGENT_ROOT)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${ARGENT_ROOT})
set(ENV{PKG_CONFIG_LIBDIR} ${ARGENT_ROOT}/usr/lib/aarch64-linux-gnu/pkgconfig)
