"""Is this password good enough, and one that is. Pure: randomness is an argument.

Decided, after NIST SP 800-63B (rev. 4, 3.1.1.2):
- A password is text, normalised to NFKC, encoded as UTF-8: `ｐａｓｓ` typed with a Japanese
  keyboard is `pass`, composed and decomposed Hangul are one. Everything else counts as it is
  typed: case, and blanks, at the ends too.
- Its length is counted in code points of that form. No rules of composition, no expiry.
- What is looked at is what is left of it: a name or a common word inside a long password does
  no harm, a password made of little else does.

Patterns are looked for in NFKD, without case and kind of kana: there a Hangul syllable is the
keys it was typed with, and `й`, `が` are their keys with a mark.

House rules: linear in the length, which is bounded before anything else is done.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

from gateway.identity.weakness import MAX_LENGTH, MIN_LENGTH, Weakness

MAX_TYPED = 1024  # code points before NFKC, which makes up to 18 of one
LEFT_OVER = 7  # letters that must be left without common words, or without the own name
SURPRISES = 9  # characters that do not follow from those before them
DISTINCT = 5
MIN_WORD = 3  # characters of a name that are looked for; two where a script needs no more
_DENSE = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]")  # kana, Han, Hangul

# Easily told apart, also when read out or written by hand: no 0/o, 1/l/i.
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
GROUPS, GROUP = 5, 4  # 20 characters of 31: 99 bits

# Rows and columns of keyboards, and the orders that are recited, as they are typed.
_ORDERS = (
    "`1234567890-=", "!@#$%^&*()_+", "qwertyuiop[]", "asdfghjkl;'", "zxcvbnm,./",
    "1qaz", "2wsx", "3edc", "4rfv", "5tgb", "6yhn", "7ujm", "8ik,", "9ol.", "0p;/",
    "qwertzuiopü", "yxcvbnm", "azertyuiop", "qsdfghjklm", "wxcvbn", "7894561230", "147", "258",
    "369", "йцукенгшщзхъ", "фывапролджэ", "йцукенгшщзхї", "фівапролджє", "ячсмитьбю",
    "абвгґдеєжзиіїйклмнопрстуфхцчшщьюя", "абвгдеёжзийклмнопрстуфхцчшщъыьэюя",
    "ㅂㅈㄷㄱㅅㅛㅕㅑㅐㅔ", "ㅁㄴㅇㄹㅎㅗㅓㅏㅣ", "ㅋㅌㅊㅍㅠㅜㅡ", "ㄱㄴㄷㄹㅁㅂㅅㅇㅈㅊㅋㅌㅍㅎ",
    "ㅏㅑㅓㅕㅗㅛㅜㅠㅡㅣ", "たていすかんなにらせ",
    "ちとしはきくまのりれけむ", "つさそひこみもねるめろ", "ぬふあうえおやゆよわほへ",
    "あいうえおかきくけこさしすせそたちつてとなにぬねのはひふへほまみむめもやゆよらりるれろわをん",
    "いろはにほへとちりぬるをわかよたれそつねならむうゐのおくやまけふこえてあさきゆめみしゑひもせす",
)  # fmt: skip
# Not read as patterns but as words: what people start a password with.
_COMMON = (
    "password", "passwort", "passcode", "passphrase", "iloveyou", "ilovejesus", "loveyou", "love",
    "letmein", "welcome", "admin", "administrator", "master", "login", "secret", "default",
    "changeme", "changeit", "trustno1", "dragon", "monkey", "sunshine", "princess", "football",
    "baseball", "superman", "batman", "starwars", "pokemon", "shadow", "michael", "jennifer",
    "jordan", "charlie", "hello", "whatever", "computer", "internet", "samsung", "iphone",
    "google", "facebook", "instagram", "summer", "winter", "spring", "autumn", "january",
    "december", "monday", "sunday", "test", "temp", "temporary", "user", "guest", "root",
    "qwerty", "asdfgh", "zxcvbn", "abc123", "qazwsx",
    "salon", "beauty", "hair", "hairsalon", "beautysalon", "nail", "nails", "barber", "stylist",
    "manager", "owner", "reception", "crm", "gateway", "tokyo", "japan", "korea", "seoul", "kyiv",
    "ukraine", "sakura", "himitsu", "arigato", "konnichiwa", "doraemon", "naruto", "saranghae",
    "bimilbeonho", "parol", "privet", "lyubov", "lubov",
    "パスワード", "ひみつ", "秘密", "暗証番号", "ありがとう", "こんにちは",
    "あいしてる", "愛してる", "さくら", "サロン", "美容室", "美容院", "日本", "東京",
    "비밀번호", "암호", "패스워드", "사랑해", "안녕하세요", "안녕", "미용실", "살롱", "대한민국",
    "서울",
    "пароль", "привет", "привіт", "любовь", "любов", "люблю", "секрет", "салон", "красота",
    "краса", "админ", "адмін", "админка", "україна", "украина", "киев", "київ", "солнышко",
    "сонечко", "наташа", "марина", "йцукен", "фывапр",
    "correcthorsebatterystaple",
)  # fmt: skip
_HIRAGANA = {code: code - 0x60 for code in range(0x30A1, 0x30F7)}  # of katakana
_LEET = str.maketrans("013457@$!", "oleastasi")


def normalised(typed: str) -> bytes | None:
    """A password as it is hashed; None = it is none, whatever it is compared with."""
    if len(typed) > MAX_TYPED:
        return None
    text = unicodedata.normalize("NFKC", typed)
    if not text or len(text) > MAX_LENGTH or _untypable(text):
        return None
    return text.encode()


def weaknesses(typed: str, *, names: Iterable[str] = ()) -> tuple[Weakness, ...]:
    """Everything wrong with a new password; () = it is good enough.

    Args:
        typed: as it came from the keyboard.
        names: the person's id and name; words of them are looked for, too.
    """
    if len(typed) > MAX_TYPED:
        return (Weakness.TOO_LONG,)
    text = unicodedata.normalize("NFKC", typed)
    if len(text) > MAX_LENGTH:
        return (Weakness.TOO_LONG,)
    return tuple(_found(text, tuple(names)))


def _found(text: str, names: tuple[str, ...]) -> Iterator[Weakness]:
    if len(text) < MIN_LENGTH:
        yield Weakness.TOO_SHORT
    if _untypable(text):
        yield Weakness.UNTYPABLE
    folded = _folded(text)
    if _is_common(folded):
        yield Weakness.COMMON
    own = tuple(_words(names))
    if own and _is_little_besides(folded, _any_of(own)):
        yield Weakness.NAMES_PERSON
    if _surprises(folded) < min(SURPRISES, len(folded)):
        yield Weakness.SEQUENCE
    if len(set(folded)) < DISTINCT or _period(folded) < MIN_LENGTH <= len(folded):
        yield Weakness.REPEATED


def generate(below: Callable[[int], int]) -> str:
    """A password that can be read out: `k7mp-x2ra-...`, 99 bits.

    Args:
        below: a uniformly random number from 0 up to, without, its argument: `secrets.randbelow`.
    """
    while True:  # one in many millions has a pattern of its own
        groups = [
            "".join(ALPHABET[below(len(ALPHABET))] for _ in range(GROUP)) for _ in range(GROUPS)
        ]
        made = "-".join(groups)
        if not weaknesses(made):
            return made


def _untypable(text: str) -> bool:
    # Controls, halves of a pair, and code points that mean nothing yet: another version of
    # Unicode may normalise those in another way.
    return any(unicodedata.category(char) in {"Cc", "Cs", "Cn"} for char in text)


def _folded(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold().translate(_HIRAGANA)
    return unicodedata.normalize("NFKD", folded)


def _any_of(words: Iterable[str]) -> re.Pattern[str]:
    """One pattern for all the words, the longest first."""
    ordered = sorted(set(words), key=lambda word: (-len(word), word))
    return re.compile("|".join(map(re.escape, ordered)))


_COMMON_WORDS = _any_of(map(_folded, _COMMON))
# What pads a word to the wanted length says nothing: `Password2026!!`.
_PADDING = re.compile(r"[\d\W_]")


def _is_common(folded: str) -> bool:
    """Is it a word that is tried first, also `p4ssw0rd`, with little besides?"""
    return any(
        _is_little_besides(form, _COMMON_WORDS) for form in {folded, folded.translate(_LEET)}
    )


def _is_little_besides(text: str, words: re.Pattern[str]) -> bool:
    """Is one of the words in it, and little but padding besides?"""
    rest = words.sub("", text)
    return rest != text and len(_PADDING.sub("", rest)) < LEFT_OVER


def _words(names: Iterable[str]) -> Iterator[str]:
    """The words of a person's id and name that are long enough to be looked for."""
    for name in names:
        text = _bare(name)
        for word in (text, *re.split(r"[\W_]+", text)):
            least = 2 if _DENSE.search(word) else MIN_WORD
            if len(word) >= least:
                yield _folded(word)


