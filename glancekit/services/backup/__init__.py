# SPDX-License-Identifier: Apache-2.0
"""All records as one stream, out of any metadata backend and into any other. Bytes of images, and
what processes and hosts keep of each other (leases, what is in caches, events and who was told of
them, how periodic tasks stand), are not in it.
"""
