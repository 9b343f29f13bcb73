# SPDX-License-Identifier: Apache-2.0
"""Records in one SQLite file. The schema and the repositories are glancekit_sql_metadata's."""
