"""Other codes and names of languages, as the paths and configurations of tasks have them."""

from __future__ import annotations

_CODES = """
af afr ar ara bg bul bn ben de deu el ell es spa et est eu eus fa pes fi fin fr fra he heb hi hin
hu hun id ind it ita ja jpn jv jav ka kat kk kaz ko kor ml mal mr mar nl nld pt por ru rus sw swh
ta tam te tel th tha tl tgl tr tur ur urd vi vie zh cmn
az aze lt lit pl pol ro ron uk ukr
"""
ISO3 = dict(zip(_CODES.split()[::2], _CODES.split()[1::2], strict=True))  # Tatoeba's codes
_NAMES = """
af Afrikaans ar Arabic bg Bulgarian de German el Greek en English es Spanish et Estonian eu Basque
fa Persian fi Finnish fr French he Hebrew hi Hindi hu Hungarian id Indonesian it Italian ja Japanese
kk Kazakh ko Korean mr Marathi nl Dutch pt Portuguese ru Russian ta Tamil te Telugu th Thai
tl Tagalog tr Turkish ur Urdu vi Vietnamese yo Yoruba zh Chinese
"""
LANGUAGE_NAMES = dict(zip(_NAMES.split()[::2], _NAMES.split()[1::2], strict=True))  # of udpos
FORMER_NAMES = {"Afrikaans": "Afrikans"}
