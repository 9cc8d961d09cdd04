"""The watermark acknowledges every finished message once, and no other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from broker.amqp.messages import DeliveryTag
from broker.amqp.watermark import Watermark


class StrictServer:
    """What RabbitMQ does with acknowledgements: an unknown tag closes the channel."""

    def __init__(self, tags: int) -> None:
        self.unacknowledged = set(range(1, tags + 1))
        self.acknowledged: set[int] = set()

    def ack_multiple(self, tag: int) -> None:
        assert tag in self.unacknowledged, f"unknown delivery tag {tag}"
        covered = {one for one in self.unacknowledged if one <= tag}
        self.unacknowledged -= covered
        self.acknowledged |= covered

    def nack(self, tag: int) -> None:
        assert tag in self.unacknowledged, f"unknown delivery tag {tag}"
        self.unacknowledged.remove(tag)


@given(st.data())
def test_whatever_the_order_every_message_is_answered_once_and_none_too_early(data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=8))
    server = StrictServer(sum(sizes))
    mark = Watermark()
    stretches, tags_of, first = [], [], 1
    for size in sizes:
        tags = [DeliveryTag(tag) for tag in range(first, first + size)]
        stretches.append(mark.hand_out(tags))
        tags_of.append(tags)
        first += size
    finished: set[int] = set()
    returned: set[int] = set()
    for number in data.draw(st.permutations(range(len(sizes)))):
        tags = tags_of[number]
        back = data.draw(st.sets(st.sampled_from(tags)))
        for tag in mark.give_back(stretches[number], back):
            server.nack(tag)
        returned |= back
        finished |= set(tags) - back
        tag_now = mark.settle(stretches[number])
        if tag_now is not None:
            server.ack_multiple(tag_now)
        assert server.acknowledged <= finished, "a message was acknowledged before its batch was done"
    assert server.acknowledged == finished
    assert not server.unacknowledged
    assert len(mark) == 0


def test_giving_back_twice_gives_back_once() -> None:
    mark = Watermark()
    stretch = mark.hand_out([DeliveryTag(1), DeliveryTag(2)])
    assert mark.give_back(stretch, [DeliveryTag(2)]) == [2]
    assert mark.give_back(stretch, [DeliveryTag(2), DeliveryTag(7)]) == []
    assert mark.settle(stretch) == 1
