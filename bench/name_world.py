"""A made-up sanctions list of the size of OFAC's, ordinary names, and names written otherwise.

Words of `data/name_words.tsv` are combined as their language does, by a fixed seed: the same list
and the same names in every run. Nothing is changed or left out for its score. What is listed and
who is screened are drawn from the same words of a language, so that some ordinary people share a
whole name with a listed one, as they do in life.
"""

import random
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from rapidfuzz import fuzz, process

from compliance.screening.entries import Entry, EntryKind, EntryName

WORDS_FILE = Path(__file__).parent / "data" / "name_words.tsv"
SEED = 44
ENTRIES = 9_000
FIRST_YEAR, LAST_YEAR = 1935, 2004

# Of a hundred entries. OFAC's list has about so many of each.
KINDS = {
    EntryKind.PERSON: 45,
    EntryKind.ORGANIZATION: 39,
    EntryKind.VESSEL: 13,
    EntryKind.AIRCRAFT: 3,
}
# Of a hundred listed people, and of a hundred of those who are screened.
LISTED_LANGUAGES = {
    "arabic": 28,
    "russian": 19,
    "persian": 13,
    "spanish": 13,
    "ukrainian": 4,
    "chinese": 5,
    "korean": 4,
    "burmese": 3,
    "croatian": 4,
    "pakistani": 3,
    "swahili": 2,
    "yoruba": 1,
    "turkish": 1,
}
ORDINARY_LANGUAGES = {
    "english": 30,
    "german": 8,
    "french": 7,
    "italian": 5,
    "spanish": 9,
    "polish": 4,
    "dutch": 3,
    "indian": 8,
    "indonesian": 3,
    "portuguese": 3,
    "swedish": 2,
    "arabic": 3,
    "maghreb": 2,
    "pakistani": 2,
    "persian": 1,
    "russian": 2,
    "ukrainian": 1,
    "turkish": 1,
    "chinese": 3,
    "korean": 1,
    "croatian": 1,
    "yoruba": 1,
}
COUNTRIES = {
    "arabic": ("Iraq", "Syria", "Yemen", "Lebanon", "Saudi Arabia", "Libya", "Egypt"),
    "russian": ("Russia",),
    "persian": ("Iran",),
    "spanish": ("Mexico", "Colombia", "Venezuela"),
    "ukrainian": ("Ukraine", "Russia"),
    "chinese": ("China",),
    "korean": ("Korea, North",),
    "burmese": ("Burma",),
    "croatian": ("Serbia", "Bosnia and Herzegovina"),
    "pakistani": ("Pakistan", "Afghanistan"),
    "swahili": ("Congo, Democratic Republic of the", "Somalia"),
    "yoruba": ("Nigeria",),
    "turkish": ("Turkey",),
}
LIST_COUNTRIES = ("Russia", "Iran", "China", "Syria", "Mexico", "United Arab Emirates")
ORDINARY_COUNTRIES = ("US", "GB", "DE", "FR", "ES", "IT", "IN", "NL", "CA", "AU", "AE", "TR")
# By what a name is written otherwise; see `LOOK_ALIKES` in compliance/data/look_alikes.tsv.
CYRILLIC_LOOK_ALIKES = str.maketrans("aceopxyABCEHKMOPTX", "асеорхуАВСЕНКМОРТХ")
DIGITS_FOR_LETTERS = str.maketrans("oOiIeEsSaA", "0011335544")
# Half of Persian family names are a given name with one of these.
PERSIAN_ENDINGS = ("zadeh", "pour", "nejad", "ian", "far", "nia", "vand", "doust", "i")
LETTERS = "abcdefghijklmnopqrstuvwxyz"

Random = random.Random
Garble = Callable[[str, Random], str]


class Screening(NamedTuple):
    """Somebody to screen; `entry_id` is who it is on the list, empty for somebody else."""

    name: str
    is_person: bool
    birth_date: str = ""
    country_code: str = ""
    entry_id: str = ""
    listed_name: str = ""


