# SPDX-License-Identifier: Apache-2.0
"""The image cache of one host: a folder that all its processes share.

Who may have an image, and what it is fetched from, is the services' business.
"""
