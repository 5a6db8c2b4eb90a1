# shellcheck shell=sh
# What the scripts of this repository share. Sourced, not run.

# What building and running take; the tests need more.
# shellcheck disable=SC2034 # Those who source this use it.
packages_to_build="gcc g++ libc6-dev meson ninja-build pkg-config re2c lemon python3 python3-yaml \
libmicrohttpd-dev libpq-dev libjansson-dev libsodium-dev libcurl4-openssl-dev libinih-dev \
libgnutls28-dev libssl-dev zlib1g-dev libvalijson-dev rapidjson-dev \
postgresql-15 ca-certificates tzdata"

# packages_missing "NAME..."   those of the list that are not installed, one a line
packages_missing() {
    for package in $1; do
        # nodejs and npm may have come from elsewhere than Debian.
        case $package in
        npm | nodejs) command -v npm >/dev/null 2>&1 && continue ;;
        esac
        state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
        [ "$state" = installed ] || echo "$package"
    done
}

# packages_install "NAME..."   installs those of the list that are missing
packages_install() {
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "This installs its packages with apt-get (Debian 12 and its kin), which is not here." >&2
        exit 1
    fi
    missing=$(packages_missing "$1" | tr '\n' ' ')
    [ -z "$missing" ] && return 0
    as_root=
    if [ "$(id -u)" != 0 ]; then
        as_root=sudo
        if ! command -v sudo >/dev/null 2>&1; then
            echo "Packages are missing, and you are neither root nor have sudo. As root:" >&2
            echo "    apt-get install --no-install-recommends $missing" >&2
            exit 1
        fi
    fi
    echo "Installing Debian packages: $missing" >&2
    packages_log=$(mktemp)
    # The lists may be missing or too old; what is said then is said again below.
    if ! packages_try 2>"$packages_log" >&2; then
        if ! { $as_root apt-get update -q && packages_try; } >"$packages_log" 2>&1; then
            tail -n 20 "$packages_log" >&2
            rm -f "$packages_log"
            echo "These packages could not be installed: $missing" >&2
            exit 1
        fi
    fi
    rm -f "$packages_log"
}

packages_try() {
    # $as_root is empty or sudo, $missing a list of names.
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 \
        apt-get install -y -q --no-install-recommends $missing
}

# build_shopbell CHECKOUT FOLDER   a release build; the program is FOLDER/src/app/shopbell
build_shopbell() {
    if ! mkdir -p "$2" 2>/dev/null || [ ! -w "$2" ]; then
        echo "$2 is not yours to write: remove it, or set SHOPBELL_BUILD_ROOT to a folder that is." >&2
        exit 1
    fi
    echo "Building ..." >&2
    # A folder that another checkout left would go on building that one.
    if [ -f "$2/build.ninja" ] && ! grep -qF "\"source\": \"$1\"" "$2/meson-info/meson-info.json"; then
        rm -rf "$2"
    fi
    if [ ! -f "$2/build.ninja" ]; then
        meson setup "$2" "$1" --buildtype=release >"$2.log" 2>&1 || build_failed "$2.log"
    fi
    ninja -C "$2" src/app/shopbell >"$2.log" 2>&1 || build_failed "$2.log"
    rm -f "$2.log"
}

build_failed() {
    tail -n 40 "$1" >&2
    echo "The build failed; the end of $1 is above." >&2
    exit 1
}
