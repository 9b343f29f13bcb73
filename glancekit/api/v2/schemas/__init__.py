# SPDX-License-Identifier: Apache-2.0
"""The JSON schemas that the API shows to clients and holds their requests against."""
