"""Vocalization type from a recordist's free text ("adult, male, song"), by a table of phrases.

`RULES` is the whole table; docs/vocalization_types.md shows the same one and a test compares them. Words match as a
whole and the longest phrase wins: "alarm call" is one phrase, "recall" is not a call and "subsong" is not a song.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import cache

from birdnet_nl.recordings.recording import VOCALIZATION_TYPES

SONG, CALL, ALARM = "song", "call", "alarm"
MULTILABEL, OTHER, UNKNOWN = "several", "other", "unknown"
FLIGHT, IGNORED = "flight call", "ignored"  # only inside the rules, never returned

FLIGHT_CALL_CHOICES = ("call", "leave_out")


@dataclass(frozen=True)
class Rule:
    """Meaning of a group of phrases.

    Attributes:
        result: the type of a text with only these phrases; `FLIGHT` is a call unless flight calls are left out.
        phrases: separated by commas, in any language; ambiguous phrases are not listed.
        part_of: types beside which an `OTHER` sound changes nothing; beside any other type the text is `MULTILABEL`.
    """

    name: str
    result: str
    phrases: str
    part_of: tuple[str, ...] = ()


RULES = (
    Rule(
        "song",
        SONG,
        "song, singing, full song, dawn song, flight song, song flight, display song, zang, zingen, zingend, "
        "baltszang, gesang, singend, balzgesang, reviergesang, chant, chanteur, chant de vol, chant en vol, "
        "canto, canción, canto en vuelo, sång, sang",
    ),
    Rule(
        "call",
        CALL,
        "call, calling, call note, contact call, social call, display call, rattle call, territorial call, roep, "
        "roepje, lokroep, contactroep, ruf, rufend, lockruf, kontaktruf, stimmfühlungsruf, cri, cri de contact, "
        "appel, reclamo, llamada, llamada de contacto, läte, lockläte, kontaktläte",
    ),
    Rule(
        "begging call",
        CALL,
        "begging call, begging, bedelroep, bedelgeluid, bettelruf, cri de quémande, reclamo de pollo, llamada de "
        "petición, tiggläte",
    ),
    Rule(
        "alarm call",
        ALARM,
        "alarm call, alarm, call alarm, alarm note, alarming, warning call, mobbing call, alarmroep, roep alarm, "
        "waarschuwingsroep, alarmruf, warnruf, cri d'alarme, cri alarme, alarme, llamada de alarma, reclamo de "
        "alarma, canto de alarma, alarma, varningsläte, varnande, varning",
    ),
    Rule(
        "flight call",
        FLIGHT,
        "flight call, call in flight, flying call, nocturnal flight call, night flight call, nfc, nocturnal "
        "migration call, vluchtroep, nachtelijke vluchtroep, vliegroep, trekroep, flugruf, nächtlicher flugruf, "
        "zugruf, cri de vol, cri en vol, cri de vol nocturne, cri de migration, llamada de vuelo, llamada en "
        "vuelo, reclamo de vuelo, reclamo en vuelo, flyktläte, flygläte",
    ),
    Rule(
        "subsong",
        OTHER,
        "subsong, sub song, plastic song, subzang, jugendgesang, subchant, subcanto, subsång",
        (SONG,),
    ),
    Rule(
        "mimicry",
        OTHER,
        "mimicry, imitation, imitatie, nabootsing, nachahmung, imitación, härmning, imitating",
        (SONG,),
    ),
    Rule("duet", OTHER, "duet, duetting, duetzang, duett, duo, dúo", (SONG, CALL)),
    Rule(
        "wings and bill",
        OTHER,
        "wing beats, wingbeats, wing beat, wingbeat, wing clap, wing clapping, clapping with wings, wing noise, "
        "wing sound, mechanical sound, vleugelslag, vleugelgeklap, flügelschlag, flügelgeräusch, bruit d'ailes, "
        "battement d'ailes, aleteo, vingslag, vingljud",
        VOCALIZATION_TYPES,
    ),
    Rule(
        "drumming",
        OTHER,
        "drumming, drum, drums, drum roll, roffel, roffelen, geroffel, trommelen, trommeln, trommelwirbel, "
        "tambourinage, tambourinement, tamborileo, trumning, trummande, bill clattering, bill clapping, "
        "klepperen, klappern",
    ),
    Rule(
        "distress call",
        OTHER,
        "distress call, distress, angstroep, angstruf, cri de détresse, llamada de angustia, ångestläte",
    ),
    Rule("other", OTHER, "other, overig, anders, sonstiges, andere, autre, otro, annat"),
    Rule(
        "several types",
        MULTILABEL,
        "mixed, mix, several, several types, multiple, gemengd, meerdere, gemischt, mehrere, mixte, plusieurs, "
        "mixto, varios, blandat, flera",
    ),
    Rule(
        "uncertain",
        UNKNOWN,
        "uncertain, unknown, unsure, possibly, probably, maybe, onzeker, onbekend, waarschijnlijk, unsicher, "
        "unbekannt, vermutlich, incertain, inconnu, incierto, desconocido, osäker, okänd",
    ),
    Rule(
        "sex",
        IGNORED,
        "male, female, sex uncertain, sex unknown, man, vrouw, mannetje, vrouwtje, männchen, weibchen, mâle, "
        "femelle, macho, hembra, hane, hona, m, f, ♂, ♀",
    ),
    Rule(
        "life stage",
        IGNORED,
        "adult, juvenile, immature, subadult, nestling, hatchling, hatchling or nestling, fledgling, chick, "
        "pullus, young, life stage uncertain, stage uncertain, ad, juv, imm, volwassen, juveniel, jong, adulte, "
        "jungvogel, nestjong, juvénile, jeune, poussin, adulto, juvenil, joven, polluelo, vuxen, unge, ungfågel",
    ),
    Rule(
        "how many and how",
        IGNORED,
        "bird, individual, pair, flock, mixed flock, group, group of, of group of, colony, in colony, in flight, "
        "several birds, migrant, migrant bird, extended, long, short, loud, soft, typical, normal, two, three, "
        "four, one, vogel, groep, groepje, kolonie, koppel, paar, schwarm, kolonie, couple, groupe, colonie, "
        "grupo, pareja, bandada, flock, par",
    ),
    Rule("joining words", IGNORED, "and, en, und, et, y, e, och, with, met, mit, avec, con, med, by, of"),
)

_SINGULAR = {
    "songs": "song", "calls": "call", "notes": "note", "alarms": "alarm", "birds": "bird", "males": "male",
    "females": "female", "adults": "adult", "juveniles": "juvenile", "nestlings": "nestling", "chicks": "chick",
    "pairs": "pair", "duets": "duet", "individuals": "individual", "roepjes": "roepje", "roepen": "roep",
    "rufe": "ruf", "gesänge": "gesang", "cris": "cri", "chants": "chant", "appels": "appel", "cantos": "canto",
    "reclamos": "reclamo", "llamadas": "llamada", "läten": "läte", "alarmroepen": "alarmroep",
    "alarmrufe": "alarmruf", "warnrufe": "warnruf", "lockrufe": "lockruf", "flugrufe": "flugruf",
    "zugrufe": "zugruf", "bettelrufe": "bettelruf", "lockläten": "lockläte", "varningsläten": "varningsläte",
}  # fmt: skip


def classify_type(text: str, *, flight_call: str = "call") -> str:
    """Classify free text, or the name of a type folder, as SONG, CALL, ALARM, MULTILABEL, OTHER or UNKNOWN.

    A word that matches no rule makes the whole text UNKNOWN, as does a question mark. `flight_call` is "call", or
    "leave_out" to make flight calls OTHER.
    """
    return _parse(text, flight_call)[0]


def types_in(text: str, *, flight_call: str = "call") -> frozenset[str]:
    """Return which of song, call and alarm a text contains, for multi-label recordings; empty if UNKNOWN."""
    return _parse(text, flight_call)[1]


def _parse(text: str, flight_call: str) -> tuple[str, frozenset[str]]:
    if flight_call not in FLIGHT_CALL_CHOICES:
        raise ValueError(f"flight_call={flight_call} is not possible; choose one of {', '.join(FLIGHT_CALL_CHOICES)}")
    rules = _rules_in(text)
    results = [_result(rule, flight_call) for rule in rules if rule is not None and rule.result != IGNORED]
    plain = frozenset(results) & frozenset(VOCALIZATION_TYPES)
    if None in rules or UNKNOWN in results or not results:
        return UNKNOWN, frozenset()
    if MULTILABEL in results or len(plain) > 1:
        return MULTILABEL, plain
    if not plain:
        return OTHER, plain
    apart = [rule for rule in rules if _result(rule, flight_call) == OTHER and not plain & set(rule.part_of)]
    return (MULTILABEL if apart else next(iter(plain))), plain


def _result(rule: Rule, flight_call: str) -> str:
    if rule.result == FLIGHT:
        return CALL if flight_call == "call" else OTHER
    return rule.result


def _rules_in(text: str) -> list[Rule | None]:
    """Return the rule of each phrase of the text in order, None for a word that matches no rule."""
    phrases = _rule_of_phrase()
    longest = max(map(len, phrases))
    rules = []
    for words in _items(text):
        start = 0
        while start < len(words):
            lengths = range(min(longest, len(words) - start), 0, -1)
            length = next((n for n in lengths if words[start : start + n] in phrases), 0)
            rules.append(phrases[words[start : start + length]] if length else None)
            start += length or 1
    return rules


def _items(text: str) -> list[tuple[str, ...]]:
    """Split a list into the words of each item, without digits and quotes; `?` becomes the word `uncertain`."""
    text = unicodedata.normalize("NFC", text).casefold().replace("’", "'").replace("?", " uncertain ")
    parts = re.split(r"[,;/&+|\n]", text)
    words = [[word.strip("'") for word in re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)*|[♂♀]", part)] for part in parts]
    return [tuple(_SINGULAR.get(word, word) for word in part) for part in words]


@cache
def _rule_of_phrase() -> dict[tuple[str, ...], Rule]:
    phrases = [(words, rule) for rule in RULES for words in _items(rule.phrases)]
    by_phrase = dict(phrases)
    ambiguous = {" ".join(words) for words, rule in phrases if by_phrase[words] is not rule}
    if ambiguous:
        raise ValueError(f"RULES gives two meanings to {sorted(ambiguous)}")
    return by_phrase
