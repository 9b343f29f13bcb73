# SPDX-License-Identifier: Apache-2.0
# What is in here are packages of strangers, which test_plugins_out_of_tree.py installs and runs.
collect_ignore_glob = ["*"]
