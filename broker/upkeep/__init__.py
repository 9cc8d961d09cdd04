"""What the keeper does on a schedule, each task in a file of its own.

Every write is made inside `Lease.writing()`, so that a keeper whose lease was taken over can do no harm. No task holds
a lock that a delivery needs while it waits for RabbitMQ.
"""
