#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A simulated vCenter for the tests, built of the distribution's govmomi, and the description of its
# calls that clients other than ours read. Usage: tools/vcsim.sh ENVIRONMENT
set -eu
here=$(dirname "$0")
environment=$1
library=/usr/share/gocode/src/github.com/vmware/govmomi/simulator

say() { echo "glancekit: $*" >&2; }

if ! command -v go >/dev/null || [ ! -d "$library" ]; then
    packages="golang-go golang-github-vmware-govmomi-dev"
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        say "the vCenter simulator cannot be built yet; run: sudo apt-get install $packages"
        exit 1
    fi
    say "installing $packages"
    apt-get -qq update
    # shellcheck disable=SC2086  # a list of words
    DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends $packages >/dev/null
fi

sh "$here/venv.sh" "$environment"
"$environment/bin/python" -m pip install --quiet --disable-pip-version-check 'pyVmomi>=9.1.1'
mkdir -p "$environment/share"
"$environment/bin/python" "$here/vcsim/wsdl.py" "$environment/share/vimService.wsdl"
GO111MODULE=off GOFLAGS='' GOPATH=/usr/share/gocode \
    go build -o "$environment/bin/vcsim" "$here/vcsim/main.go"
