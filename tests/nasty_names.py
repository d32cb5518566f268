"""Names of folders as people have them, for tests of paths."""

import unicodedata

NASTY_CHARACTERS = "()[]{},'\"=#&;~!$%\\`@:*?<>|+^"
NASTY_NAMES = [
    "two words",
    "Bird (2024), it's = #1",
    unicodedata.normalize("NFC", "Vögel café"),
    unicodedata.normalize("NFD", "Vögel café"),
    "[brackets]",
    "[a,b]",
    "{braces}",
    "a,b",
    "~old",
    "~",
    "-m",
    "2024",
    "null",
    "true",
    "1e5",
    "synthetic",
    "'quoted'",
    '"quoted"',
    "choice(a,b)",
    "glob(*)",
    "100%d {0} %(name)s",
    "$HOME",
    "back\\slash\\",
    ":bird: [red]x[bold]",
    "a::b",
    " blanks ",
    "line\nbreak",
    "\udce9t\udce9",  # bytes that are no UTF-8
    *(f"x{character}y" for character in NASTY_CHARACTERS),
    *(character for character in NASTY_CHARACTERS if character not in ".~"),
]
