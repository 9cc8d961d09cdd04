"""What an operator may do to documents and to quarantined messages, each with a reason that is kept (design §11)."""
