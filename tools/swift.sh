#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Swift for the tests, in an environment of its own: it brings its own servers and the middleware
# for a Keystone. Usage: tools/swift.sh ENVIRONMENT
set -eu
here=$(dirname "$0")
environment=$1

sh "$here/venv.sh" "$environment"
# The wheel of pyeclib brings the library that it needs, so there is no Debian package to install.
"$environment/bin/python" -m pip install --quiet --disable-pip-version-check \
    'swift>=2.38' keystonemiddleware
