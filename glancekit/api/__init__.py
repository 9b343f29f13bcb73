# SPDX-License-Identifier: Apache-2.0
"""HTTP: Flask, headers, status codes, JSON, schemas. Rights and states are the services'."""
