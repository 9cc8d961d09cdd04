"""Every page of the table with every value that its path can take in a scene."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product

from broker.gateway.pages.guard import Page
from broker.gateway.pages.routes import PAGES
from tests.kit.scene import AN_GIANG, FAR_WARD, HANOI, WARD, Scene


def every_address(scene: Scene) -> Iterator[tuple[Page, str]]:
    """All of them; documents with their own sender."""
    letters = (scene.telegram, scene.inside, scene.outside)
    values = {
        "form": ("csv", "xlsx"),
        "recipient": (WARD, FAR_WARD),
        "province": (HANOI, AN_GIANG),
        "code": (HANOI, WARD, AN_GIANG, FAR_WARD),
        "trouble": ("overdue", "refused"),
        "letter": ("nobody-knows-it",),
        "number": (str(scene.quarantined),),
    }
    for page in PAGES:
        names = re.findall(r"{(\w+)}", page.path)
        what = ("hold", "resend") if "documents" in page.path else ("replay", "discard")
        documents = [(letter.manifest["from"], str(letter.id)) for letter in letters]
        for sender, identifier in documents if "id" in names else [("", "")]:
            rest = [name for name in names if name not in ("sender", "id")]
            choices = [what if name == "what" else values[name] for name in rest]
            for chosen in product(*choices):
                named = dict(zip(rest, chosen, strict=True)) | {"sender": sender, "id": identifier}
                yield page, page.path.format(**named)
