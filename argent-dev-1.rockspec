rockspec_format = '3.0'
package = 'argent'
version = 'dev-1'
source = {url = 'git+file://.'} -- of the tree that it is in: luarocks make
description = {
  summary = 'Text to speech: C kernels, and LuaJIT on top of them',
  license = 'MIT',
}
-- And LuaJIT, PCRE2, utf8proc, libsndfile, libsoxr, kissfft, cairo, pango and libedit of the system.
dependencies = {'lua == 5.1', 'lua-cjson', 'argparse', 'luafilesystem'}
build = {
  type = 'cmake',
  variables = {
    CMAKE_INSTALL_PREFIX = '$(PREFIX)',
    ARGENT_LUADIR = '$(LUADIR)',
    -- What is in bin and lib is moved elsewhere by luarocks; these stay where they are installed.
    CMAKE_INSTALL_BINDIR = 'libexec',
    CMAKE_INSTALL_LIBDIR = 'clib',
    ARGENT_CUDA = 'OFF', -- kernels for all cards take minutes: `cmake --install` has them
  },
  install = {bin = {argent = 'scripts/rock.lua'}},
}
