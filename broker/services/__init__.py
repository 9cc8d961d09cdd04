"""Private RabbitMQ and PostgreSQL servers for development, tests and the demonstration (design §10).

`up` starts what is missing, `down` ends what it started, `erase` also removes it, `status` looks. Everything lives
below one root folder (`.local` in a checkout) and listens on the loopback interface only. Not for production: sites run
their own servers and name them in `LIENTHONG_AMQP_URL` and `LIENTHONG_DATABASE_URL`.
"""

from broker.services.local import Status, down, erase, status, up
from broker.services.record import Endpoints

__all__ = ["Endpoints", "Status", "down", "erase", "status", "up"]
