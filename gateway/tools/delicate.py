"""Does a member's name sound like what a client would not want passed on?

Names only, no values: a hint, not a proof. Languages with spaces between words (and our
`snake_case`, `camelCase`) are compared word by word, so `notification` is no `note`; Japanese
and Korean, which join words, are searched.
"""

import re
from unicodedata import normalize

_WORDS = {
    "a phone number": """
        phone phones phonenumber phoneno tel telno telephone telefon mobile cellphone fax
        denwa denwabango keitai jeonhwa
        телефон телефони телефоны телефону тел мобільний мобильный
    """,
    "a mail address": """
        mail mails email emails emailaddress mailaddress meru
        пошта почта емейл імейл имейл
    """,
    "an address": """
        address addresses addr street postcode zipcode jusho juusho juso
        адреса адрес адресу
    """,
    "a birthday": """
        birth birthday birthdate birthdays dateofbirth dob tanjobi tanjoubi seinengappi saengil
        народження рождения
    """,
    "notes or health": """
        note notes memo memos remark remarks allergy allergies allergic health medical karte
        karute biko bikou
        нотатка нотатки заметка заметки примітка примітки примечание примечания
        алергія алергії аллергия аллергии здоров'я здоровье
    """,
}
_PARTS = {
    "a phone number": "電話 携帯 전화 휴대폰 핸드폰",
    "a mail address": "メール 메일",
    "an address": "住所 郵便番号 주소",
    "a birthday": "誕生日 生年月日 생일 생년월일",
    "notes or health": "備考 メモ カルテ アレルギー 健康 메모 비고 알레르기 건강",
}
_KIND_OF = {word: kind for kind, words in _WORDS.items() for word in words.split()}
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_BETWEEN = re.compile(r"[^\w']+|[\d_]+")


def sounds_like(name: str) -> str | None:
    """What a member of this name probably holds: `a phone number`; None = nothing delicate."""
    # NFKC: half-width katakana and decomposed Hangul are the same words.
    plain = normalize("NFKC", name)
    words = _BETWEEN.split(_CAMEL.sub("_", plain).casefold())
    for word in words:
        if word in _KIND_OF:
            return _KIND_OF[word]
    for kind, parts in _PARTS.items():
        if any(part in plain for part in parts.split()):
            return kind
    return None
