#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Link the distribution's rados and rbd modules into a virtual environment, which pip cannot do: they
# are in no package index. Usage: tools/rbd_bindings.sh ENVIRONMENT
set -eu
environment=$1
python=$environment/bin/python

say() { echo "glancekit: $*" >&2; }

suffix=$("$python" -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))')
target=$("$python" -c 'import sysconfig; print(sysconfig.get_path("platlib"))')
source=/usr/lib/python3/dist-packages
for module in rados rbd; do
    if [ ! -e "$source/$module$suffix" ]; then
        say "$source/$module$suffix is missing; run: sudo apt-get install python3-rados python3-rbd"
        say "(they are built for the distribution's own Python; this environment has $("$python" -V))"
        exit 1
    fi
    ln -sf "$source/$module$suffix" "$target/"
done
"$python" -c 'import rados, rbd'
