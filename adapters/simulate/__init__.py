"""Hundreds of offices in one process: the other end of demonstrations and endurance runs."""
