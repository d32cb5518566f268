"""Texts of the live page: English in the code and the templates, Dutch here; a missing one is an error."""

from collections.abc import Callable
from datetime import date

from birdnet_nl.recordings.type_colours import TYPE_COLOURS
from birdnet_nl.species.table import find_species

LANGUAGES = ("en", "nl")
MAX_ACCEPTED = 200  # characters of Accept-Language that are read
DUTCH = {
    # types and states
    "song": "zang", "call": "roep", "alarm": "alarm", "wrong": "andere soort of geen vogel", "none": "zonder type",
    "uncertain": "onzeker", "new": "nieuw", "waiting for audio": "wacht op geluid", "done": "klaar",
    "no model": "geen model", "audio gone": "geluid gewist", "failed": "mislukt", "drumming": "roffel",
    "flight_call": "vluchtroep", "nocturnal_flight_call": "nachttrekroep", "begging": "bedelroep",
    "subsong": "subzang", "duet": "duet", "distress": "noodroep", "other type": "ander type",
    # navigation
    "Live": "Live", "Today": "Vandaag", "Day": "Dag", "Patterns": "Patronen", "To check": "Nakijken",
    "Language": "Taal", "Skip to the detections": "Naar de waarnemingen", "Log in": "Inloggen", "Log out": "Uitloggen",
    "Token": "Token", "read-only": "alleen lezen", "Previous day": "Vorige dag", "Next day": "Volgende dag",
    "connected": "verbonden", "not connected": "niet verbonden",
    "Bird vocalizations, live": "Vogelgeluiden, live", "Pages": "Pagina’s",
    # day
    "detections": "waarnemingen", "detection": "waarneming", "species": "soorten", "Species": "Soort", "Type": "Type",
    "Certainty": "Zekerheid", "all species": "alle soorten", "all types": "alle typen", "all": "alle",
    "certain": "zeker", "corrected": "nagekeken", "uncorrected": "niet nagekeken", "Show": "Toon",
    "Reset": "Wis filters",
    "CSV": "CSV", "Download as CSV": "Download als CSV", "Show more": "Toon meer", "Filters": "Filters",
    "Detections": "Waarnemingen", "of": "van", "new detections": "nieuwe waarnemingen", "waiting": "in de wachtrij",
    "Play": "Speel", "Pause": "Pauze", "Spectrogram": "Spectrogram", "No audio": "Geen geluid",
    "The recording cannot be played here.": "De opname kan hier niet worden afgespeeld.",
    "probability": "kans", "Probabilities": "Kansen", "model": "model",
    "right": "klopt", "wrong species": "andere soort",
    "Wrong: another species, or no bird": "Fout: een andere soort, of geen vogel",
    "Correct this prediction": "Kijk deze voorspelling na", "corrected by": "nagekeken door", "Withdraw": "Trek in",
    "It is": "Het is", "withdrawn": "ingetrokken", "saved": "bewaard", "Your name": "Je naam",
    "Your name is stored with each correction, and remembered in this browser.":
        "Je naam wordt bij elke correctie bewaard, en in deze browser onthouden.",
    "Save": "Bewaar", "Cancel": "Annuleer", "Not saved": "Niet bewaard",
    # highlights
    "Highlights": "Bijzonderheden", "First song of the year": "Eerste zang van het jaar", "Dawn song": "Ochtendzang",
    "Alarm bursts": "Alarmgolven", "sunrise": "zonsopkomst", "None on this day.": "Niet op deze dag.",
    "before sunrise": "voor zonsopkomst", "after sunrise": "na zonsopkomst", "min": "min",
    "First song of each species from two hours before sunrise to one hour after.":
        "Eerste zang van elke soort, van twee uur voor tot een uur na zonsopkomst.",
    "At least two species alarming, at most five minutes apart.":
        "Minstens twee soorten alarmeren, hoogstens vijf minuten na elkaar.",
    "Species whose first certain song of the year is on this day.":
        "Soorten waarvan de eerste zekere zang van het jaar op deze dag valt.",
    # patterns
    "Types by hour": "Typen per uur", "Types by week": "Typen per week", "Hour": "Uur", "Week": "Week", "Year": "Jaar",
    "First song of each year": "Eerste zang per jaar", "Dawn song of the last days": "Ochtendzang van de laatste dagen",
    "Show as a table": "Toon als tabel", "Time": "Tijd", "total": "totaal",
    "Certain and corrected detections only.": "Alleen zekere en nagekeken waarnemingen.",
    "Earliest song of each day, relative to sunrise.": "Vroegste zang van elke dag, ten opzichte van zonsopkomst.",
    "No certain song yet.": "Nog geen zekere zang.",
    "Patterns of the year": "Patronen van het jaar",
    # to check
    "The least certain detections without a correction; each tap helps the next training.":
        "De onzekerste waarnemingen die nog niet zijn nagekeken; elke tik helpt de volgende training.",
    "Everything is checked.": "Alles is nagekeken.",
    # empty states
    "There are no detections yet.": "Er zijn nog geen waarnemingen.",
    "Start the reader of the station; detections then appear here by themselves.":
        "Start het uitlezen van het station; waarnemingen verschijnen dan hier vanzelf.",
    "No detections on this day.": "Geen waarnemingen op deze dag.",
    "New detections appear here by themselves.": "Nieuwe waarnemingen verschijnen hier vanzelf.",
    "The latest detections are of": "De laatste waarnemingen zijn van",
    "No detection matches the filters.": "Geen waarneming past bij de filters.",
    "No certain detection of this species in this year.": "Dit jaar geen zekere waarneming van deze soort.",
    "No species has a prediction in this year.": "In dit jaar heeft geen soort een voorspelling.",
    # login
    "This page needs a token. It is in the file that the server was started with.":
        "Deze pagina vraagt een token. Het staat in het bestand waarmee de server is gestart.",
    "The token is not right.": "Het token klopt niet.",
    # refusals
    "Not possible": "Niet mogelijk", "Back to today": "Terug naar vandaag",
    "This method is not possible here.": "Deze methode kan hier niet.",
    "The address is too long.": "Het adres is te lang.",
    "The page is not served under this name; open it by its address, or start it with --allow-host.":
        "De pagina is niet onder deze naam bereikbaar; open haar met het adres, of start haar met --allow-host.",
    "Log in with the token.": "Log in met het token.",
    "Too many requests; wait a moment.": "Te veel verzoeken; wacht even.",
    "The request came from another page.": "Het verzoek kwam van een andere pagina.",
    "Only JSON is possible here.": "Hier is alleen JSON mogelijk.",
    "The page is read-only.": "Op deze pagina kan alleen worden gelezen.",
    "The request is too large.": "Het verzoek is te groot.",
    "The request took too long.": "Het verzoek duurde te lang.",
    "Something went wrong on the server; its log has the reason.":
        "Er ging iets mis op de server; de reden staat in het logboek.",
    "A filter in the address is not possible.": "Een filter in het adres is niet mogelijk.",
    "The day in the address is no date such as 2026-11-30.": "De dag in het adres is geen datum zoals 2026-11-30.",
    "There is no such detection.": "Deze waarneming bestaat niet.",
    "There is no such page.": "Deze pagina bestaat niet.",
    "The database cannot be read now.": "De database kan nu niet worden gelezen.",
    "The recording is not there.": "De opname is er niet.",
    "The recording cannot be drawn.": "De opname kan niet worden getekend.",
    "The correction is not possible.": "De correctie is niet mogelijk.",
    "Too many pages are open.": "Er staan te veel pagina’s open.",
}  # fmt: skip
DAYS = {
    "en": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "nl": ("maandag", "dinsdag", "woensdag", "donderdag", "vrijdag", "zaterdag", "zondag"),
}
MONTHS = {
    "en": [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ],
    "nl": [
        "januari",
        "februari",
        "maart",
        "april",
        "mei",
        "juni",
        "juli",
        "augustus",
        "september",
        "oktober",
        "november",
        "december",
    ],
}


