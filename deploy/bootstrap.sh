#!/bin/sh
# Make .venv of this checkout with everything the project needs, from the pinned and hashed lists.
# Needs Debian's python3.11 alone; fetches what is missing. Says what it does; a second run is
# instant. Exit 0 ready, 2 when something is missing that it cannot fetch (it says what, and how).
set -eu

cd "$(dirname "$0")/.."
venv=.venv
stamp=$venv/.ready
started=$(date +%s)

say() { printf '%s\n' "set-up: $*" >&2; }
fail() { printf '%s\n' "set-up: $*" >&2; exit 2; }

find_python() {
    # Debian's own first: every user of the machine may read it, the lab's services included.
    for candidate in ${PYTHON:-} /usr/bin/python3.11 /usr/bin/python3 python3.11 python3; do
        command -v "$candidate" >/dev/null 2>&1 || continue
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    fail "no Python 3.11 or newer: apt-get install python3 (or set PYTHON=/path/to/python3.11)"
}

apt_install() {
    # Only as root, and only tools to build with: nothing here starts or enables a service.
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 || return 1
    say "installing $* (apt-get)"
    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@" \
        >/dev/null 2>&1 && return
    say "  not known yet: apt-get update first"
    apt-get -qq update >/dev/null &&
        DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@" >/dev/null
}

make_venv() {
    if "$python" -c 'import ensurepip' 2>/dev/null || apt_install python3-venv; then
        "$python" -m venv --clear "$venv"
        return
    fi
    # Debian without python3-venv, and not root: pip comes from its own wheel, unpacked here.
    say "no ensurepip: taking pip from Debian's python3-pip-whl, unpacked under .lab/"
    wheels=$("$python" -m tests.lab.parts --unpack python3-pip-whl python3-setuptools-whl) ||
        fail "pip is missing and could not be fetched: apt-get install python3-venv (as root)"
    "$python" -m venv --clear --without-pip "$venv"
    links=$(printf '%s' "$wheels" | sed 's|^|--find-links=|; s|$|/usr/share/python-wheels|')
    pip_wheel=$(echo .lab/parts/python3-pip-whl/usr/share/python-wheels/pip-*.whl)
    # shellcheck disable=SC2086
    PYTHONPATH=$pip_wheel "$venv/bin/python" -m pip -q install --no-index $links pip setuptools ||
        fail "pip could not be put into $venv: apt-get install python3-venv (as root)"
}

pip_install() {
    "$venv/bin/python" -m pip --disable-pip-version-check -q install "$@"
}

has_headers() {
    command -v cc >/dev/null 2>&1 && command -v pkg-config >/dev/null 2>&1 &&
        pkg-config --exists libsystemd &&
        "$python" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))'
}

install_journal() {
    "$venv/bin/python" -c 'import systemd.journal' 2>/dev/null && return
    if ! has_headers; then
        apt_install gcc libc6-dev pkg-config libsystemd-dev python3-dev || true
    fi
    say "building the systemd bindings"
    if ! pip_install --no-build-isolation --require-hashes -r deploy/locked/journal.txt 2>"$venv/journal.log"; then
        say "the systemd bindings could not be built ($venv/journal.log says why)."
        say "  lost: the journal cannot be read (badgateway_source_up 0); all else works."
        say "  remedy: apt-get install gcc pkg-config libsystemd-dev python3-dev; make setup"
        # Root may just have had no network; anyone else needs headers first, and is not kept
        # waiting for the same failure again.
        [ "$(id -u)" != 0 ] || unfinished=yes
    fi
}

state() {
    # What a finished set-up depends on; headers that appear later are worth another run.
    cat deploy/bootstrap.sh deploy/locked/*.txt pyproject.toml | sha256sum
    echo "$PWD"
    has_headers && echo "with headers" || echo "without headers"
}

python=$(find_python)
[ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(state)" ] && exit 0

if [ -f "$stamp" ] && ! grep -qxF "$PWD" "$stamp"; then
    say "this checkout was moved or copied: its commands name the old place; making $venv anew"
    rm -rf "$venv"
fi
unfinished=no
if ! "$venv/bin/python" -c 'import pip' 2>/dev/null; then
    say "making $venv with $python ($("$python" -c 'import platform; print(platform.python_version())'))"
    make_venv
fi
say "installing the pinned packages (deploy/locked/development.txt)"
pip_install --require-hashes -r deploy/locked/development.txt ||
    fail "the packages could not be installed: is the package index reachable?"
pip_install --require-hashes -r deploy/locked/build.txt ||
    fail "the build tools could not be installed: is the package index reachable?"
install_journal
say "installing badgateway itself (editable)"
pip_install --no-build-isolation --no-deps -e . || fail "badgateway could not be installed"
[ "$unfinished" = yes ] || state >"$stamp"
say "ready after $(($(date +%s) - started)) s"
