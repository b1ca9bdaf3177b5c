"""A new device comes in, and the managers are told of it, once, over several workers."""

from tests.e2e.chat import SECRET, a_chat
from tests.e2e.gateway_process import salon as a_salon
from tests.e2e.raw_crm import json_answer, raw_crm

TARGET = "/api/clients/7"


def test_managers_are_told_of_a_new_device_and_not_again(tmp_path):
    with a_chat() as (address, came, heard), raw_crm() as crm:
        crm.answers = {TARGET: json_answer(b'{"id": 7}')}
        with a_salon(
            tmp_path / "salon",
            crm.url,
            workers=2,
            devices={"new": "notify"},
            break_glass={"notify": {"webhook": {"url": address, "secret": SECRET}}},
        ) as salon:
            for device in ("phone-9", "phone-9", "phone-mei", "tablet-9"):
                heard.clear()
                token = salon.token("mei", app="phone", device=device)
                for _ in range(6):
                    assert salon.ask("GET", TARGET, token=token).status == 200
                if device == "phone-9" and len(came) == 1:
                    continue  # it is known by now
                if device != "phone-mei":  # that one is on her list in staff.yaml
                    assert heard.wait(30), device
        told = [body for _, body in came]
        assert [(one["event"], one["staff"], one["device"], one["app"]) for one in told] == [
            ("new_device", "staff:mei", device, "phone") for device in ("phone-9", "tablet-9")
        ]
        assert told[0]["managers"] == ["staff:hana", "staff:ken"]
