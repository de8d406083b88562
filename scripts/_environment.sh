# Sourced by the scripts beside it: a private virtual environment in .venv, made when missing or when pyproject.toml changed.

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/.venv

find_python() {
    local candidate
    for candidate in python3.11 python3.12 python3.13 python3 python; do
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    echo "sipgw needs Python 3.11 or later with its venv module (Debian: python3 python3-venv)" >&2
    return 1
}

# prepare EXTRAS: install the checkout with these extras ("" or "test,dev"); does nothing when that is done already.
prepare() {
    local extras=$1 python stamp
    if command -v flock >/dev/null; then # two scripts at once must not install into each other
        exec 9>"$root/.venv.lock"
        flock 9
    fi
    stamp="$root $(cksum <"$root/pyproject.toml")" # an environment does not survive being moved
    if [ "$(sed -n 1p "$venv/stamp" 2>/dev/null)" != "$stamp" ]; then
        python=$(find_python)
        echo "setting up $venv (once)" >&2
        "$python" -m venv --clear "$venv"
        printf '%s\n' "$stamp" >"$venv/stamp"
    fi
    if ! grep -qxF "extras:$extras" "$venv/stamp"; then
        install_quietly -e "$root${extras:+[$extras]}"
        # An event loop that saves CPU; where it cannot be built, asyncio's own does the same work.
        install_quietly -e "$root[speed]" || echo "uvloop cannot be installed here: running on asyncio's own loop" >&2
        if [ -n "$extras" ] && [ -e /usr/include/ldap.h ]; then # what it is built with
            install_quietly -e "$root[ldap]" || echo "bonsai cannot be built here: no users from a directory" >&2
        fi
        if [ -n "$extras" ] && [ -e /usr/include/gssapi/gssapi_ext.h ]; then
            install_quietly -e "$root[kerberos]" || echo "gssapi cannot be built here: no sign-in with Kerberos" >&2
        fi
        printf 'extras:%s\n' "" "$extras" | sort -u >>"$venv/stamp"
    fi
    exec 9>&-
}

install_quietly() {
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@" >&2
}
