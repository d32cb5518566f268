"""Words of the type texts (type_words.csv), and the rule of each word of a text.

A word matches in the singular or plural, as a part of a compound ("alarmcall", "contactroep"), or with a plain typo.
docs/vocalization_types.md shows the words of all rules.
"""

import csv
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path


@dataclass(frozen=True)
class Rule:
    """Meaning of a group of words.

    Attributes:
        result: of song, call and alarm the type of a text with only these words, or "flight call" (a call unless
            flight calls are left out), "excluded" or "ignored".
        words: separated by commas, in any language, in the singular; a phrase of several words wins over its words.
        part_of: types beside which an "other" sound changes nothing; beside any other type the result is "several".
    """

    name: str
    result: str
    words: str
    part_of: tuple[str, ...] = ()


def _read_rules() -> tuple[Rule, ...]:
    with Path(__file__).with_name("type_words.csv").open(encoding="utf-8", newline="") as file:
        return tuple(
            Rule(row["rule"], row["result"], row["words"], tuple(filter(None, row["part_of"].split(", "))))
            for row in csv.DictReader(file)
        )


RULES = _read_rules()

KINDS_OF_CALL = ("begging call", "alarm call", "distress call")
SEPARATE_SOUNDS = ("subsong", "mimicry", "duet", "wings", "drumming", "flight call", "nocturnal flight call")
VOICE = "voice without a type"
SOUNDS = {"song", "call", VOICE, *SEPARATE_SOUNDS, *KINDS_OF_CALL}
PARTS = {*SOUNDS, "in flight", "contact"}  # of a compound such as "alarmcall"
MAX_LETTERS = 40  # of a word; a longer one is no word, and looking for its parts takes quadratic time
LIKE = "~"  # in place of the end of "song-like"

_TYPO_WORDS = (
    "song", "call", "alarm", "flight", "begging", "subsong", "drumming", "mimicry", "imitation", "distress", "gesang",
    "reclamo", "llamada",
)  # fmt: skip
_PLURALS = (("ies", "y"), ("s", ""), ("es", ""))
_GERMANIC = re.compile(  # nouns and their plurals, alone or after another noun of at least three letters
    r"(?P<first>\w{3,}?)?(?P<head>(?:(?<!g)|(?<=vlieg))roep|ruf|ges[aä]ng|zang|läte|sång|(?<=\w{3})(?:laut|geluid|ljud))"
    r"(?:e|en|s|je|jes|n|(?<=sång)er)?"
)
_EVERYDAY = ("bird", "vogel", "fågel")  # "birdsong" is any sound of a bird, "songbird" is no sound
_PREFIXES = {"wing": "wing", "vleugel": "wing", "flügel": "wing", "drum": "drum", "trommel": "drum", "roffel": "drum"}


def rule_names(clause: str) -> list[str]:
    """Return the name of the rule of each word of a clause in lower case, or "" for a word without one."""
    phrases, _ = _vocabulary()
    tokens = re.findall(rf"[^\W\d_]+|[?/&+{LIKE}]", clause)
    words = [word for token in tokens for word in _resolve(token)]
    names: list[str] = []
    start = 0
    while start < len(words):
        length = next((n for n in (4, 3, 2, 1) if tuple(words[start : start + n]) in phrases), 0)
        if words[start] == LIKE:
            is_about_sound = names[-1:] and names[-1] in SOUNDS - {VOICE}
            names[-1:] = ["doubt" if is_about_sound else ""]  # "song-like", but not "flute-like"
        else:
            names.append(phrases[tuple(words[start : start + length])] if length else "")
        start += length or 1
    return names


@cache
def _vocabulary() -> tuple[dict[tuple[str, ...], str], frozenset[str]]:
    """Return the rule of each phrase, and all words of the phrases."""
    phrases: dict[tuple[str, ...], str] = {}
    for rule in RULES:
        for phrase in rule.words.split(", "):
            words = tuple(phrase.split())
            if phrases.setdefault(words, rule.name) != rule.name:
                raise ValueError(f"type_words.csv gives two meanings to {phrase!r}")
    return phrases, frozenset(word for words in phrases for word in words)


@lru_cache(maxsize=65536)
def _resolve(word: str) -> tuple[str, ...]:
    """Return the singular of a word, the parts of a compound ("alarmcall"), or the word that it is a typo of."""
    if len(word) > MAX_LETTERS:
        return (word,)
    phrases, known = _vocabulary()
    singulars = [word, *(word[: -len(end)] + new for end, new in _PLURALS if word.endswith(end) and len(word) > 3)]
    if singular := next((singular for singular in singulars if singular in known), ""):
        return (singular,)
    if word.startswith(_EVERYDAY):
        return (word,)
    if prefix := next((prefix for prefix in _PREFIXES if word.startswith(prefix)), ""):
        return (_PREFIXES[prefix],)
    if match := _GERMANIC.fullmatch(word):
        first, head = match["first"] or "", match["head"].replace("gesäng", "gesang")
        inside = [name for name in known if name in first and (len(name) > 3 or name == first)]
        modifiers = [name for name in inside if phrases.get((name,)) in PARTS - {"song", "call", VOICE}]
        return (*sorted(modifiers, key=len)[-1:], head)
    for singular in singulars:
        if typo_of := [name for name in _TYPO_WORDS if _is_typo(singular, name)]:
            return (typo_of[0],)
    for split in range(3, len(word) - 2):
        lasts = (word[split:], word[split:].removesuffix("s"))
        last = next((name for name in lasts if phrases.get((name,)) in PARTS), "")
        if last and len(first := _resolve(word[:split])) == 1 and phrases.get(first) in PARTS:
            return (*first, last)
    return (word,)


def _is_typo(word: str, intended: str) -> bool:
    """Return whether a word has a letter doubled, or, for five letters or more, one more, less, changed or swapped."""
    if len(word) < 4 or word[0] != intended[0]:
        return False
    if len(word) > 4 and re.sub(r"(.)\1+", r"\1", word) == re.sub(r"(.)\1+", r"\1", intended):
        return True
    start = 0
    while start < min(len(word), len(intended)) and word[start] == intended[start]:
        start += 1
    a, b = word[start:], intended[start:]
    return len(intended) >= 5 and (a[1:] in (b, b[1:]) or a == b[1:] or (a[:2] == b[1::-1] and a[2:] == b[2:]))
