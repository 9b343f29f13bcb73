# SPDX-License-Identifier: Apache-2.0
"""Records in PostgreSQL. The schema and the repositories are glancekit_sql_metadata's."""
