# Sourced by every script: where things are, how they speak, when they stop.
# shellcheck shell=bash

ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
TARGET=${CARGO_TARGET_DIR:-$ROOT/target}
case $TARGET in /*) ;; *) TARGET=$PWD/$TARGET ;; esac
TOOLS=${SCANVAULT_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/scanvault/tools}
export CARGO_TARGET_DIR=$TARGET

# The one list of pinned tools. wasm-bindgen's CLI must equal the library in Cargo.lock, so it is read from there.
CARGO_DENY_VERSION=0.20.2
CARGO_MACHETE_VERSION=0.9.2
WASM_TARGET=wasm32-unknown-unknown

say() { printf '%s\n' "$*" >&2; }
warn() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() {
  local code=$1
  shift
  warn "$*"
  exit "$code"
}
have() { command -v "$1" >/dev/null 2>&1; }

# stage TEXT COMMAND…: runs it, says how long it took, and remembers both for the summary. The command is not run in a
# condition, where bash would forget `set -e`: what fails ends the script, and stage_exit says where. A script that has
# something to undo defines `cleanup`.
STAGES=()
STAGE_RUNNING=''
stage() {
  trap stage_exit EXIT
  STAGE_RUNNING=$1 STAGE_BEGAN=$SECONDS
  shift
  say
  say "=== $STAGE_RUNNING"
  "$@"
  stage_done ok
}
stage_done() {
  STAGES+=("$(printf '%-6s %5d s  %s' "$1" $((SECONDS - STAGE_BEGAN)) "$STAGE_RUNNING")")
  STAGE_RUNNING=''
}
stage_summary() {
  say
  printf '%s\n' "${STAGES[@]}" "$(printf '%-6s %5d s  in all' '' "$SECONDS")" >&2
}
stage_exit() {
  local code=$?
  trap - EXIT
  if [ -n "$STAGE_RUNNING" ]; then
    stage_done FAILED
    stage_summary
  fi
  if declare -F cleanup >/dev/null; then cleanup; fi
  exit "$code"
}

# The program of the newest PostgreSQL found on PATH or where Debian keeps it; nothing when there is none.
postgres_program() {
  local found
  found=$(command -v "$1" || true)
  if [ -z "$found" ]; then
    found=$(find /usr/lib/postgresql/*/bin -name "$1" 2>/dev/null | sort -V | tail -n 1 || true)
  fi
  [ -n "$found" ] || return 0
  # Debian links single programs onto PATH, and initdb looks for its siblings beside itself: so the link is followed,
  # unless it leads to Debian's wrapper, which goes by the name that it is called by.
  local real
  real=$(readlink -f "$found")
  if [ "$(basename "$real")" = "$1" ]; then printf '%s\n' "$real"; else printf '%s\n' "$found"; fi
}

chromium_program() {
  local name
  for name in "${CHROMIUM:-}" chromium chromium-browser google-chrome; do
    if [ -n "$name" ] && have "$name"; then
      command -v "$name"
      return
    fi
  done
}
