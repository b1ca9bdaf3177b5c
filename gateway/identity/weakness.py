"""Why a password is not good enough: a closed set, and what to tell people in five languages.

A text says what to do, never what was typed. Whoever shows a page chooses the language.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

MIN_LENGTH = 12  # code points; NIST SP 800-63B-4 asks for 15 where nothing but it is asked, 8 else
MAX_LENGTH = 256  # code points; NIST asks for 64 at least


class Weakness(StrEnum):
    """One thing wrong with a password. Add, do not rename: programs compare them."""

    TOO_SHORT = "too_short"
    TOO_LONG = "too_long"
    UNTYPABLE = "untypable"  # control characters and what is no character at all
    COMMON = "common"  # little is left of it without words that everybody tries first
    NAMES_PERSON = "names_person"  # little is left of it without the person's id and name
    SEQUENCE = "sequence"  # most of it follows from what stands before: 1234, qwerty, あいうえ
    REPEATED = "repeated"  # one short chunk again and again, or very few characters
    UNCHANGED = "unchanged"  # it is the one that was to be changed


_EN = {
    Weakness.TOO_SHORT: f"Use at least {MIN_LENGTH} characters. Three or four words are fine.",
    Weakness.TOO_LONG: f"Use at most {MAX_LENGTH} characters.",
    Weakness.UNTYPABLE: "It holds characters that a keyboard cannot type.",
    Weakness.COMMON: "It is among the passwords that are tried first. Use words that do not go "
    "together.",
    Weakness.NAMES_PERSON: "It holds your name. Leave your name out.",
    Weakness.SEQUENCE: "It follows the alphabet, the numbers or the keyboard. Mix it more.",
    Weakness.REPEATED: "It repeats itself. Use something that does not.",
    Weakness.UNCHANGED: "It is the old one. Choose another.",
}
_JA = {
    Weakness.TOO_SHORT: f"{MIN_LENGTH}文字以上にしてください。単語を3、4個並べてもかまいません。",
    Weakness.TOO_LONG: f"{MAX_LENGTH}文字以下にしてください。",
    Weakness.UNTYPABLE: "キーボードでは入力できない文字が含まれています。",
    Weakness.COMMON: "最初に試されやすいパスワードです。関係のない単語を組み合わせてください。",
    Weakness.NAMES_PERSON: "お名前が含まれています。名前を使わないでください。",
    Weakness.SEQUENCE: "文字や数字、キーの並び順のままです。順番を崩してください。",
    Weakness.REPEATED: "同じものの繰り返しです。繰り返さないものにしてください。",
    Weakness.UNCHANGED: "前と同じです。別のパスワードにしてください。",
}
_KO = {
    Weakness.TOO_SHORT: f"{MIN_LENGTH}자 이상으로 정해 주세요. 단어 서너 개를 이어도 됩니다.",
    Weakness.TOO_LONG: f"{MAX_LENGTH}자 이하로 정해 주세요.",
    Weakness.UNTYPABLE: "키보드로 입력할 수 없는 문자가 들어 있습니다.",
    Weakness.COMMON: "가장 먼저 시도되는 비밀번호입니다. 서로 관계없는 단어를 쓰세요.",
    Weakness.NAMES_PERSON: "이름이 들어 있습니다. 이름은 빼 주세요.",
    Weakness.SEQUENCE: "글자나 숫자, 자판의 순서 그대로입니다. 순서를 섞어 주세요.",
    Weakness.REPEATED: "같은 것이 반복됩니다. 반복되지 않게 정해 주세요.",
    Weakness.UNCHANGED: "이전과 같습니다. 다른 비밀번호를 정해 주세요.",
}
_UK = {
    Weakness.TOO_SHORT: f"Потрібно щонайменше {MIN_LENGTH} символів. Можна три-чотири слова.",
    Weakness.TOO_LONG: f"Не більше ніж {MAX_LENGTH} символів.",
    Weakness.UNTYPABLE: "У ньому є символи, яких не набрати на клавіатурі.",
    Weakness.COMMON: "Такі паролі пробують першими. Візьміть слова, не пов’язані між собою.",
    Weakness.NAMES_PERSON: "У ньому є ваше ім’я. Приберіть його.",
    Weakness.SEQUENCE: "Він іде за абеткою, за числами або за клавіатурою. Перемішайте.",
    Weakness.REPEATED: "Він повторює сам себе. Придумайте без повторів.",
    Weakness.UNCHANGED: "Це старий пароль. Оберіть інший.",
}
_RU = {
    Weakness.TOO_SHORT: f"Нужно не меньше {MIN_LENGTH} символов. Можно три-четыре слова.",
    Weakness.TOO_LONG: f"Не больше {MAX_LENGTH} символов.",
    Weakness.UNTYPABLE: "В нём есть символы, которых не набрать на клавиатуре.",
    Weakness.COMMON: "Такие пароли пробуют первыми. Возьмите слова, не связанные между собой.",
    Weakness.NAMES_PERSON: "В нём есть ваше имя. Уберите его.",
    Weakness.SEQUENCE: "Он идёт по алфавиту, по числам или по клавиатуре. Перемешайте.",
    Weakness.REPEATED: "Он повторяет сам себя. Придумайте без повторов.",
    Weakness.UNCHANGED: "Это старый пароль. Выберите другой.",
}

# By the code of the language, as `proxy/negotiate.py` has it.
TEXTS: Mapping[str, Mapping[Weakness, str]] = MappingProxyType(
    {"en": _EN, "ja": _JA, "ko": _KO, "uk": _UK, "ru": _RU}
)
