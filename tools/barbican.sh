#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A Barbican for the tests of signatures, in an environment of its own. Usage:
# tools/barbican.sh ENVIRONMENT
set -eu
here=$(dirname "$0")
environment=$1

sh "$here/venv.sh" "$environment"
"$environment/bin/python" -m pip install --quiet --disable-pip-version-check 'barbican>=23.0.0'
