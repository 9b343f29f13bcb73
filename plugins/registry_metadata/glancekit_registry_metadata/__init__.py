# SPDX-License-Identifier: Apache-2.0
"""The metadata contract over HTTP: the registry (server) and the driver that API nodes use.

Where the records really live is the business of the metadata driver behind the registry.
"""
