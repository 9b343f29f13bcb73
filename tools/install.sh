#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Install glancekit and every plugin of plugins/ into an environment, editable: the folder is the list.
# Usage: tools/install.sh ENVIRONMENT [EXTRA]
set -eu
python=$1/bin/python
extra=${2:+[$2]}

set -- --editable ".$extra"
for plugin in plugins/*/setup.cfg; do
    if [ -e "$plugin" ]; then set -- "$@" --editable "${plugin%/setup.cfg}"; fi
done
"$python" -m pip install --quiet --disable-pip-version-check --upgrade 'setuptools>=77'
# A plain path entry for each (compat) starts faster than import hooks, and mypy can read it.
"$python" -m pip install --quiet --disable-pip-version-check --no-build-isolation \
    --config-settings editable_mode=compat "$@"
