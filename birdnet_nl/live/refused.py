"""Error of a request that is refused."""


class RefusedError(Exception):
    """A request that is refused; the text is a key of `texts.DUTCH` and is shown to the user."""

    def __init__(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(text)
        self.status, self.text, self.headers = status, text, headers or {}
