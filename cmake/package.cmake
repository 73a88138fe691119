# The packages that `cpack` makes (scripts/package): argent, libargent-dev, argent-cuda.

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_CONTACT "Argent's maintainers <maintainers@argent.invalid>")
set(CPACK_PACKAGE_HOMEPAGE_URL "")
set(CPACK_COMPONENTS_ALL argent libargent-dev)
if(WITH_CUDA)
  list(APPEND CPACK_COMPONENTS_ALL argent-cuda)
endif()
set(CPACK_STRIP_FILES ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${CMAKE_BINARY_DIR})
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_SOURCE_DIR}/cmake/debian.cmake)

# What a package is; OF is the variable's name of a component.
macro(package component of section summary text)
  set(CPACK_DEBIAN_${of}_PACKAGE_NAME ${component})
  set(CPACK_DEBIAN_${of}_PACKAGE_SECTION ${section})
  set(CPACK_DEBIAN_${of}_DESCRIPTION "${summary}\n${text}")
  set(CPACK_DEBIAN_${of}_PACKAGE_SHLIBDEPS ON)
endmacro()

package(argent ARGENT sound "text to speech on your own machine, for shell and Lua"
"Argent runs Qwen3-TTS (ten languages, named, described and cloned voices) on
CPUs and, with argent-cuda, on NVIDIA cards. It is C kernels with LuaJIT on top
of them, so that every stage of the model can be watched and changed from a
script while it runs. A very small voice of its own comes along.")
# What dpkg-shlibdeps does not see: Lua modules, and libraries that are opened when they are needed.
string(CONCAT CPACK_DEBIAN_ARGENT_PACKAGE_DEPENDS
  "lua-argparse, lua-cjson, lua-filesystem, libpcre2-8-0, libutf8proc3 | libutf8proc2, "
  "libsndfile1 | libsndfile1t64, libsoxr0, libkissfft-float131, libpangocairo-1.0-0, libedit2, "
  "libsonic0, lua-http")
string(CONCAT CPACK_DEBIAN_ARGENT_PACKAGE_RECOMMENDS
  "alsa-utils | pulseaudio-utils | pipewire-bin, fonts-dejavu-core")
set(CPACK_DEBIAN_ARGENT_PACKAGE_SUGGESTS "luajit, argent-cuda, libopenblas0")
# The system is told of the library, and packages of programs that link it need this one.
set(CONTROL ${CMAKE_BINARY_DIR}/control)
file(WRITE ${CONTROL}/triggers "activate-noawait ldconfig\n")
file(WRITE ${CONTROL}/shlibs "libargent ${ABI} argent (>= ${PROJECT_VERSION})\n")
set(CPACK_DEBIAN_ARGENT_PACKAGE_CONTROL_EXTRA ${CONTROL}/triggers ${CONTROL}/shlibs)
set(CPACK_DEBIAN_ARGENT_PACKAGE_CONTROL_STRICT_PERMISSION ON)

package(libargent-dev LIBARGENT-DEV libdevel "header of Argent, for programs in C and C++"
"Tensors, plans and the kernels of speech models on CPUs and NVIDIA cards: the
header argent.h, and what pkg-config needs.")
package(argent-cuda ARGENT-CUDA sound "Argent's kernels for NVIDIA cards"
"With it and NVIDIA's driver `argent say --device cuda` runs on a card of
compute capability 8.0 or later.")
foreach(of LIBARGENT-DEV ARGENT-CUDA)
  set(CPACK_DEBIAN_${of}_PACKAGE_DEPENDS "argent (= ${PROJECT_VERSION})")
endforeach()

include(CPack)