@cache
def words() -> dict[str, dict[str, tuple[str, ...]]]:
    """The words by language and part."""
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for line in WORDS_FILE.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            language, part, text = line.split("\t")
            found.setdefault(language, {})[part] = tuple(text.split())
    return found


def _drawn(shares: dict[str, int], random_: Random) -> str:
    return random_.choices(list(shares), list(shares.values()))[0]


def _frequent(choices: Sequence[str], random_: Random) -> str:
    """One of words that stand in the order of how common they are, roughly."""
    place = int(len(choices) * random_.random() ** 2)
    return choices[place]


def person_words(language: str, random_: Random) -> tuple[list[str], list[str]]:
    """Family names and given names of a person."""
    parts = words()[language]
    if language == "arabic":
        return _arabic(parts, random_)
    if language == "burmese":
        return [], [random_.choice(parts["word"]) for _ in range(random_.choice([2, 3, 3, 4]))]
    if language in ("chinese", "korean"):
        count = 2 if language == "korean" or random_.random() < 0.8 else 1
        syllables = [random_.choice(parts["syllable"]) for _ in range(count)]
        if language == "korean":
            return [_frequent(parts["family"], random_)], syllables
        return [random_.choice(parts["family"])], ["".join(syllables).capitalize()]
    given = [random_.choice(parts["given"])]
    family = [random_.choice(parts["family"])]
    if language == "persian" and random_.random() < 0.5:
        family = [f"{random_.choice(parts['given'])}{random_.choice(PERSIAN_ENDINGS)}"]
    if "patronymic" in parts:
        given.append(random_.choice(parts["patronymic"]))
    elif language in ("spanish", "portuguese"):
        if random_.random() < 0.4:
            given.append(random_.choice(parts["given"]))
        if random_.random() < 0.7:
            family.append(random_.choice(parts["family"]))
    elif random_.random() < 0.25:
        given.append(random_.choice(parts["given"]))
    return family, given


def _arabic(parts: dict[str, tuple[str, ...]], random_: Random) -> tuple[list[str], list[str]]:
    given = []
    for _ in range(random_.choice([1, 2, 2, 3, 3])):
        if random_.random() < 0.15:
            servant = random_.choice(parts["servant"])
            given.append(f"{random_.choice(['Abd', 'Abdul'])} al-{servant}")
        else:
            given.append(_frequent(parts["given"], random_))
        if random_.random() < 0.1:
            given.append(f"{random_.choice(['bin', 'ibn'])} {_frequent(parts['given'], random_)}")
    if random_.random() < 0.65:
        article = random_.choice(["al-", "al-", "al-", "Al ", "El "])
        return [f"{article}{random_.choice(parts['family'])}"], given
    return [random_.choice(parts["plain"])], given


def as_listed(family: list[str], given: list[str]) -> str:
    """As OFAC writes it: "AL-SHAMI, Khalid Walid"."""
    if not family:
        return " ".join(given).upper()
    return f"{' '.join(family).upper()}, {' '.join(given)}"


def organization_name(random_: Random, source: str = "list") -> str:
    """A company; of listed ones a tenth are institutes of eight words and more."""
    parts = words()[source]
    if source == "business":
        shapes = [("brand", "activity"), ("brand", "brand", "activity"), ("family", "activity")]
        shape = random_.choice(shapes)
        family = words()[random_.choice(["english", "english", "german", "italian"])]["family"]
        found = [random_.choice(family if part == "family" else parts[part]) for part in shape]
        return " ".join([*found, random_.choice(["LLC", "Ltd", "Inc", "GmbH", "", ""])]).strip()
    form = random_.choice([*parts["form"], "", "", "", ""])
    if random_.random() < 0.1:
        middle = random_.sample(parts["institute"], random_.randint(5, 9))
        return " ".join([*middle, random_.choice(parts["brand"]), form]).upper().strip()
    found = [random_.choice(parts["brand"])]
    if random_.random() < 0.45:
        found.append(random_.choice([*parts["brand"], *words()["persian"]["family"]]))
    found.append(random_.choice(parts["activity"]))
    if random_.random() < 0.4:
        found.append(random_.choice(parts["generic"]))
    if random_.random() < 0.2:
        found.append(random_.choice(parts["place"]))
    return " ".join([*found, form]).upper().strip()


