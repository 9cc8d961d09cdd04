"""The wire contract as code: pure, with no I/O, no clock, no network and no database."""
