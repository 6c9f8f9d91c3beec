"""Where the recordings come from: packages, licences, speakers, and the phrases that the synthesisers speak.

A speaker is one voice of one package. All recordings of one language by one community are in one split, so that a contributor
to two packages is never in two splits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ASTERISK = "usr/share/asterisk/sounds"
KLETTRES = "usr/share/klettres"
KTUBERLING = "usr/share/ktuberling/sounds"
FILLETS = "usr/share/games/fillets-ng/sound"


@dataclass(frozen=True)
class Package:
    """A Debian package of recordings: its name, the version that was used, and the licence of its recordings."""

    name: str
    version: str
    licence: str


@dataclass(frozen=True)
class Speaker:
    """One human voice.

    Attributes:
        key: short name, in the provenance table.
        split: train, dev or eval.
        package: package and licence.
        folders: folders below the file system root that hold the recordings.
        language: of the phrases that text-to-speech clips with this target speak (espeak-ng's name).
        family: voice conversion mixes recordings within a family only, because the licences of two families
            (Creative Commons share-alike and GPL) do not allow a common derivative.
        pattern: regular expression that a file's path must match. The two languages of a package may share a folder.
        n_bonafide: bona fide clips to make.
        joined: several recordings make one clip, because single letters and words are too short.
    """

    key: str
    split: str
    package: Package
    folders: tuple[str, ...]
    language: str
    family: str
    n_bonafide: int
    pattern: str = r"\.(g722|ogg|opus|wav)$"
    joined: bool = False

    def files(self, root: Path) -> list[Path]:
        """The speaker's recordings below `root`, sorted."""
        found = [path for folder in self.folders for path in (root / folder).rglob("*") if path.is_file()]
        return sorted(path for path in found if re.search(self.pattern, path.as_posix()))


def _asterisk(key: str, split: str, parts: dict[str, str], licence: str, language: str, n: int) -> Speaker:
    names = " + ".join(f"asterisk-core-sounds-{part}-g722" for part in parts)
    folders = tuple(f"{ASTERISK}/{folder}" for folder in parts.values())
    return Speaker(key, split, Package(names, "1.6.1-1", licence), folders, language, "cc", n)


def _klettres(key: str, split: str, folder: str, language: str, n: int) -> Speaker:
    package = Package("klettres-data", "4:22.12.3-1", "GPL-2+")
    return Speaker(key, split, package, (f"{KLETTRES}/{folder}",), language, "gpl", n, joined=True)


def _ktuberling(key: str, split: str, folder: str, language: str, n: int) -> Speaker:
    package = Package("ktuberling-data", "4:22.12.3-1", "GPL-2+")
    return Speaker(key, split, package, (f"{KTUBERLING}/{folder}",), language, "gpl", n, joined=True)


def _fillets(key: str, split: str, language: str, fish: str, n: int) -> Speaker:
    package = Package(f"fillets-ng-data-{language}", "1.0.1-1.1", "GPL-2")
    return Speaker(
        key, split, package, (FILLETS,), language, "gpl", n, pattern=rf"/{language}/[^/]*-{fish}-[^/]*\.ogg$"
    )


SPEAKERS = (
    _asterisk("allison", "train", {"en": "en_US_f_Allison", "es": "es_MX_f_Allison"}, "CC-BY-SA-3.0", "en-us", 24),
    _asterisk("carlo", "train", {"it": "it_IT_m_Carlo"}, "CC-BY-3.0", "it", 22),
    _fillets("fillets-cs-small", "train", "cs", "m", 22),
    _fillets("fillets-cs-big", "train", "cs", "v", 22),
    _klettres("klettres-cs", "train", "cs", "cs", 6),
    _klettres("klettres-en", "train", "en", "en-us", 7),
    _klettres("klettres-en-gb", "train", "en_GB", "en-gb", 7),
    _klettres("klettres-da", "train", "da", "da", 7),
    _klettres("klettres-nb", "train", "nb", "nb", 5),
    _klettres("klettres-it", "train", "it", "it", 9),
    _ktuberling("ktuberling-nn", "train", "nn", "nb", 10),
    _ktuberling("ktuberling-el", "train", "el", "el", 9),
    _klettres("klettres-fr", "dev", "fr", "fr-fr", 9),
    _klettres("klettres-hu", "dev", "hu", "hu", 8),
    _klettres("klettres-es", "dev", "es", "es", 10),
    _klettres("klettres-ar", "dev", "ar", "ar", 7),
    _ktuberling("ktuberling-wa", "dev", "wa", "fr-fr", 9),
    _ktuberling("ktuberling-lt", "dev", "lt", "lt", 10),
    _ktuberling("ktuberling-gl", "dev", "gl", "es", 7),
    _asterisk("june", "eval", {"fr": "fr_CA_f_June"}, "CC-BY-SA-3.0", "fr-fr", 14),
    _asterisk("ivrvoice-ru", "eval", {"ru": "ru_RU_f_IvrvoiceRU"}, "CC-BY-3.0", "ru", 14),
    _fillets("fillets-nl-small", "eval", "nl", "m", 12),
    _fillets("fillets-nl-big", "eval", "nl", "v", 12),
    _klettres("klettres-ru", "eval", "ru", "ru", 5),
    _klettres("klettres-he", "eval", "he", "en-us", 5),
    _klettres("klettres-ml", "eval", "ml", "ml", 7),
    _klettres("klettres-nds", "eval", "nds", "de", 5),
    _ktuberling("ktuberling-de", "eval", "de", "de", 5),
    _ktuberling("ktuberling-uk", "eval", "uk", "uk", 6),
    _ktuberling("ktuberling-sl", "eval", "sl", "sl", 5),
)

# Written for this corpus. Phrases of prompts, and lists of words as the children's programs have them.
PHRASES: dict[str, tuple[str, ...]] = {
    "en": ("Please leave a message", "The line is busy now", "a hat, a nose", "seven, twelve", "Open the green door",
           "We are going home", "the moon, a star", "You have two letters", "good morning, friends"),
    "it": ("Lasciate un messaggio", "La linea è occupata", "un cappello, il naso", "sette, dodici", "Apri la porta verde",
           "Andiamo tutti a casa", "la luna, una stella", "Ci sono due lettere"),
    "cs": ("Nechte nám vzkaz", "Linka je obsazena", "klobouk, nos", "sedm, dvanáct", "Otevři zelené dveře",
           "Jdeme spolu domů", "měsíc, hvězda", "Máte dva dopisy"),
    "da": ("Læg en besked", "Linjen er optaget", "en hat, en næse", "syv, tolv", "Luk døren op", "Vi går hjem nu"),
    "nb": ("Legg igjen en beskjed", "Linjen er opptatt", "en hatt, en nese", "sju, tolv", "Åpne den grønne døren"),
    "el": ("Αφήστε ένα μήνυμα", "ένα καπέλο, η μύτη", "επτά, δώδεκα", "Άνοιξε την πόρτα", "Πάμε στο σπίτι"),
    "fr": ("Laissez un message", "La ligne est occupée", "un chapeau, le nez", "sept, douze", "Ouvre la porte verte",
           "Nous rentrons chez nous", "la lune, une étoile"),
    "hu": ("Hagyjon üzenetet", "A vonal foglalt", "kalap, orr", "hét, tizenkettő", "Nyisd ki az ajtót", "Most hazamegyünk"),
    "es": ("Deje un mensaje", "La línea está ocupada", "un sombrero, la nariz", "siete, doce", "Abre la puerta verde",
           "Vamos todos a casa", "la luna, una estrella"),
    "ar": ("اترك رسالة من فضلك", "قبعة، أنف", "سبعة، اثنا عشر", "افتح الباب الأخضر", "نحن ذاهبون إلى البيت"),
    "lt": ("Palikite žinutę", "Linija užimta", "skrybėlė, nosis", "septyni, dvylika", "Atidaryk žalias duris"),
    "ru": ("Оставьте сообщение", "Линия сейчас занята", "шляпа, нос", "семь, двенадцать", "Открой зелёную дверь",
           "Мы идём домой", "луна, звезда"),
    "uk": ("Залиште повідомлення", "Лінія зайнята", "капелюх, ніс", "сім, дванадцять", "Відчини зелені двері"),
    "nl": ("Laat een bericht achter", "De lijn is bezet", "een hoed, een neus", "zeven, twaalf", "Open de groene deur",
           "We gaan samen naar huis", "de maan, een ster"),
    "ml": ("സന്ദേശം നൽകുക", "തൊപ്പി, മൂക്ക്", "ഏഴ്, പന്ത്രണ്ട്", "വാതിൽ തുറക്കൂ"),
    "de": ("Bitte eine Nachricht", "Die Leitung ist besetzt", "ein Hut, die Nase", "sieben, zwölf", "Öffne die grüne Tür",
           "Wir gehen nach Hause"),
    "sl": ("Pustite sporočilo", "Linija je zasedena", "klobuk, nos", "sedem, dvanajst", "Odpri zelena vrata"),
}  # fmt: skip


def phrases(language: str) -> tuple[str, ...]:
    """The phrases of a language, by espeak-ng's name for it."""
    return PHRASES[language.split("-")[0]]
