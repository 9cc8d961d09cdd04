"""A certificate authority for development and small trials; in production the government's is configured instead."""
