#!/usr/bin/env bash
# The steps of scripts/gpu_check, each a function; `steps.sh NAME ARGUMENT...` runs one, so that a
# time limit can be put on it. From the environment: root (the tree), here (the build), libraries,
# busted, work (for files that may go), results (for files that stay).
# shellcheck disable=SC2317 # called by name
# shellcheck disable=SC2154 # set by gpu_check
set -uo pipefail

# The libraries that travel with argent are for it alone: nvcc and others have theirs.
argent() { LD_LIBRARY_PATH=$libraries "$here/argent" "$@"; }

card() {
  nvidia-smi --query-gpu=name,driver_version,memory.total,compute_cap --format=csv,noheader |
    head -n 1 | tee "$results/card"
  nvcc --version | sed -n 's/.*release \([^,]*\),.*/\1/p' | tee "$results/nvcc"
  [ -s "$results/card" ] && [ -s "$results/nvcc" ]
}

# The architecture in the words of nvcc and CMake: 90.
arch() { cut -d, -f4 "$results/card" | tr -cd 0-9; }

# Says what the CUDA backend is here, or why there is none.
opens() { argent run "$root/scripts/gpu/opens.lua"; }

# Builds the CUDA half for this card alone. CMake wants to know of LuaJIT, which the CUDA half does
# not need and this machine does not have: so pkg-config is one that knows everything.
half() {
  local to=$work/cuda
  mkdir -p "$to"
  # shellcheck disable=SC2016 # for the script
  printf '#!/bin/sh\ncase "$*" in *version*) echo 2.1 ;; esac\n' >"$to/pkg-config"
  chmod +x "$to/pkg-config"
  if ! { cmake -S "$root" -B "$to" -DPKG_CONFIG_EXECUTABLE="$to/pkg-config" \
    -DCMAKE_CUDA_ARCHITECTURES="$(arch)" &&
    cmake --build "$to" --target argent_cuda --parallel "$(nproc)"; } >"$to/log" 2>&1
  then
    tail -n 40 "$to/log"
    return 1
  fi
  cp "$to/libargent_cuda.so" "$here/" && opens
}

probe() {
  nvcc -std=c++17 -O3 -arch="sm_$(arch)" -o "$work/probe" "$root/scripts/gpu/probe.cu" &&
    "$work/probe" | tee "$results/probe.txt"
}

doctor() {
  argent doctor >"$work/doctor"
  local rc=$?
  sed -n '/^ops/,/^libraries/p; /^cuda/,/^models/p' "$work/doctor" | grep -vE '^(libraries|models)'
  if ! grep -q ' cuda$' "$work/doctor"; then
    echo 'the doctor has not seen the card'
    return 1
  fi
  return "$rc"
}

# specs WHAT...: those that run on the card; there must be some, and none of them pending.
specs() {
  argent run "$busted" --ignore-lua --filter=cuda --filter-out=emulated "$@" >"$work/specs" 2>&1
  local rc=$?
  tail -n 40 "$work/specs"
  grep -qE '^[1-9][0-9]* success(es)? / 0 failures / 0 errors / 0 pending' "$work/specs" &&
    return "$rc"
}

# model DIR SIZE: a random one. Full-size ones are too large to travel, so they are written here.
model() { argent run "$root/scripts/make_full_model.lua" "$@"; }

# measure NAME DIR OPTION...
measure() {
  argent bench --device cuda --json -m "${@:2}" >"$results/bench-$1.json" &&
    cat "$results/bench-$1.json"
}

# serial NAME DIR: measure without overlapping launches.
serial() { ARGENT_PDL=0 measure "$@"; }

# sanitized TOOL ARGUMENT...: argent under a tool of compute-sanitizer.
sanitized() {
  compute-sanitizer --tool "$1" --target-processes all --error-exitcode 9 \
    env LD_LIBRARY_PATH="$libraries" "$here/argent" "${@:2}"
}

"$@"
