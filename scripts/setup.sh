# Sourced by quickstart, test and .ci/run, from the root of the tree: installs what is missing and builds. Safe to run
# again; quick when nothing is to do, and then it needs no network.

# Commands and libraries, as `package` or as `a|b` where the name changed between releases.
packages=(
  gcc make cmake pkg-config libc6-dev
  luajit libluajit-5.1-dev lua-cjson lua-argparse lua-filesystem lua-busted
  libpcre2-8-0 'libutf8proc2|libutf8proc3' 'libsndfile1|libsndfile1t64'
)

installed() {
  dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'ok installed'
}

install_missing() {
  local missing=() choice name found
  for choice in "${packages[@]}"; do
    found=
    for name in ${choice//|/ }; do
      if installed "$name"; then found=1; fi
    done
    [ -n "$found" ] || missing+=("$choice")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if ! command -v apt-get >/dev/null; then
    echo "This machine has no apt-get. Please install: ${missing[*]}" >&2
    exit 1
  fi
  local sudo=
  if [ "$(id -u)" != 0 ]; then sudo=sudo; fi
  echo "Installing ${missing[*]} ..."
  $sudo apt-get update -qq
  local names=()
  for choice in "${missing[@]}"; do
    found=
    for name in ${choice//|/ }; do
      if [ -z "$found" ] && apt-cache show "$name" >/dev/null 2>&1; then found=$name; fi
    done
    names+=("${found:-$name}")
  done
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${names[@]}" >/dev/null
}

# build DIR [CMAKE OPTIONS]
build() {
  local dir=$1
  shift
  cmake -S . -B "$dir" "$@" >"$dir.log" 2>&1 || { cat "$dir.log" >&2; exit 1; }
  cmake --build "$dir" --parallel "$(nproc)" >"$dir.log" 2>&1 || { cat "$dir.log" >&2; exit 1; }
  mv "$dir.log" "$dir/build.log"
}

install_missing
