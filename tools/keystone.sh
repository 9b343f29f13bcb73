#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A Keystone for the tests, in an environment of its own with an initialised folder of data, which
# each test run copies: making the schema takes 20 s. Usage: tools/keystone.sh ENVIRONMENT
set -eu
here=$(dirname "$0")
environment=$1

sh "$here/venv.sh" "$environment"
"$environment/bin/python" -m pip install --quiet --disable-pip-version-check keystone
environment=$(cd "$environment" && pwd)
data=$environment/data
rm -rf "$data.new"
mkdir -p "$data.new"
# The tests write a configuration of their own, for the same keys and the address of their port.
cat >"$data.new/init.conf" <<EOF
[DEFAULT]
log_file = $data.new/init.log
[database]
connection = sqlite:///$data.new/keystone.sqlite
[token]
provider = fernet
[fernet_tokens]
key_repository = $data.new/fernet-keys
[credential]
key_repository = $data.new/credential-keys
EOF
manage() {
    "$environment/bin/keystone-manage" --config-file "$data.new/init.conf" "$@" 2>>"$data.new/init.err" || {
        tail -5 "$data.new/init.err" >&2
        exit 1
    }
}
echo "glancekit: making Keystone's database" >&2
user=$(id -un) group=$(id -gn)
manage db_sync
manage fernet_setup --keystone-user "$user" --keystone-group "$group"
manage credential_setup --keystone-user "$user" --keystone-group "$group"
# shellcheck disable=SC2016  # Keystone itself puts its address there
manage bootstrap --bootstrap-password secret --bootstrap-region-id RegionOne \
    --bootstrap-public-url '$(public_endpoint)s/v3' \
    --bootstrap-internal-url '$(public_endpoint)s/v3' \
    --bootstrap-admin-url '$(public_endpoint)s/v3'
rm -rf "$data"
mv "$data.new" "$data"
