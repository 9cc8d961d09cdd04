"""The operators' commands: one file for each group, nothing but reading arguments and showing results."""
