"""What happens to a submitted document until it is accepted or refused (contract §4 and §5)."""
