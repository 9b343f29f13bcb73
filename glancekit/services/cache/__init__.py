# SPDX-License-Identifier: Apache-2.0
"""The image cache: what is served from it, what an administrator asks of it, how it is kept.

The files themselves are the business of core/cache.
"""
