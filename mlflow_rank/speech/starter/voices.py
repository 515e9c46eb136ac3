"""Which synthetic voices speak in which part of the starter corpus, and in which language.

A speaker is one libespeak-ng voice variant. Parts never share a speaker, so the labelled sets are spoken by voices
that an encoder trained on the unlabelled part has not heard.
"""

from __future__ import annotations

from dataclasses import dataclass

UNLABELLED_LANGUAGES = ("en-us", "de", "es", "fr", "it")
IN_DOMAIN_LANGUAGE = "en-us"
OUT_OF_DOMAIN_LANGUAGE = "pt-br"  # not among the unlabelled languages

# Variants that sound like a person; the whispering, robotic and croaking ones are left out by ear.
UNLABELLED_VOICES = (
    "Alex", "Alicia", "Andrea", "Andy", "Annie", "Denis", "Diogo", "Gene", "Henrique", "Hugo", "Jacky", "Lee",
    "Marco", "Mario", "Michael", "Nguyen", "Reed", "Storm", "adam", "announcer", "antonio", "aunty", "belinda",
    "boris", "f1", "f3", "m1", "m3", "m5", "quincy", "sandro", "steph",
)  # fmt: skip
IN_DOMAIN_VOICES = (
    "Mike", "anika", "benjamin", "david", "ed", "edward", "f2", "f5", "gustave", "iven", "john", "linda", "m2", "m6",
    "max", "zac",
)  # fmt: skip
OUT_OF_DOMAIN_VOICES = (
    "caleb", "f4", "ian", "iven3", "kaukovalta", "m4", "m7", "marcelo", "paul", "pedro", "shelby", "victor",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a text is spoken: language, voice variant, rate in words per minute, pitch and pitch range in 0…100."""

    language: str
    variant: str
    rate: int
    pitch: int
    pitch_range: int

    @property
    def voice(self) -> str:
        """The name that libespeak-ng knows the voice by.

        >>> Delivery("de", "f1", 170, 50, 50).voice
        'de+f1'
        """
        return f"{self.language}+{self.variant}"
