"""Parts above the inline limit, behind one interface (contract §6)."""