def _bare(name: str) -> str:
    return unicodedata.normalize("NFKC", name.removeprefix("staff:"))[:MAX_LENGTH].strip()


def _pairs() -> dict[tuple[str, str], set[int]]:
    """Two neighbours → in which order, read in which direction, the second follows the first."""
    found: dict[tuple[str, str], set[int]] = {}
    for number, order in enumerate(_ORDERS, start=1):
        # Key by key: NFKC would make syllables of the jamo of a keyboard's row.
        keys = "".join(unicodedata.normalize("NFKD", key.casefold()) for key in order)
        for one, next_one in pairwise(keys):
            found.setdefault((one, next_one), set()).add(number)
            found.setdefault((next_one, one), set()).add(-number)
    return found


_NEIGHBOURS = _pairs()
_SAME, _UP, _DOWN = 10_000, 10_001, 10_002


def _relations(one: str, other: str) -> set[int]:
    """How the second follows the first: in which order, or by its number in Unicode."""
    found = set(_NEIGHBOURS.get((one, other), ()))
    step = ord(other) - ord(one)
    if step in {-1, 0, 1}:
        found.add({0: _SAME, 1: _UP, -1: _DOWN}[step])
    return found


def _surprises(folded: str) -> int:
    """How many characters do not simply go on as the two before them did."""
    count = 0
    going: set[int] = set()
    for at, char in enumerate(folded):
        found = _relations(folded[at - 1], char) if at else set()
        on = going & found
        count += not on
        going = on or found
    return count


def _period(text: str) -> int:
    """The length of the chunk that it repeats, at least twice; its own length if it does not.

    By the table of borders (Knuth, Morris, Pratt), so linear.
    """
    borders = [0] * len(text)
    for at in range(1, len(text)):
        border = borders[at - 1]
        while border and text[at] != text[border]:
            border = borders[border - 1]
        borders[at] = border + (text[at] == text[border])
    period = len(text) - (borders[-1] if text else 0)
    return period if 2 * period <= len(text) else len(text)