def _vessel_name(random_: Random) -> str:
    count = random_.choice([1, 2, 2, 2, 3])
    found = [random_.choice(words()["list"]["vessel"]) for _ in range(count)]
    return " ".join(found).upper() + random_.choice(["", "", "", " I", " II", " 7", " 1"])


def listed_entries(count: int = ENTRIES, seed: int = SEED) -> list[Entry]:
    """The list, 2.6 names an entry."""
    random_ = Random(seed)
    kinds = {kind.value: share for kind, share in KINDS.items()}
    return [
        _entry(str(1_000 + n), EntryKind(_drawn(kinds, random_)), random_) for n in range(count)
    ]


def _entry(entry_id: str, kind: EntryKind, random_: Random) -> Entry:
    birth_dates: tuple[str, ...] = ()
    countries: tuple[str, ...] = (random_.choice(LIST_COUNTRIES),)
    if kind is EntryKind.PERSON:
        language = _drawn(LISTED_LANGUAGES, random_)
        family, given = person_words(language, random_)
        names = [EntryName(as_listed(family, given), "name")]
        names += [
            EntryName(_alias_of(family, given, language, random_), "a.k.a.")
            for _ in range(random_.choice([0, 1, 1, 2, 3]))
        ]
        if random_.random() < 0.15:
            weak = random_.choice(words()["list"]["brand"]).upper()
            names.append(EntryName(weak, "weak a.k.a."))
        if random_.random() < 0.85:
            birth_dates = (birth_date(random_),)
        countries = (random_.choice(COUNTRIES[language]),)
    elif kind is EntryKind.ORGANIZATION:
        names = [
            EntryName(organization_name(random_), "name" if number == 0 else "a.k.a.")
            for number in range(random_.choice([1, 2, 3, 3, 4]))
        ]
    elif kind is EntryKind.VESSEL:
        names = [EntryName(_vessel_name(random_), "name")]
        names += [EntryName(_vessel_name(random_), "f.k.a.") for _ in range(random_.choice([0, 1]))]
    else:
        names = [EntryName(f"EP-{''.join(random_.choices(LETTERS, k=3)).upper()}", "name")]
        countries = ("Iran",)
    unique: dict[str, EntryName] = {}
    for name in names:
        unique.setdefault(name.text, name)
    return Entry(entry_id, kind, tuple(unique.values()), ("MADE-UP",), birth_dates, countries)


def _alias_of(family: list[str], given: list[str], language: str, random_: Random) -> str:
    """Another of a person's names: one word more or less, or another word."""
    more, other = person_words(language, random_)
    choice = random_.random()
    if language in ("chinese", "korean", "burmese"):
        return as_listed(family, ["".join(given).capitalize()] if choice < 0.5 else other)
    if choice < 0.3 and len(given) > 1:
        return as_listed(family, given[:-1])
    if choice < 0.6:
        return as_listed(family, [given[0], other[0]])
    if choice < 0.8:
        return as_listed(more or family, given)
    return as_listed(family, [*given, other[0]])


def birth_date(random_: Random) -> str:
    """ISO 8601; a fifth are cut to the year."""
    year = random_.randint(FIRST_YEAR, LAST_YEAR)
    if random_.random() < 0.2:
        return str(year)
    return f"{year}-{random_.randint(1, 12):02}-{random_.randint(1, 28):02}"


def ordinary_people(count: int, seed: int) -> list[Screening]:
    """People who are nobody's on the list, with birth date and country."""
    random_ = Random(seed)
    found = []
    for _ in range(count):
        family, given = person_words(_drawn(ORDINARY_LANGUAGES, random_), random_)
        name = " ".join([*given, *family])
        born = (
            f"{random_.randint(1945, 2006)}-{random_.randint(1, 12):02}-{random_.randint(1, 28):02}"
        )
        found.append(Screening(name, True, born, random_.choice(ORDINARY_COUNTRIES)))
    return found


