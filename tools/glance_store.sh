#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The upstream service's store library for the tests, in an environment of its own: a peer that
# existing data comes from. With the distribution's modules for Ceph where they are installed.
# Usage: tools/glance_store.sh ENVIRONMENT
set -eu
here=$(dirname "$0")
environment=$1

sh "$here/venv.sh" "$environment"
"$environment/bin/python" -m pip install --quiet --disable-pip-version-check \
    'glance_store[s3,swift,vmware]>=5'
sh "$here/rbd_bindings.sh" "$environment" ||
    echo "glancekit: tests of rbd with upstream's store library will be skipped" >&2
