"""Sets of vocalization types, and the sounds of the type texts that belong to each type."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from birdnet_nl.recordings.type_words import SOUNDS, VOICE

FLIGHT_CALLS = ("flight call", "nocturnal flight call")
FLIGHT_CALL_CHOICES = ("call", "leave_out")
OWN_TEXT = "text:"  # before a type text of one's own in `data.sounds`, as in rattle: ["text:rattle"]
NAMES_OF_RESULTS = frozenset({"several", "other", "unknown"})  # of `classify_type`, beside the types


def own_text(sound: str) -> str:
    """Return the text in `text:rattle`, in lower case with single spaces; empty for a sound of `type_words.csv`."""
    return " ".join(sound.removeprefix(OWN_TEXT).casefold().split()) if sound.startswith(OWN_TEXT) else ""


@dataclass(frozen=True)
class TypeSet:
    """Vocalization types that a classifier distinguishes, in the order of every table, plot and network output.

    Attributes:
        sounds: of each type, names of the rules in `type_words.csv`; a sound that belongs to no type is other, and a
            recording of it is left out. `text:rattle` is a text of one's own: a type text, or a part of it between
            commas, that is exactly this text, in any case.
    """

    sounds: tuple[tuple[str, tuple[str, ...]], ...]

    def __post_init__(self) -> None:
        of_sound: dict[str, str] = {}
        for name, sounds in self.sounds:
            if not name.isidentifier() or name in NAMES_OF_RESULTS:
                raise ValueError(
                    f"data.sounds: {name} cannot be the name of a type; write letters, digits and _, and none of "
                    f"{', '.join(sorted(NAMES_OF_RESULTS))}"
                )
            for sound in sounds:
                if sound not in SOUNDS - {VOICE} and not own_text(sound):
                    raise ValueError(
                        f"data.sounds.{name}: {sound} is no sound of the type texts; choose among "
                        f"{', '.join(sorted(SOUNDS - {VOICE}))}, or write {OWN_TEXT}{sound} for a text of your own"
                    )
                if sound in of_sound:
                    raise ValueError(f"data.sounds: {sound} is in {of_sound[sound]} and in {name}; leave it in one")
                of_sound[sound] = name

    @classmethod
    def of(cls, sounds: Mapping[str, Sequence[str]], flight_call: str = "call") -> "TypeSet":
        """Build a set from `data.sounds`; `flight_call` is `call`, or `leave_out` to take flight calls out of `call`.

        Raises:
            ValueError: for a name or a sound that does not exist, or a sound in two types.
        """
        if flight_call not in FLIGHT_CALL_CHOICES:
            raise ValueError(
                f"flight_call={flight_call} is not possible; choose one of {', '.join(FLIGHT_CALL_CHOICES)}"
            )
        left_out = {("call", sound) for sound in FLIGHT_CALLS} if flight_call == "leave_out" else set()
        return cls(
            tuple(
                (str(name), tuple(str(sound) for sound in of_type if (name, sound) not in left_out))
                for name, of_type in sounds.items()
            )
        )

    @property
    def types(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.sounds)

    @cached_property
    def type_of(self) -> dict[str, str]:
        """Type of each sound that belongs to one."""
        return {sound: name for name, sounds in self.sounds for sound in sounds}

    @cached_property
    def type_of_text(self) -> dict[str, str]:
        """Type of each text of one's own, which is in lower case."""
        return {own_text(sound): name for name, sounds in self.sounds for sound in sounds if own_text(sound)}

    def as_dict(self) -> dict[str, list[str]]:
        """Return the value of `data.sounds`, for a checkpoint."""
        return {name: list(sounds) for name, sounds in self.sounds}

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash(self.sounds)


THREE = TypeSet((("song", ("song",)), ("call", ("call", "begging call", *FLIGHT_CALLS)), ("alarm", ("alarm call",))))
"""Song, call and alarm, as in conf/data/types/three.yaml."""


def type_order(name: str) -> tuple[int, str]:
    """Return a sort key: song, call and alarm first, then other types by name."""
    return (THREE.types.index(name) if name in THREE.types else len(THREE.types), name)


def three(flight_call: str) -> TypeSet:
    """Return song, call and alarm with flight calls as calls (`call`), or without them (`leave_out`)."""
    return TypeSet.of(THREE.as_dict(), flight_call)