def ordinary_companies(count: int, seed: int) -> list[Screening]:
    """Companies that are nobody's on the list, with a country."""
    random_ = Random(seed)
    return [
        Screening(
            organization_name(random_, "business"),
            False,
            country_code=random_.choice(ORDINARY_COUNTRIES),
        )
        for _ in range(count)
    ]


def look_alike_people(entries: Sequence[Entry], count: int, seed: int) -> list[Screening]:
    """Listed people with one word exchanged for the one of all languages that is most alike.

    They are other people with nearly a listed name: the worst that can come.
    """
    random_ = Random(seed)
    vocabulary = sorted(
        {
            word
            for language in (*LISTED_LANGUAGES, *ORDINARY_LANGUAGES)
            for part in ("given", "family", "plain")
            for word in words()[language].get(part, ())
        }
    )
    people = [entry for entry in entries if entry.kind is EntryKind.PERSON]
    found = []
    for entry in random_.sample(people, count):
        own = entry.name.replace(",", "").title().split()
        place = max(range(len(own)), key=lambda number: len(own[number]))
        near = process.extract(own[place], vocabulary, scorer=fuzz.ratio, limit=3)
        others = [word for word, _, _ in near if word != own[place]]
        own[place] = random_.choice(others)
        found.append(Screening(" ".join(own), True))
    return found


def written_otherwise(
    entries: Sequence[Entry], kind: EntryKind, garble: Garble, count: int, seed: int
) -> list[Screening]:
    """Main names of entries of a kind, each written otherwise, with who it is."""
    random_ = Random(seed)
    of_kind = [entry for entry in entries if entry.kind is kind]
    found = []
    for entry in random_.choices(of_kind, k=count):
        name = garble(in_order(entry.name), random_)
        found.append(
            Screening(
                name,
                kind is EntryKind.PERSON,
                entry_id=entry.entry_id,
                listed_name=entry.name,
            )
        )
    return found


def in_order(name: str) -> str:
    """As people give it: "Khalid Walid AL-SHAMI"."""
    family, comma, given = name.partition(", ")
    return f"{given} {family}" if comma else name


def two_typos(name: str, random_: Random) -> str:
    """Two letters (or spaces) changed, left out, added or exchanged with the next."""
    for _ in range(2):
        place = random_.randrange(len(name))
        letter = random_.choice(LETTERS)
        name = random_.choice(
            [
                name[:place] + letter + name[place + 1 :],
                name[:place] + name[place + 1 :],
                name[:place] + letter + name[place:],
                name[:place] + name[place + 1 : place + 2] + name[place] + name[place + 2 :],
            ]
        )
    return name


def all_joined(name: str, _random: Random) -> str:
    """Written as one word."""
    return "".join(name.split())


def two_joined(name: str, random_: Random) -> str:
    """Two neighbouring words written as one."""
    parts = name.split()
    if len(parts) == 1:
        return name
    place = random_.randrange(len(parts) - 1)
    return " ".join([*parts[:place], parts[place] + parts[place + 1], *parts[place + 2 :]])


def in_look_alikes(name: str, random_: Random) -> str:
    """Letters that Cyrillic has look-alikes of, each replaced or not, and one at least."""
    places = [n for n, letter in enumerate(name) if ord(letter) in CYRILLIC_LOOK_ALIKES]
    chosen = {n for n in places if random_.random() < 0.5} or set(places[:1])
    return "".join(
        letter.translate(CYRILLIC_LOOK_ALIKES) if n in chosen else letter
        for n, letter in enumerate(name)
    )


def with_digits(name: str, _random: Random) -> str:
    """Letters that digits look like, replaced."""
    return name.translate(DIGITS_FOR_LETTERS)


def first_initial(name: str, _random: Random) -> str:
    """The first word as an initial."""
    first, *rest = name.split()
    return " ".join([f"{first[0]}.", *rest])
