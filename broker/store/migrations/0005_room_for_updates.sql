-- Every delivery is updated soon after it was inserted (handed over, arrived); with room left in its page none of its
-- indexes has to be touched for that.
ALTER TABLE delivery SET (fillfactor = 70);
