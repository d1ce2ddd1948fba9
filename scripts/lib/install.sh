# Sourced: what the scripts need, installed once. Every step looks first and is done in milliseconds the second time.
# shellcheck shell=bash

# install_system WHAT…: browser, postgres, psql, libqrencode (with libpng), or a command's name. Needs root only when something is missing.
install_system() {
  local what packages=()
  for what in "$@"; do
    system_has "$what" || packages+=("$(system_package "$what")")
  done
  [ ${#packages[@]} -gt 0 ] || return 0
  if [ "$(id -u)" != 0 ] || ! have apt-get; then
    die 3 "missing system packages: ${packages[*]} (install them as root, then run this again)"
  fi
  say "installing system packages: ${packages[*]}"
  # Word splitting on purpose: one need may be more than one package.
  # shellcheck disable=SC2068
  DEBIAN_FRONTEND=noninteractive apt-get -qq update &&
    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends ${packages[@]} >/dev/null
}

# install_if_possible WHAT…: the same for what only a second opinion needs. What cannot be had is said and done without.
install_if_possible() {
  local what
  for what in "$@"; do
    (install_system "$what") || say "NOT CHECKED: what needs $(system_package "$what"), which could not be installed"
  done
}

system_has() {
  case $1 in
  browser) [ -n "$(chromium_program)" ] ;;
  postgres) [ -n "$(postgres_program initdb)" ] && [ -n "$(postgres_program postgres)" ] ;;
  psql) [ -n "$(postgres_program psql)" ] ;;
  libqrencode) [ -e /usr/include/qrencode.h ] && [ -e /usr/include/png.h ] ;;
  *) have "$1" ;;
  esac
}

system_package() {
  case $1 in
  browser) echo "chromium fonts-dejavu-core" ;;
  postgres) echo postgresql ;;
  psql) echo postgresql-client ;;
  cc) echo "gcc libc6-dev" ;;
  zbarimg) echo zbar-tools ;;
  testssl) echo testssl.sh ;;
  libqrencode) echo "libqrencode-dev libpng-dev" ;;
  *) echo "$1" ;;
  esac
}

# Rust comes from rustup, Node from its own packages: both are asked for, not installed behind the user's back.
require_toolchains() {
  have cargo || die 3 "missing: Rust (rustup's stable toolchain)"
  have npm || die 3 "missing: npm (with Node 20 or newer)"
  node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 20 ? 0 : 1)' 2>/dev/null ||
    die 3 "missing: Node 20 or newer"
}

install_wasm_target() {
  [ -d "$(rustc --print sysroot)/lib/rustlib/$WASM_TARGET" ] && return 0
  have rustup || die 3 "missing: the Rust target $WASM_TARGET, and no rustup to add it"
  say "adding the Rust target $WASM_TARGET"
  rustup target add "$WASM_TARGET"
}

install_rust_components() {
  local missing=()
  cargo fmt --version >/dev/null 2>&1 || missing+=(rustfmt)
  cargo clippy --version >/dev/null 2>&1 || missing+=(clippy)
  [ ${#missing[@]} -eq 0 ] && return 0
  have rustup || die 3 "missing Rust components: ${missing[*]}, and no rustup to add them"
  say "adding Rust components: ${missing[*]}"
  rustup component add "${missing[@]}"
}

# install_tools CRATE VERSION…: into $TOOLS, never into the user's own cargo bin. One target folder for all, thrown away
# at the end, so that what they share is compiled once; and quick to build rather than quick to run.
install_tools() {
  local built=0
  while [ $# -gt 0 ]; do
    if ! grep -qs "^\"$1 $2 " "$TOOLS/.crates.toml"; then
      say "installing $1 $2 (into ${TOOLS/#$HOME/\~})"
      mkdir -p "$TOOLS"
      CARGO_TARGET_DIR=$TOOLS/build CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=1 \
        CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_DEBUG=0 \
        cargo install "$1" --version "$2" --locked --quiet --root "$TOOLS" || return
      built=1
    fi
    shift 2
  done
  [ "$built" = 0 ] || rm -rf -- "$TOOLS/build"
}

install_edge_tools() {
  install_tools wasm-bindgen-cli "$(locked_version wasm-bindgen)"
}

install_check_tools() {
  install_tools cargo-deny "$CARGO_DENY_VERSION" cargo-machete "$CARGO_MACHETE_VERSION"
}

locked_version() {
  awk -v name="\"$1\"" '$1 == "name" && $3 == name { getline; gsub(/"/, "", $3); print $3; exit }' "$ROOT/Cargo.lock"
}

# The stamp holds the lock file's digest, so that only a changed lock costs an `npm ci`.
# Install scripts of packages are not run: nothing here needs one.
install_node_modules() {
  local stamp=$ROOT/node_modules/.scanvault-lock digest
  digest=$(sha256sum "$ROOT/package.json" "$ROOT/package-lock.json" | sha256sum)
  [ "$(cat "$stamp" 2>/dev/null)" = "$digest" ] && return 0
  say "installing node modules"
  (cd "$ROOT" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) || return
  printf '%s\n' "$digest" >"$stamp"
}
