"""The exchange's side of AMQP: connections that come back, publishing with confirms, reading in batches, management."""
