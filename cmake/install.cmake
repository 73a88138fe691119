# What `cmake --install` puts where, in three components, which are the packages, too: argent,
# libargent-dev and argent-cuda. DESTDIR and --prefix work as ever.

# The executable finds the library from where it is itself: beside it in the build, or below
# whatever the prefix is.
if(IS_ABSOLUTE "${LIB_FROM_BIN}")
  set(RPATH "$ORIGIN;${LIB_FROM_BIN}")
else()
  set(RPATH "$ORIGIN;$ORIGIN/${LIB_FROM_BIN}")
endif()
set_target_properties(argent PROPERTIES INSTALL_RPATH "${RPATH}")
install(TARGETS argent RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT argent)
install(TARGETS libargent LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT argent
  NAMELINK_COMPONENT libargent-dev)

# ---- Lua files, the demo voice, documentation ----

install(DIRECTORY lua/argent DESTINATION ${ARGENT_LUADIR} COMPONENT argent)
set(INSTALLED ${CMAKE_BINARY_DIR}/installed.lua)
file(WRITE ${INSTALLED} "-- Where the installation has put things, from the folder above this one's.
return {
  command = '${BIN_FROM_LUA}/argent',
  library = '${LIB_FROM_LUA}/libargent.so.${ABI}',
  models = '${MODELS_FROM_LUA}',
}
")
install(FILES ${INSTALLED} DESTINATION ${ARGENT_LUADIR}/argent COMPONENT argent)
install(DIRECTORY models/demo DESTINATION ${ARGENT_MODELDIR} COMPONENT argent)
install(FILES README.md GUIDE.md REFERENCE.md CUDA.md RELIABILITY.md SECURITY.md CHANGELOG.md
  LICENSE NOTICE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT argent)
install(DIRECTORY scripts/examples DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT argent)

# The command itself knows its manual page and completions, so they are made when it is installed,
# by the executable of this build.
if(CMAKE_CROSSCOMPILING)
  message(STATUS "cross-compiling: the installation will lack the manual page and completions")
else()
  set(MADE ${CMAKE_BINARY_DIR}/made)
  install(CODE "
    function(make file)
      execute_process(COMMAND \"\${CMAKE_COMMAND}\" -E env \"ARGENT_HOME=${CMAKE_SOURCE_DIR}\"
        \"LD_LIBRARY_PATH=${CMAKE_BINARY_DIR}\"
        \"${CMAKE_BINARY_DIR}/argent\" \${ARGN} OUTPUT_FILE \"${MADE}/\${file}\"
        RESULT_VARIABLE code)
      if(code)
        message(FATAL_ERROR \"argent \${ARGN} failed: install what it needs to run\")
      endif()
    endfunction()
    file(MAKE_DIRECTORY \"${MADE}\")
    make(argent.1 man)
    make(argent completion bash)
    make(_argent completion zsh)
    make(argent.fish completion fish)" COMPONENT argent)
  install(FILES ${MADE}/argent.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT argent)
  set(SHARE ${CMAKE_INSTALL_DATADIR})
  install(FILES ${MADE}/argent DESTINATION ${SHARE}/bash-completion/completions COMPONENT argent)
  install(FILES ${MADE}/_argent DESTINATION ${SHARE}/zsh/vendor-completions COMPONENT argent)
  install(FILES ${MADE}/argent.fish DESTINATION ${SHARE}/fish/vendor_completions.d COMPONENT argent)
endif()

# ---- for programs in C and C++ ----

install(FILES runtime/argent.h runtime/dtype.def runtime/ops.def
  DESTINATION ${ARGENT_INCLUDEDIR} COMPONENT libargent-dev)
configure_file(cmake/argent.pc.in argent.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/argent.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig
  COMPONENT libargent-dev)

# ---- the CUDA half ----

if(WITH_CUDA)
  install(TARGETS argent_cuda LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/argent
    COMPONENT argent-cuda)
endif()

# cmake --build build --target uninstall: removes what the last install has written.
add_custom_target(uninstall COMMAND ${CMAKE_COMMAND} -DBUILD=${CMAKE_BINARY_DIR}
  -P ${CMAKE_SOURCE_DIR}/cmake/uninstall.cmake)
