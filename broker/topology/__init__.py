"""Exchanges, queues, bindings and rights of contract §3, as data.

`model` says what there should be, `actual` reads what there is, `plan` compares, `apply` creates what is missing.
`permissions` gives each agency's AMQP user exactly its rights. Nothing here publishes or reads a message.
"""
