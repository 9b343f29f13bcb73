# SPDX-License-Identifier: Apache-2.0
"""Records in MariaDB or MySQL. The schema and the repositories are glancekit_sql_metadata's."""
