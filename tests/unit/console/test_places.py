"""Every address of the console, byte for byte; everything else is not the console's."""

import pytest

from gateway.console.places import Room, find_place
from gateway.domain.act import Act


@pytest.mark.parametrize(
    ("path", "room"),
    [
        ("/", Room.TODAY),
        ("/staff", Room.STAFF),
        ("/devices", Room.DEVICES),
        ("/requests", Room.REQUESTS),
        ("/requests/review", Room.REVIEW),
        ("/session", Room.SESSION),
        ("/session/password", Room.PASSWORD),
        ("/sign-in", Room.SIGN_IN),
        ("/sign-in/first", Room.FIRST),
        ("/sign-out", Room.SIGN_OUT),
        ("/language", Room.LANGUAGE),
        ("/assets/console.css", Room.ASSET),
    ],
)
def test_a_room_has_one_address(path, room):
    assert find_place(path).room is room


@pytest.mark.parametrize(
    "act", ["log-out", "lock", "unlock", "offboard", "approve-device", "refuse-device"]
)
def test_an_act_names_whom_it_is_done_to(act):
    place = find_place(f"/staff/mei/{act}")
    assert (place.whom, place.act) == ("staff:mei", Act(act.replace("-", "_")))


@pytest.mark.parametrize(
    "path",
    [
        "",
        "//",
        "/staff/",
        "/Staff",
        "/staff/mei",
        "/staff/mei/log-out/",
        "/staff/mei/sign_in",
        "/staff/Mei/lock",
        "/staff/mei%2f../lock",
        "/staff/../lock",
        "/staff/mei/lock\n",
        "/staff/" + "m" * 64 + "/lock",
        "/staff//lock",
        "http://127.0.0.1/staff",
        "/healthz",
        "/metrics",
        "*",
    ],
)
def test_anything_else_is_not_the_consoles(path):
    assert find_place(path) is None


def test_only_what_changes_nothing_may_be_asked_by_get():
    for act in ("log-out", "approve-device", "refuse-device"):
        assert find_place(f"/staff/mei/{act}").methods == {"POST"}
    assert find_place("/sign-out").methods == find_place("/language").methods == {"POST"}
    assert find_place("/session/password").methods == {"POST"}
    assert find_place("/staff").methods == {"GET", "HEAD"}
