"""Voice of a bird as data, and the notation of `voices.txt`.

A voice is one vocalization type of one species: one or more variants, each a sequence of parts followed by a pause; a
part is a sequence of syllables. In the notation:

    koolmees song: pause 1.5-4
      8-20 at 4-7, cycle: whistle 4.5-5.5 80-160 down; whistle 3-4.3 80-160
      then 2 at 5, -6 dB: click 4-8 8-20

This voice has pauses of 1.5–4 s and one variant of two parts. The first part has 8–20 syllables at 4–7 per second, two
whistles in turn: 4.5–5.5 kHz, 80–160 ms, falling, and 3–4.3 kHz. The second part has two clicks. A line without `then`
starts another variant.
"""

from dataclasses import dataclass

from birdnet_nl.recordings.recording import VOCALIZATION_TYPES

Range = tuple[float, float]
KINDS = ("whistle", "stack", "rattle", "click")
SHAPES = ("any", "flat", "up", "down", "arch")
ORDERS = ("series", "cycle", "mixed")
FURTHER_TYPES = ("drumming",)  # that only some species have
ALL_TYPES = (*VOCALIZATION_TYPES, *FURTHER_TYPES)


@dataclass(frozen=True)
class Syllable:
    """One sound of a bird; ranges are (minimum, maximum).

    Attributes:
        kind: `whistle` (tone), `stack` (tone with harmonics), `rattle` (pulsed noise) or `click` (noise, sharp start).
        khz: the range of the tone (`stack`: of its fundamental), or the band of the noise.
        shape: the contour of the pitch: `flat`, `up`, `down`, `arch`, or `any`, drawn for each theme.
        fm_hz, fm_depth: fast vibrato and its depth as a share of the frequency.
        pulse_hz: pulses per second of a `rattle`, or tremolo of a `stack`.
        peak_khz: the frequency of a `stack` with most energy; zeros mean the fundamental.
        noise: the share of noise in a `stack`, 0 to 1.
    """

    kind: str
    khz: Range
    ms: Range
    shape: str = "any"
    fm_hz: Range = (0.0, 0.0)
    fm_depth: float = 0.0
    pulse_hz: Range = (0.0, 0.0)
    peak_khz: Range = (0.0, 0.0)
    noise: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS or self.shape not in SHAPES or not 0 < self.khz[0] <= self.khz[1] < 12:
            raise ValueError(f"{self} is not possible; kinds are {KINDS}, shapes {SHAPES}, frequencies below 12 kHz")


@dataclass(frozen=True)
class Part:
    """A sequence of syllables.

    Attributes:
        rate_hz: syllables per second at the start; `accelerate` is the rate at the end divided by it.
        order: `series` (one of the syllables, repeated), `cycle` (all in order, repeated) or `mixed` (each note drawn
            at random).
        glide: the frequency at the end divided by the one at the start.
    """

    syllables: tuple[Syllable, ...]
    count: tuple[int, int]
    rate_hz: Range
    order: str = "series"
    glide: float = 1.0
    accelerate: float = 1.0
    level_db: float = 0.0


@dataclass(frozen=True)
class Voice:
    """One vocalization type of one species.

    Attributes:
        variants: forms of this type; each theme of an individual follows one of them.
        pause_s: silence between two utterances.
        fresh: whether every utterance is new instead of one of the individual's few themes.
        level_db: level relative to the other types of the species.
    """

    variants: tuple[tuple[Part, ...], ...]
    pause_s: Range
    fresh: bool = False
    level_db: float = 0.0


def parse_voices(text: str) -> dict[str, dict[str, Voice]]:
    """Parse the notation above to voices by species and vocalization type; `#` starts a comment."""
    voices: dict[str, dict[str, Voice]] = {}
    for block in _blocks(text):
        head, *lines = block
        name, options = head.split(":")
        slug, vocalization_type = name.split()
        if vocalization_type not in ALL_TYPES:
            raise ValueError(f"{head!r} names no vocalization type; choose one of {', '.join(ALL_TYPES)}")
        variants: list[tuple[Part, ...]] = []
        for line in lines:
            if line.startswith("then "):
                variants[-1] += (_part(line.removeprefix("then ")),)
            else:
                variants.append((_part(line),))
        words = options.replace(",", " ").split()
        voice = Voice(tuple(variants), _range(_after(words, "pause")), "fresh" in words, float(_before(words, "dB")))
        voices.setdefault(slug, {})[vocalization_type] = voice
    return voices


def _blocks(text: str) -> list[list[str]]:
    """Split into the lines of each voice: a heading without indentation and the indented lines below it."""
    blocks: list[list[str]] = []
    for line in text.splitlines():
        content = line.split("#")[0].rstrip()
        if content and not content.startswith(" "):
            blocks.append([content])
        elif content.lstrip().startswith(";"):  # more syllables for the line above
            blocks[-1][-1] += content.strip()
        elif content:
            blocks[-1].append(content.strip())
    return blocks


def _part(line: str) -> Part:
    options, syllables = line.split(":")
    words = options.replace(",", " ").split()
    count = _range(words[0])
    return Part(
        syllables=tuple(_syllable(text.split()) for text in syllables.split(";")),
        count=(int(count[0]), int(count[1])),
        rate_hz=_range(_after(words, "at")),
        order=next((word for word in words if word in ORDERS), "series"),
        glide=float(_after(words, "glide", "1")),
        accelerate=float(_after(words, "accelerate", "1")),
        level_db=float(_before(words, "dB")),
    )


def _syllable(words: list[str]) -> Syllable:
    kind, khz, ms, *options = words
    return Syllable(
        kind=kind,
        khz=_range(khz),
        ms=_range(ms),
        shape=next((word for word in options if word in SHAPES), "any"),
        fm_hz=_range(_after(options, "fm")),
        fm_depth=float(_after(options, "depth")),
        pulse_hz=_range(_after(options, "pulse")),
        peak_khz=_range(_after(options, "peak")),
        noise=float(_after(options, "noise")),
    )


def _after(words: list[str], key: str, default: str = "0") -> str:
    return words[words.index(key) + 1] if key in words else default


def _before(words: list[str], key: str, default: str = "0") -> str:
    return words[words.index(key) - 1] if key in words else default


def _range(text: str) -> Range:
    """Parse `4-7` as (4.0, 7.0) and `5` as (5.0, 5.0)."""
    low, _, high = text.partition("-")
    return float(low), float(high or low)
