# To be sourced: installs what a script of ours needs from the system.

# Installs a Debian package where that is allowed; otherwise prints the command for it and fails.
need_package() {
  local package=$1 why=$2 tool
  tool=$(basename "$0" .sh)
  local command="apt-get install -y --no-install-recommends $package"
  if command -v apt-get >/dev/null; then
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
      if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        as_root=(sudo)
      else
        echo "$tool: $why. Run: sudo $command" >&2
        exit 1
      fi
    fi
    echo "$tool: $why, installing $package"
    local log
    log=$(mktemp)
    if ! ${as_root[@]+"${as_root[@]}"} env DEBIAN_FRONTEND=noninteractive sh -c \
      "apt-get update -qq && $command" >"$log" 2>&1; then
      cat "$log" >&2
      rm -f "$log"
      echo "$tool: installing failed. Run: sudo $command" >&2
      exit 1
    fi
    rm -f "$log"
  elif command -v brew >/dev/null; then
    echo "$tool: $why. Run: brew install ${package/postgresql/postgresql@17}" >&2
    exit 1
  else
    echo "$tool: $why. Install the package of your system that is called $package, or like it" >&2
    exit 1
  fi
}
