"""A card at night, on the whole way: refused, asked for, told, shown, reviewed."""

import json

from gateway.demo.world import crm
from tests.e2e.chat import SECRET, a_chat
from tests.e2e.gateway_process import salon as a_salon

NEVER = """
salons:
  aoyama: {timezone: Asia/Tokyo, weekly: {}}
protected: [client]
exempt_roles: [role:manager]
"""


def test_a_card_at_night(tmp_path):
    (tmp_path / "crm").mkdir()
    with crm(tmp_path / "crm") as process, a_chat() as (address, came, heard):
        (tmp_path / "salon").mkdir()
        with a_salon(
            tmp_path / "salon",
            f"http://127.0.0.1:{process.said['port']}",
            break_glass={
                "enabled": True,
                "notify": {"webhook": {"url": address, "secret": SECRET}},
            },
        ) as salon:
            hours = salon.folder / "policies" / "hours.yaml"
            hours.write_text(NEVER)
            assert salon.reload().status == 200
            refused = salon.ask("GET", "/api/clients/7", "mei")
            assert refused.reason == "outside_hours"
            ask = refused.data["break_glass"].partition("?")[0]
            given = salon.ask(
                "POST", ask, "mei", body={"record": "/api/clients/7", "reason": "an allergy"}
            )
            assert given.status == 200, given.text
            number = given.data["grant"]
            assert heard.wait(10)
            ((_, told),) = came
            assert (told["grant"], told["record"], told["staff"]) == (number, "7", "staff:mei")
            assert "allergy" not in json.dumps(told)
            card = salon.ask("GET", "/api/clients/7", "mei")
            assert card.status == 200, card.text
            assert "phone" not in card.data
            assert salon.ask("GET", "/api/clients/8", "mei").reason == "outside_hours"
            again = salon.ask(
                "POST", ask, "mei", body={"record": "/api/clients/8", "reason": "another"}
            )
            assert again.reason == "break_glass_refused"
            listed = salon.cli("grant", "list")
            assert "an allergy" in listed.stdout
            assert number in listed.stdout
            own = salon.cli("grant", "review", number, "--by", "mei", "--verdict", "justified")
            assert own.returncode == 2
            done = salon.cli("grant", "review", number, "--by", "hana", "--verdict", "justified")
            assert done.returncode == 0, done.stderr
            assert salon.ask("GET", "/api/clients/7", "mei").reason == "outside_hours"
            entries = salon.entries()
            shown = [e for e in entries if e.get("grant") == number]
            assert [e["reason"] for e in shown] == ["break_glass"]
            acts = [e["act"] for e in salon.acts() if e["request_id"] == number]
            assert acts == ["break_glass_ask", "break_glass_review"]
            assert "allergy" not in json.dumps(entries)
            assert (
                salon.metric("salon_gateway_break_glass_total", step="used", resource="client")
                == 1
            )
