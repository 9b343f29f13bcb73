#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The programs that tests and benchmarks use. As root they are installed; otherwise the tests that
# need a missing one are skipped with its name. Usage: tools/debian_packages.sh PROGRAM:PACKAGE ...
set -eu
missing=
for pair in "$@"; do
    PATH=$PATH:/usr/sbin command -v "${pair%%:*}" >/dev/null || missing="$missing ${pair#*:}"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "glancekit: not installed, some tests will be skipped:$missing" >&2
    exit 0
fi
echo "glancekit: installing$missing" >&2
apt-get -qq update
# shellcheck disable=SC2086  # a list of words
DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends $missing >/dev/null
