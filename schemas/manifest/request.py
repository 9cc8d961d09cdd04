"""The manifest of a request (contract §2.6): an agency asks the exchange for something."""

from typing import Literal

from schemas.manifest.common import Manifest, Moment


class RequestManifest(Manifest):
    """Asks that everything for this mailbox since `since` comes again."""

    kind: Literal["request"] = "request"
    request: Literal["replay"]
    since: Moment
