# shellcheck shell=bash
# Sourced by quickstart, test and .ci/run from the root of the tree: installs what is missing and
# gives them build(). Safe to run again; quick when nothing is to do, and then without a network.

# Debian packages, as `package` or as `a|b` where the name differs between releases.
packages=(
  gcc make cmake pkg-config libc6-dev
  luajit libluajit-5.1-dev lua-cjson lua-argparse lua-filesystem lua-busted
  libpcre2-8-0 'libutf8proc2|libutf8proc3' 'libsndfile1|libsndfile1t64'
  libsoxr0 libkissfft-float131 libedit2 libsonic0 lua-http libopenblas0
  libcairo2 libpango-1.0-0 libpangocairo-1.0-0
  fonts-dejavu-core fonts-droid-fallback fonts-nanum
)

installed() {
  dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'ok installed'
}

# first_that TEST A|B: prints the first of the names for which TEST succeeds.
first_that() {
  local name
  for name in ${2//|/ }; do
    if "$1" "$name"; then echo "$name"; return 0; fi
  done
  return 1
}

available() {
  apt-cache show "$1" >/dev/null 2>&1
}

# Systems without apt-get: what is not here, each thing tried by itself.
not_here() {
  local program
  for program in cc make cmake pkg-config luajit busted; do
    command -v "$program" >/dev/null || echo "$program"
  done
  pkg-config --exists luajit 2>/dev/null || echo "luajit's headers"
  command -v luajit >/dev/null || return 0
  luajit - <<'LUA'
    for _, name in ipairs {'cjson', 'argparse', 'lfs'} do
      if not pcall(require, name) then print(name) end
    end
    local ffi = require 'ffi'
    for name in ([[libpcre2-8.so.0 libutf8proc.so.3|libutf8proc.so.2 libsndfile.so.1 libsoxr.so.0
      libkissfft-float.so.131 libpangocairo-1.0.so.0 libedit.so.2|libedit.so.0]]):gmatch '%S+' do
      local found = false
      for file in name:gmatch '[^|]+' do found = found or pcall(ffi.load, file) end
      if not found then print(name) end
    end
LUA
}

elsewhere() {
  local missing
  missing=$(not_here | paste -sd ' ')
  [ -n "$missing" ] || return 0
  cat >&2 <<TEXT
There is no apt-get here, so please install what is missing: $missing
The names of packages elsewhere, which were not tried:
  Fedora: dnf install gcc make cmake pkgconf luajit luajit-devel luarocks pcre2 utf8proc libsndfile
    soxr kiss-fft libedit pango dejavu-sans-fonts
  Arch: pacman -S gcc make cmake pkgconf luajit luarocks pcre2 libutf8proc libsndfile libsoxr
    kissfft libedit pango ttf-dejavu
  Alpine: apk add bash gcc musl-dev make cmake pkgconf luajit luajit-dev luarocks pcre2 utf8proc
    libsndfile soxr libedit pango font-dejavu; kissfft from its sources
  everywhere: luarocks --lua-version 5.1 install NAME, of lua-cjson argparse luafilesystem busted
TEXT
  return 1
}

install_missing() {
  if ! command -v apt-get >/dev/null; then
    elsewhere
    return
  fi
  local choice missing=() names=() root=()
  for choice in "${packages[@]}"; do
    first_that installed "$choice" >/dev/null || missing+=("$choice")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" != 0 ]; then root=(sudo); fi
  if [ ${#root[@]} -gt 0 ] && ! command -v sudo >/dev/null; then
    echo "Cannot install packages here (neither root nor sudo)." >&2
    echo "Please install: ${missing[*]}" >&2
    return 1
  fi
  "${root[@]}" apt-get update -qq
  for choice in "${missing[@]}"; do
    names+=("$(first_that available "$choice" || echo "${choice%%|*}")")
  done
  echo "Installing ${names[*]}"
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${names[@]}" >/dev/null
}

# build DIR [CMAKE OPTIONS]: the compiler is silent unless it fails. With ARGENT_WERROR=ON, as in
# CI, warnings fail, too.
build() {
  local dir=$1
  shift
  if [ -n "${ARGENT_WERROR:-}" ]; then set -- -DARGENT_WERROR="$ARGENT_WERROR" "$@"; fi
  echo "Building in $dir/"
  mkdir -p "$dir"
  if ! { cmake -S . -B "$dir" "$@" && cmake --build "$dir" --parallel "$(nproc)"; } \
    >"$dir/build.log" 2>&1
  then
    cat "$dir/build.log" >&2
    return 1
  fi
}

install_missing
