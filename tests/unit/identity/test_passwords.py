import random
import secrets
import unicodedata

import pytest

from gateway.identity.passwords import ALPHABET, GROUP, GROUPS, generate, normalised, weaknesses
from gateway.identity.weakness import MAX_LENGTH, MIN_LENGTH, TEXTS, Weakness
from gateway.proxy.negotiate import Language

MEI = ("staff:mei", "Mei Tanaka")


def found(password, names=()):
    return set(weaknesses(password, names=names))


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery staple",
        "purple cow eats 7 clouds",
        "美咲は毎朝コーヒーを飲む猫",
        "고양이 세 마리 우산 하나",
        "вишневий сад біля хати",
        "x7Kp9mQ2vR4t",
        "hammersmith-lantern",
    ],
)
def test_words_that_do_not_go_together_are_good_in_every_script(password):
    assert weaknesses(password, names=(*MEI, "staff:mer")) == ()


@pytest.mark.parametrize(
    "password",
    [
        "password1234",
        "P4ssw0rd2026!!",
        "ｐａｓｓｗｏｒｄ１２３４",
        "salonsakura2026",
        "correcthorsebatterystaple",
        "パスワード20261122",
        "비밀번호12345678",
        "пароль20261122",
        "!!!iloveyou!!!123",
    ],
)
def test_what_is_tried_first_is_common_however_it_is_padded(password):
    assert Weakness.COMMON in found(password)


@pytest.mark.parametrize(
    "password",
    [
        "abcdefghijkl",
        "zyxwvutsrqpo",
        "987654321098",
        "qwertyuiop12",
        "POIUYTREWQ21",
        "1qaz2wsx3edc4rfv",
        "йцукенгшщзхъ",
        "фівапролджє1",
        "ㅂㅈㄷㄱㅅㅛㅕㅑㅐㅔㅁㄴ",
        "あいうえおかきくけこさし",
        "アイウエオカキクケコサシ",
        "たていすかんなにらせちと",
        "абвгґдеєжзиі",
    ],
)
def test_what_follows_an_order_is_a_sequence_in_every_script(password):
    assert Weakness.SEQUENCE in found(password)


@pytest.mark.parametrize(
    "password", ["abcabcabcabc", "xk7xk7xk7xk7xk7x", "aqaqaqaqaqaqaq", "ネコネコネコネコネコネコ"]
)
def test_what_repeats_itself_is_repeated(password):
    assert Weakness.REPEATED in found(password)


def test_a_long_password_typed_twice_is_still_a_long_password():
    assert found("correct horse battery correct horse battery ") == set()


@pytest.mark.parametrize(
    "password", ["mei-tanaka-2026", "Mei2026112233", "ＴＡＮＡＫＡ１２３４５６", "tanakatanaka!"]
)
def test_little_but_the_own_name_is_refused(password):
    assert Weakness.NAMES_PERSON in found(password, MEI)


def test_a_name_of_two_characters_is_looked_for_where_the_script_needs_no_more():
    assert Weakness.NAMES_PERSON in found("美咲20261122!!", ("staff:mei", "田中 美咲"))
    assert Weakness.NAMES_PERSON in found("민지20261122!!", ("staff:minji", "김 민지"))
    assert Weakness.NAMES_PERSON not in found("am 20261122 !!?", ("staff:am", "Am"))


def test_length_is_counted_in_code_points_after_normalisation():
    assert found("x7Kp9mQ2vR4") == {Weakness.TOO_SHORT}
    assert len(unicodedata.normalize("NFKC", "ﷺ")) == 18
    assert Weakness.TOO_SHORT not in found("ﷺ")
    decomposed = unicodedata.normalize("NFD", "우산고양이구름")  # 7 syllables, more keys
    assert len(decomposed) >= MIN_LENGTH
    assert Weakness.TOO_SHORT in found(decomposed)
    assert Weakness.TOO_LONG not in found("кіт і " * 42 + "дощ!")
    assert Weakness.TOO_LONG in found("ﷺ" * 15)
    assert found("x" * 10**6) == {Weakness.TOO_LONG}


@pytest.mark.parametrize(
    "char", ["\0", "\n", "\x7f", "\x85", "\ud800", "\u0378", "\U000fffff\uffff"]
)
def test_what_no_keyboard_types_is_refused_and_matches_nothing(char):
    assert Weakness.UNTYPABLE in found("x7Kp9mQ2vR4t" + char)
    assert normalised("x7Kp9mQ2vR4t" + char) is None


def test_one_password_has_one_form_whatever_the_keyboard_made_of_it():
    assert normalised("ｘ７Ｋｐ") == normalised("x7Kp") == b"x7Kp"
    assert normalised(unicodedata.normalize("NFD", "우산")) == "우산".encode()
    assert normalised("a") != normalised("A")
    assert normalised(" a") != normalised("a")
    assert normalised("") is None
    assert normalised("x" * (MAX_LENGTH + 1)) is None


def test_everything_wrong_is_said_at_once():
    assert found("qwerty") >= {Weakness.TOO_SHORT, Weakness.COMMON, Weakness.SEQUENCE}
    assert found("") >= {Weakness.TOO_SHORT}


def test_a_generated_password_is_good_and_easy_to_read_out():
    for _ in range(200):
        made = generate(secrets.randbelow)
        groups = made.split("-")
        assert [len(group) for group in groups] == [GROUP] * GROUPS
        assert set("".join(groups)) <= set(ALPHABET)
        assert weaknesses(made) == ()
    assert not set(ALPHABET) & set("0oO1lIi")
    assert len(ALPHABET) ** (GROUP * GROUPS) > 2**64


def test_what_is_generated_hangs_on_the_given_randomness_alone():
    def draws(seed):
        return random.Random(seed).randrange  # noqa: S311  # so that it can be said again

    assert generate(draws(7)) == generate(draws(7)) != generate(draws(8))


def test_a_weak_draw_is_drawn_again():
    values = iter([*[0] * (GROUP * GROUPS), *range(0, 20 * 7, 7)])
    assert generate(lambda below: next(values) % below)[:4] != "aaaa"


def test_the_worst_text_costs_as_much_as_any():
    for text in ("a" * 255 + "b", "ab" * 128, "password" * 32, "1" * 256, "ㅁㅏ" * 128):
        assert found(text)


def test_every_weakness_has_words_in_every_language():
    assert set(TEXTS) == {str(language) for language in Language}
    for texts in TEXTS.values():
        assert set(texts) == set(Weakness)
        assert all(texts.values())