def translator(language: str) -> Callable[[str], str]:
    """Return the function that translates an English text; raises `KeyError` for one that has no translation."""
    return DUTCH.__getitem__ if language == "nl" else lambda text: text if text in DUTCH else _missing(text)


def _missing(text: str) -> str:
    raise KeyError(text)


def type_word(name: str, language: str) -> str:
    """Return the word for a vocalization type or state; one that a model brought stays as it is."""
    word = name.replace("_", " ")
    return DUTCH.get(name, word) if language == "nl" else word


def type_class(name: str) -> str:
    """Return the class of a type in the style sheet; `other` for one without a colour of its own."""
    return name if name in TYPE_COLOURS else "other"


def choose_language(asked: str, remembered: str, fixed: str, accepted: str) -> str:
    """Return the language of a page: from the address, else as remembered, as configured, as the browser asks."""
    for language in (asked, remembered, fixed):
        if language in LANGUAGES:
            return language
    for part in accepted[:MAX_ACCEPTED].split(","):  # in the order of preference, as browsers send it
        if part.strip().lower()[:2] in LANGUAGES:
            return part.strip().lower()[:2]
    return "en"


def long_date(day: date, language: str) -> str:
    """Return a date such as `Monday 30 November 2026`."""
    return f"{DAYS[language][day.weekday()]} {day.day} {MONTHS[language][day.month - 1]} {day.year}"


def species_name(slug: str, scientific_name: str, common_name: str, language: str) -> str:
    """Return the name of a species in a language; as the station writes it for one outside our table."""
    species = find_species(slug) if slug else None
    if species is None:
        return common_name or scientific_name or slug or "?"
    return species.dutch if language == "nl" else species.english
