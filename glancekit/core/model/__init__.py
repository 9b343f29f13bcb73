# SPDX-License-Identifier: Apache-2.0
"""The nouns of the Images API as frozen values.

How they are stored or shown is not their business.
"""
