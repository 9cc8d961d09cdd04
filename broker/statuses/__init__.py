"""What agencies report about deliveries: judged item by item, recorded, folded into states, forwarded as signed."""
