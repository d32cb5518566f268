"""Parts of the live page that its routes share."""

from birdnet_nl.live.connections import Connections
from birdnet_nl.live.events import Events
from birdnet_nl.live.media import Media
from birdnet_nl.live.pages import Pages
from birdnet_nl.live.settings import LiveSettings


class Live:
    """Parts that the routes share."""

    def __init__(self, settings: LiveSettings) -> None:
        self.settings = settings
        self.connections = Connections(settings.database)
        self.events = Events(self.connections)
        self.media = Media(settings)
        self.pages = Pages(settings)
