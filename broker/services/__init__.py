"""Private RabbitMQ and PostgreSQL servers for development, tests and the demonstration (design §10).

`up` starts what is missing, `down` ends what it started, `status` looks. Everything lives below one root folder
(`.local` in a checkout) and listens on the loopback interface only. Not for production: sites run their own servers
and name them in `LIENTHONG_AMQP_URL` and `LIENTHONG_DATABASE_URL`.
"""

from broker.services.local import Status, down, status, up
from broker.services.record import Endpoints

__all__ = ["Endpoints", "Status", "down", "status", "up"]
