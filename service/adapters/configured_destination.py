"""What every destination takes from its settings."""

from typing import Generic, TypeVar

from service.destination_settings import DestinationSettings

Of = TypeVar("Of", bound=DestinationSettings)


class ConfiguredDestination(Generic[Of]):
    """Name and kinds of `ports.Destination`; how something is sent is for the protocol to say."""

    def __init__(self, *, settings: Of) -> None:
        self._settings = settings

    @property
    def name(self) -> str:
        """The configured name."""
        return self._settings.name

    @property
    def kinds(self) -> frozenset[str]:
        """Which kinds of object it takes."""
        return frozenset(self._settings.kinds)
