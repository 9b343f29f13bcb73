# SPDX-License-Identifier: Apache-2.0
"""The updater: bringing records up to date, each duty by going through all images again and again.

When that is done is the business of ``builtins/updater``.
"""
