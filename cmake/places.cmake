# Where an installation puts things, below its prefix; an absolute folder is taken as it is.

include(GNUInstallDirs)
set(ARGENT_LUADIR share/lua/5.1 CACHE STRING "where Lua files go; LuaJIT looks in share/lua/5.1")
set(ARGENT_MODELDIR ${CMAKE_INSTALL_DATADIR}/argent/models)
set(ARGENT_INCLUDEDIR ${CMAKE_INSTALL_INCLUDEDIR}/argent)

# from_folder(OUT FROM TO): the path from one folder of the installation to another.
function(from_folder out from to)
  if(IS_ABSOLUTE "${from}" OR IS_ABSOLUTE "${to}")
    get_filename_component(path "${to}" ABSOLUTE BASE_DIR ${CMAKE_INSTALL_PREFIX})
  else()
    file(RELATIVE_PATH path /prefix/${from} /prefix/${to})
  endif()
  set(${out} "${path}" PARENT_SCOPE)
endfunction()

from_folder(LUA_FROM_BIN ${CMAKE_INSTALL_BINDIR} ${ARGENT_LUADIR})
from_folder(LIB_FROM_BIN ${CMAKE_INSTALL_BINDIR} ${CMAKE_INSTALL_LIBDIR})
from_folder(LIB_FROM_LUA ${ARGENT_LUADIR} ${CMAKE_INSTALL_LIBDIR})
from_folder(BIN_FROM_LUA ${ARGENT_LUADIR} ${CMAKE_INSTALL_BINDIR})
from_folder(MODELS_FROM_LUA ${ARGENT_LUADIR} ${ARGENT_MODELDIR})
from_folder(PREFIX_FROM_PC ${CMAKE_INSTALL_LIBDIR}/pkgconfig .)
