"""Vocalization type from a recordist's free text ("adult, male, song"), by a small grammar.

`type_words` gives each word the name of its rule, and docs/vocalization_types.md shows the rules. A text is split into
clauses at `,` `;` `.` `|`, and a clause into phrases at "and", "with", `/`, `&` and `+`. A phrase names a sound if it
contains a word such as "song" or "call"; a word such as "alarm" before or after it changes the type of a call, and all
other words have no effect: "alarm call", "call (alarm)", "short calls at nest".
"""

import re
import unicodedata
from functools import lru_cache

from birdnet_nl.recordings.type_set import FLIGHT_CALLS, THREE, TypeSet
from birdnet_nl.recordings.type_words import KINDS_OF_CALL, LIKE, PARTS, RULES, SEPARATE_SOUNDS, VOICE, rule_names

SONG, CALL, ALARM = "song", "call", "alarm"
MULTILABEL, OTHER, UNKNOWN = "several", "other", "unknown"
FLIGHT, EXCLUDED, IGNORED = "flight call", "excluded", "ignored"  # only inside the rules, never returned

_RULE = {rule.name: rule for rule in RULES}
_BEFORE_CALL = {"in flight", "contact", "several types", "other", ""}  # not "male" and the like
_SEPARATORS = r"[,;.|•·\n]"


def classify_type(text: str, type_set: TypeSet = THREE) -> str:
    """Classify free text, or the name of a type folder, as a type of the set, MULTILABEL, OTHER or UNKNOWN.

    Doubt about a sound makes the whole text UNKNOWN unless the result is the same without this sound.
    """
    return _parse(text, type_set)[0]


def types_in(text: str, type_set: TypeSet = THREE) -> frozenset[str]:
    """Return which types of the set a text contains, for multi-label recordings; empty if UNKNOWN."""
    return _parse(text, type_set)[1]


@lru_cache(maxsize=65536)
def _parse(text: str, type_set: TypeSet) -> tuple[str, frozenset[str]]:
    own = {part: type_set.type_of_text.get(" ".join(part.casefold().split())) for part in re.split("[,;|]", text)}
    named = frozenset(name for name in own.values() if name)
    if not named:
        return _parse_sounds(text, type_set)
    rest, types = _parse_sounds(", ".join(part for part, name in own.items() if not name), type_set)
    types |= named
    return (MULTILABEL if rest in (MULTILABEL, OTHER) or len(types) > 1 else min(named)), types


def _parse_sounds(text: str, type_set: TypeSet) -> tuple[str, frozenset[str]]:
    certain, doubted = [], []
    for names in _clauses(text):
        if "negation" in names:
            names = names[: names.index("negation")]
        sounds = _sounds_in([name for name in names if name != "doubt"])
        if "doubt" not in names:
            certain += sounds
        elif not set(names) <= {"doubt", "sound", "and", "with"}:
            doubted += sounds  # none in "sex uncertain"
        else:
            return UNKNOWN, frozenset()
    reading = _combine(certain, type_set)
    return reading if _combine(certain + doubted, type_set) == reading else (UNKNOWN, frozenset())


def _combine(sounds: list[str], type_set: TypeSet) -> tuple[str, frozenset[str]]:
    of_sound = {name: type_set.type_of.get(name) for name in sounds}
    plain = frozenset(name for name in of_sound.values() if name)
    if not of_sound:
        return UNKNOWN, plain
    if MULTILABEL in (_RULE[name].result for name in sounds) or len(plain) > 1:
        return MULTILABEL, plain
    if not plain:
        return OTHER, plain
    beside = {CALL if sound in FLIGHT_CALLS else _RULE[sound].result for sound, name in of_sound.items() if name}
    apart = [sound for sound, name in of_sound.items() if not name and not beside & set(_RULE[sound].part_of)]
    return (MULTILABEL if apart else next(iter(plain))), plain


def _sounds_in(names: list[str]) -> list[str]:
    """Return the sounds of a clause from the names of the rules of its words, "" for a word without a rule."""
    for whole in ("several types", "other"):  # "several, other sounds", but not "several calls"
        if whole in names and set(names) <= {whole, "sound", "and"}:
            return [whole]
    if "mimicry" in names:  # the sounds after "imitation of" are another bird's
        end = names.index("mimicry") + 1
        if names[end : end + 1] == [""]:
            names = names[:end]
    phrases: list[list[str]] = [[]]
    for name in names:
        if name in ("and", "with"):
            phrases.append([])
        else:
            phrases[-1].append(name)
    last_call = max((index for index, phrase in enumerate(phrases) if "call" in phrase), default=-1)
    is_one_list, has_call = "with" not in names, bool({"call", *KINDS_OF_CALL} & set(names))
    sounds = []
    for index, phrase in enumerate(phrases):
        found = _sounds_in_phrase(phrase)
        before_call = index < last_call and is_one_list
        shares_call = before_call and len(phrase) <= 2 and _BEFORE_CALL & set(phrase)  # "soft and alarm calls"
        is_kind = has_call and phrase in (["in flight"], ["contact"])  # "alarm/contact"
        if not found and (shares_call or is_kind or names == ["contact"]):
            found = _sounds_in_phrase([*phrase, "call"])
        sounds += found
    return sounds


def _sounds_in_phrase(names: list[str]) -> list[str]:
    """Return the sounds of a phrase; each "song" or "call" takes the words before it, the last one those after it."""
    parts: list[list[str]] = [[]]
    for name in names:
        parts[-1].append(name)
        if name in ("song", "call"):
            parts.append([])
    if len(parts) > 1:
        tail = parts.pop()
        parts[-1] += tail
    sounds = []
    for part in parts:
        kinds = [name for name in part if name in KINDS_OF_CALL]
        sounds += [name for name in part if name in SEPARATE_SOUNDS] + kinds
        head = next((name for name in part if name in ("song", "call")), "")
        if head and part[: part.index(head)][-1:] == ["wings"]:
            continue  # "mechanical call"
        if head == "song":
            sounds.append("song")
        elif head == "call" and not kinds:
            sounds.append(FLIGHT if "in flight" in part else "call")
        elif not head and not kinds and "contact" in part and {VOICE, "sound"} & set(part):
            sounds.append("call")  # "contact notes"
        elif not head and not kinds and VOICE in part:
            sounds.append(VOICE)
    return sounds


def _clauses(text: str) -> list[list[str]]:
    """Split a text into clauses, and give each word the name of its rule, or "" without one."""
    text = unicodedata.normalize("NFC", text).casefold().replace("’", "'")
    text = re.sub(r"(?<=\w{3})-?like\b", f" {LIKE}", text)
    text = re.sub(r"'s\b", "", re.sub(r"\b(d|l|un|qu)'", r"\1 ", text)).replace("'", "")
    text = re.sub(r"\s[-–—]+\s|[–—→>\\]", " & ", text)
    text = re.sub(r"\b(ad|evtl|imm|juv|poss|prob)\.", r"\1", text)
    text = re.sub(r"[(\[{]([^()\[\]{}]*)[)\]}]", lambda match: f" {_bracket(match[1])} ", text)
    return [rule_names(clause) for clause in re.split(_SEPARATORS, text)]


def _bracket(text: str) -> str:
    """Return the text of a bracket as a part of its clause; without a doubt that is not about a sound."""
    names = rule_names(text)
    is_aside = "doubt" in names and not PARTS & set(names) and not set(names) <= {"doubt", "sound"}
    return "" if is_aside else re.sub(_SEPARATORS, " / ", text)
