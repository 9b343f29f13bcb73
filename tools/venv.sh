#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Make a virtual environment; where Debian keeps the module for that in a package, fetch it first.
set -eu
folder=$1
python=${PYTHON:-python3}

say() { echo "glancekit: $*" >&2; }

if ! command -v "$python" >/dev/null; then
    say "$python is not installed; glancekit needs Python 3.11 or newer"
    exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    say "$python is $("$python" -V); glancekit needs Python 3.11 or newer (set PYTHON=...)"
    exit 1
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        say "$python cannot make virtual environments yet; run: sudo apt-get install python3-venv"
        exit 1
    fi
    say "installing python3-venv"
    apt-get -qq update
    DEBIAN_FRONTEND=noninteractive apt-get -qq -y install python3-venv >/dev/null
fi
# Half an environment (an earlier run was interrupted) is made again.
"$folder/bin/python" -m pip --version >/dev/null 2>&1 || "$python" -m venv --clear "$folder"
