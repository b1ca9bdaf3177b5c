"""Invented clients, messages and bookings: the same ones at every start.

Nobody here exists. Phone numbers are from ranges kept for fiction (North America's 555-01xx)
or cannot be dialled; mail addresses are in the `example` domains of RFC 2606.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

CLIENTS = 300
MESSAGES = 600
BOOKINGS = 400
SEED = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Locale:
    """Parts that names and addresses of one language are made of."""

    family: tuple[str, ...]
    given: tuple[str, ...]
    readings: tuple[str, ...]
    streets: tuple[str, ...]
    family_first: bool


LOCALES = (
    Locale(
        family=("青木", "石田", "上野", "大森", "川口", "桜井", "白石", "高木", "中野", "藤井"),
        given=("美咲", "陽菜", "結衣", "葵", "さくら", "翔太", "蓮", "湊", "凛", "七海"),
        readings=(
            "ミサキ",
            "ヒナ",
            "ユイ",
            "アオイ",
            "サクラ",
            "ショウタ",
            "レン",
            "ミナト",
            "リン",
            "ナナミ",
        ),
        streets=("架空町1丁目", "見本通り2丁目", "例ヶ丘3丁目"),
        family_first=True,
    ),
    Locale(
        family=("김", "이", "박", "최", "정", "강", "조", "윤"),
        given=("민지", "서연", "지우", "하은", "도윤", "예준", "수아", "지호"),
        readings=("ミンジ", "ソヨン", "ジウ", "ハウン", "ドユン", "イェジュン", "スア", "ジホ"),
        streets=("가상로 1", "견본길 2", "예시동 3"),
        family_first=True,
    ),
    Locale(
        family=("Бондаренко", "Коваль", "Мельник", "Шевчук", "Гончар", "Лисенко"),
        given=("Олена", "Ірина", "Дарина", "Соломія", "Тарас", "Богдан"),
        readings=("オレナ", "イリーナ", "ダリーナ", "ソロミヤ", "タラス", "ボフダン"),
        streets=("вул. Вигадана, 1", "вул. Зразкова, 2", "пров. Уявний, 3"),
        family_first=False,
    ),
    Locale(
        family=("Harper", "Whitfield", "Okafor", "Larkin", "Penrose", "Calloway"),
        given=("Ada", "Maeve", "Nora", "Iris", "Felix", "Jonah"),
        readings=("エイダ", "メイヴ", "ノラ", "アイリス", "フェリックス", "ジョナ"),
        streets=("1 Sample Street", "2 Specimen Row", "3 Invented Lane"),
        family_first=False,
    ),
)
NOTES = (
    "allergic to PPD, patch test before colour",
    "sensitive scalp, lukewarm water",
    "prefers a quiet appointment",
    "pregnant, no strong fragrances",
    "last colour: 6N plus 7A, 20 vol",
    "",
)
MENUS = (
    ("cut", 60, 6600),
    ("cut and colour", 120, 14300),
    ("perm", 150, 16500),
    ("spa", 45, 5500),
)
TEXTS = (
    "Could I come half an hour later?",
    "予約を来週に変更できますか。",
    "내일 예약 확인 부탁드립니다.",
    "Чи можна записатися на п'ятницю?",
    "Thank you for last week!",
)
STYLISTS = (("mei", "aoyama"), ("yuki", "yoyogi"))


def _moment(year: int, month: int, day: int, hour: int) -> str:
    return f"{year}-{month:02d}-{day:02d}T{hour:02d}:00:00+09:00"


def clients() -> Iterator[dict[str, Any]]:
    """Every client card, as the CRM's API shows it."""
    random = Random(SEED)  # noqa: S311  # samples, not secrets
    for number in range(1, CLIENTS + 1):
        locale = random.choice(LOCALES)
        index = random.randrange(len(locale.given))
        names = (random.choice(locale.family), locale.given[index])
        stylist, salon = random.choice(STYLISTS)
        phone = f"+1-{200 + number % 700:03d}-555-01{number % 100:02d}"
        yield {
            "id": number,
            "name": " ".join(names if locale.family_first else names[::-1]),
            "kana": locale.readings[index],
            "phone": phone,
            "email": f"client{number}@mail.example",
            "address": f"{random.choice(locale.streets)}-{random.randrange(1, 30)}",
            "birthday": f"{random.randrange(1955, 2007)}-{random.randrange(1, 13):02d}"
            f"-{random.randrange(1, 29):02d}",
            "notes": random.choice(NOTES),
            "visits": random.randrange(1, 60),
            "last_visit": f"2026-{random.randrange(1, 11):02d}-{random.randrange(1, 29):02d}",
            "stylist_id": stylist,
            "salon": salon,
            "consents": {"third_party": random.random() < 0.5},
            "contact": {"phone": phone, "preferred": random.choice(("line", "sms", "mail"))},
            "created_at": _moment(2015 + random.randrange(11), random.randrange(1, 13), 1, 10),
        }


def messages() -> Iterator[dict[str, Any]]:
    """Messages between clients and their stylists; the client is embedded by the API."""
    random = Random(SEED + 1)  # noqa: S311
    for number in range(1, MESSAGES + 1):
        yield {
            "id": number,
            "client_id": random.randrange(1, CLIENTS + 1),
            "stylist_id": random.choice(STYLISTS)[0],
            "text": random.choice(TEXTS),
            "sent_at": _moment(2026, 11, random.randrange(1, 21), random.randrange(9, 20)),
        }


def bookings() -> Iterator[dict[str, Any]]:
    """A week of bookings."""
    random = Random(SEED + 2)  # noqa: S311
    names = {card["id"]: card["name"] for card in clients()}
    for number in range(1, BOOKINGS + 1):
        client = random.randrange(1, CLIENTS + 1)
        stylist, salon = random.choice(STYLISTS)
        menu, minutes, price = random.choice(MENUS)
        yield {
            "id": number,
            "client_id": client,
            "client_name": names[client],
            "stylist_id": stylist,
            "salon": salon,
            "starts_at": _moment(2026, 11, 20 + random.randrange(7), random.randrange(10, 19)),
            "minutes": minutes,
            "menu": menu,
            "price": price,
            "memo": random.choice(NOTES),
        }
