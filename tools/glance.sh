#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The original service for the tests, in an environment of its own, with the drivers of the databases
# that it may run on. Usage: tools/glance.sh ENVIRONMENT
set -eu
here=$(dirname "$0")
environment=$1

sh "$here/venv.sh" "$environment"
# psycopg2: a connection string without a driver's name means that one.
"$environment/bin/python" -m pip install --quiet --disable-pip-version-check \
    'glance>=33,<34' gunicorn psycopg2-binary PyMySQL
