#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The original service for the tests, in an environment of its own, with the drivers of the databases
# that it may run on, and an initialised database that each test run copies: making the schema takes
# 10 s. Usage: tools/glance.sh ENVIRONMENT
set -eu
here=$(dirname "$0")
environment=$1

sh "$here/venv.sh" "$environment"
"$environment/bin/python" -m pip install --quiet --disable-pip-version-check \
    'glance>=33,<34' 'gunicorn>=27' psycopg2-binary PyMySQL
environment=$(cd "$environment" && pwd)
data=$environment/data
rm -rf "$data.new"
mkdir -p "$data.new"
cat >"$data.new/init.conf" <<CONF
[DEFAULT]
log_file = $data.new/init.log
[database]
connection = sqlite:///$data.new/glance.sqlite
CONF
manage() {
    "$environment/bin/glance-manage" --config-file "$data.new/init.conf" "$@" >"$data.new/init.out" 2>&1 || {
        tail -5 "$data.new/init.out" >&2
        exit 1
    }
}
echo "glancekit: making Glance's database" >&2
manage db_sync
cp "$data.new/glance.sqlite" "$data.new/empty.sqlite"
manage db_load_metadefs "$environment/etc/glance/metadefs"
rm -rf "$data"
mv "$data.new" "$data"
