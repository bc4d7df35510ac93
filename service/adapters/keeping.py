"""The one way in for an instance, whether it came by C-STORE or by HTTP: durable file, then committed row."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from service.core.instance import ContentDigest
from service.errors import NotFound, Unavailable
from service.ports import InstanceStore
from service.records import ReceivedInstance

T = TypeVar("T")


def keep_instance(
    path: Path,
    digest: ContentDigest,
    *,
    store: InstanceStore,
    save: Callable[[ReceivedInstance], T],
    describe: Callable[[str], ReceivedInstance],
) -> T:
    """What `save` gives for what `describe` makes of the storage key. Raises what the sender must be told."""
    key = store.adopt(path, digest)
    saved = save(describe(key))
    try:
        store.path(key)
    except NotFound as error:
        raise Unavailable("The instance was removed by retention while it was stored; send it again") from error
    return saved
