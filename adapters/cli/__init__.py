"""`lienthong-agency`: the same SDK for a terminal."""
