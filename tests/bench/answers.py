"""What the CRM answers: invented clients, and lists of them, of the sizes that are measured."""

import json

RECORDS = 150
LIST_BYTES = 100 * 1024
RECORD_BYTES = 1024


def one_client() -> bytes:
    """A card of 1 KB, of a client of `crm_id: "1"`."""
    return _text(_client(0, RECORD_BYTES, nested=False))


def client_list(*, nested: bool = False, records: int = RECORDS) -> bytes:
    """150 clients in 100 KB. A third of them are those of `crm_id: "1"`.

    Args:
        records: so many instead, each of the same size.
        nested: two members of each are objects: one with a phone number again, and one that
            says whether the client consented.
    """
    size = LIST_BYTES // RECORDS
    return _text([_client(number, size, nested=nested) for number in range(records)])


def _client(number: int, wanted: int, *, nested: bool) -> dict[str, object]:
    """One client, whose notes are as long as it takes."""
    client: dict[str, object] = {
        "id": number + 1,
        "name": f"山本 葵{number}",
        "kana": "やまもと あおい",
        "phone": f"070-0000-{number:04}",
        "email": f"aoi{number}@example.com",
        "address": "東京都港区南青山0-0-0",
        "birthday": "1990-05-17",
        "notes": "",
        "visits": number % 40,
        "last_visit": f"20{10 + number % 16}-06-{1 + number % 28:02}",
        "stylist_id": 1 + number % 3,
        "salon": "aoyama",
        "created_at": "2021-03-04T05:06:07Z",
    }
    if nested:
        client["contact"] = {"phone": f"070-0000-{number:04}", "preferred": "mail"}
        client["consents"] = {"third_party": number % 2 == 0}
    missing = wanted - len(_text(client)) - len(", ")
    client["notes"] = "Likes a quiet chair. " * (missing // 21) + "." * (missing % 21)
    return client


def _text(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
