# shellcheck shell=sh
# Debian packages for the scripts of this repository. Sourced, not run.

# packages_install "NAME..."   installs those of the list that are missing
packages_install() {
    missing=
    for package in $1; do
        if ! dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$'; then
            missing="$missing $package"
        fi
    done
    [ -z "$missing" ] && return 0
    # nodejs and npm may have come from elsewhere than Debian.
    if command -v npm >/dev/null 2>&1; then
        missing=$(echo "$missing" | sed 's/ npm\b//; s/ nodejs\b//')
    fi
    [ -z "$missing" ] && return 0
    as_root=
    if [ "$(id -u)" != 0 ]; then
        as_root=sudo
        command -v sudo >/dev/null 2>&1 || {
            echo "These packages are missing, and neither root nor sudo is at hand:$missing" >&2
            exit 1
        }
    fi
    echo "Installing Debian packages:$missing" >&2
    if ! packages_try "$as_root" "$missing"; then
        $as_root apt-get update -qq >&2
        packages_try "$as_root" "$missing" >&2
    fi
}

packages_try() {
    # A cluster that starts by itself would only be in the way. $1 is empty or sudo.
    # shellcheck disable=SC2086
    $1 env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $2 >/dev/null
}
