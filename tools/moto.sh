#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# moto's S3 server for the tests, in an environment of its own: it brings a framework and two dozen
# packages that no store needs. Usage: tools/moto.sh ENVIRONMENT
set -eu
here=$(dirname "$0")
environment=$1

sh "$here/venv.sh" "$environment"
"$environment/bin/python" -m pip install --quiet --disable-pip-version-check 'moto[server,s3]>=5.2'
