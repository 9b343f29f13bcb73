#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# OpenStack's acceptance tests, in an environment of their own. Usage: tools/tempest.sh ENVIRONMENT
set -eu
here=$(dirname "$0")
environment=$1

sh "$here/venv.sh" "$environment"
# Which of its tests differ from us is known of this series (tests/e2e/test_acceptance.py).
"$environment/bin/python" -m pip install --quiet --disable-pip-version-check 'tempest>=47,<48'
