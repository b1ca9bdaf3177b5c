"""`login` of an adapter: what it can say, and what is a slip."""

import pytest

from gateway.domain.finding import PolicyError
from gateway.domain.login import Place, Refresh, SignIn, SignOut, Source, StaffKey
from gateway.mapping.adapter import parse_adapter
from gateway.texts.yamltext import parse_yaml
from tests.oracles.login_samples import ALL, OAUTH, PLAIN, SANCTUM, a_login, adapter_text


def findings(login, more=""):
    with pytest.raises(PolicyError) as caught:
        parse_adapter(parse_yaml(adapter_text(login) + more, "a.yaml"))
    return [str(finding).split(": ", 1)[1] for finding in caught.value.findings]


def with_line(old, new, login=PLAIN):
    assert old in login
    return login.replace(old, new, 1)


@pytest.mark.parametrize("name", ALL)
def test_the_logins_of_common_crms_can_be_said(name):
    login = a_login(ALL[name])
    assert login.credential.place in {Place.COOKIE, Place.HEADER}
    assert any(isinstance(step, SignIn) for steps in login.steps.values() for step in steps)


def test_an_adapter_without_a_login_has_none():
    text = adapter_text(PLAIN).partition("login:")[0]
    assert parse_adapter(parse_yaml(text, "a.yaml")).login is None


def test_a_login_is_read_with_everything_it_says():
    login = a_login()
    assert login.credential == Source(place=Place.COOKIE, name="sessionid")
    (sign_in,) = login.steps["POST /api/login"]
    assert isinstance(sign_in, SignIn)
    assert sign_in.issues.access == login.credential  # where nothing else is said
    assert sign_in.staff.path.steps == ("user", "id")
    assert sign_in.by is StaffKey.CRM_ID
    assert isinstance(login.steps["POST /api/logout"][0], SignOut)
    assert not login.renews
    assert login.by_cookie
    assert login.presented.cookies == {"sessionid"}
    assert login.back == frozenset()


def test_the_cookie_of_a_login_that_renews_may_come_back_with_any_answer():
    login = a_login(SANCTUM)
    assert login.back == {"laravel_session"}
    assert login.begins_before


def test_one_address_may_be_two_steps_that_the_request_tells_apart():
    one, other = a_login(OAUTH).steps["POST /oauth/token"]
    assert isinstance(one, SignIn)
    assert isinstance(other, Refresh)
    assert (one.when.word, other.when.word) == ("password", "refresh_token")


@pytest.mark.parametrize(
    ("credential", "said"),
    [
        ("sessionid", "`sessionid` must start with `cookie:` or `header:`"),
        ("body:token", "`body:token` must start with `cookie:` or `header:`"),
        ('"cookie:"', "`cookie:` must name one cookie, like `cookie:name`"),
        ("cookie:a b", "`cookie:a b` must name one cookie, like `cookie:name`"),
        ('"cookie:a;b"', "`cookie:a;b` must name one cookie, like `cookie:name`"),
        ("header:Authorization", "write the word before the token, too, like"),
        ("header:Authorization Basic", "`Basic` sends the password itself with each request"),
        ("header:Authorization Bearer x", "must name one header"),
        ("header:Cookie", "the header `cookie` cannot carry this"),
        ("header:X-Forwarded-For", "the header `x-forwarded-for` cannot carry this"),
        ("header:Transfer-Encoding", "the header `transfer-encoding` cannot carry this"),
        ("header:X_Token", "the header `x_token` cannot carry this"),
    ],
)
def test_a_credential_is_one_cookie_or_one_header(credential, said):
    (found,) = findings(with_line("cookie:sessionid", credential))
    assert said in found


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("POST /api/logout", "POST /api/logout/all", None),
        ("staff: body:user.id", "staff: cookie:user", "must start with `body:` or `token:`"),
        ("staff: body:user.id", "staff: 'body:users[]'", "must lead to one member"),
        ("staff: body:user.id", "staff: body:user.**", "must lead to one member"),
        ("staff: body:user.id", "staff: 'body:'", "must lead to one member"),
        ("staff: body:user.id", "staff: 'body:user..id'", "empty member name"),
        (
            "staff: body:user.id",
            "staff: token:sub, who: GET /me",
            "`token:sub` must start with `body:`",
        ),
        ("staff: body:user.id", "staff: body:id, who: PUT /me", "must be `GET` or `POST`"),
        ("staff: body:user.id", "staff: body:id, who: 'GET /{id}'", "must be `GET` or `POST`"),
        ("staff: body:user.id", "staff: body:id, who: me", "must be a method"),
        ("staff: body:user.id", "staff: body:id, issues: cookie:sid", "is another cookie than"),
        ("staff: body:user.id", "staff: body:id, issues: 'header:Set-Cookie'", "cannot carry"),
        ("staff: body:user.id", "staff: body:id, issues: form:x", "must start with `cookie:`"),
        ("staff: body:user.id", "staff: body:id, success: [404]", "`404` is no success"),
        ("staff: body:user.id", "staff: body:id, success: [200, 304]", "`304` is no success"),
        ("staff: body:user.id", "staff: body:id, device: body:d", "must start with `header:`"),
        (
            "staff: body:user.id",
            "staff: body:id, device: header:Authorization X",
            "must be a header of its own",
        ),
        ("staff: body:user.id", "staff: body:id, unless: ['[]']", "must lead to one member"),
        ("staff: body:user.id", "staff: body:id, issues_refresh: body:r", "nothing takes this"),
        ("staff: body:user.id", "staff: body:id, when: grant", "must be like `form:grant_type is"),
        ("staff: body:user.id", "staff: body:id, when: 'query:g is x'", "must start with `body:`"),
    ],
)
def test_a_slip_in_a_step_is_said(old, new, said):
    text = with_line(old, new)
    if said is None:
        assert a_login(text)
        return
    assert any(said in found for found in findings(text)), findings(text)


def test_all_slips_are_said_at_once_each_at_its_place():
    text = PLAIN.replace("body:user.id", "x").replace(
        "cookie:sessionid", "cookie:sessionid\n  renewz: true"
    )
    with pytest.raises(PolicyError) as caught:
        parse_adapter(parse_yaml(adapter_text(text), "a.yaml"))
    assert [str(one) for one in caught.value.findings] == [
        "a.yaml:10:3: unknown key `renewz`; did you mean `renews`?",
    ]
    text = text.replace("  renewz: true\n", "").replace(
        "POST /api/logout}", "POST /api/logout, presents: y}"
    )
    with pytest.raises(PolicyError) as caught:
        parse_adapter(parse_yaml(adapter_text(text), "a.yaml"))
    assert [str(one) for one in caught.value.findings] == [
        "a.yaml:11:32: `x` must start with `body:` or `token:`",
        "a.yaml:13:33: `y` must start with `cookie:`, `header:`, `body:` or `form:`",
    ]


def test_the_addresses_are_public_routes_without_names_in_them():
    head = adapter_text(PLAIN)

    def said(old, new):
        with pytest.raises(PolicyError) as caught:
            parse_adapter(parse_yaml(head.replace(old, new, 1), "a.yaml"))
        return " ".join(str(one) for one in caught.value.findings)

    route = "{match: POST /api/login, resource: session, action: create, public: true}"
    assert "must be a `public` route" in said(route, route.replace(", public: true", ""))
    assert "did you mean `POST /api/login`" in said(
        "{match: POST /api/login, staff", "{match: POST /api/logn, staff"
    )
    for wide in ("POST /api/**", "'POST /api/{x}'"):
        with pytest.raises(PolicyError, match="must be one address"):
            parse_adapter(parse_yaml(head.replace("POST /api/login", wide), "a.yaml"))
    reads = head.replace("POST /api/login", "GET /api/login")
    with pytest.raises(PolicyError, match="only reads"):
        parse_adapter(parse_yaml(reads, "a.yaml"))


def test_what_only_a_cookie_can_do_is_not_said_of_a_header():
    text = with_line("cookie:sessionid", "header:X-Auth-Token\n  renews: true")
    text = with_line("staff: body", "issues: body:token, continues: true, staff: body", text)
    assert len(findings(text)) == 2


def test_two_steps_at_one_address_must_differ_by_one_field():
    same = OAUTH.replace("is refresh_token", "is password")
    assert "tell both apart" in findings(same)[0]
    other_field = OAUTH.replace("form:grant_type is refresh_token", "form:kind is refresh_token")
    assert "tell both apart" in findings(other_field)[0]
    without = OAUTH.replace("      when: form:grant_type is refresh_token\n", "")
    assert "tell both apart" in findings(without)[0]


def test_a_refresh_takes_what_something_issues_and_not_the_credential_itself():
    no_token = OAUTH.replace("      issues_refresh: body:refresh_token\n", "")
    assert "nothing issues what this takes" in findings(no_token)[0]
    itself = OAUTH.replace("presents: form:refresh_token", "presents: header:Authorization Bearer")
    assert "is the credential itself" in findings(itself)[0]
    one_place = OAUTH.replace(
        "issues_refresh: body:refresh_token", "issues_refresh: body:access_token"
    )
    assert "must stand elsewhere" in findings(one_place)[0]


def test_nobody_could_sign_in_is_said():
    text = "login:\n  credential: cookie:sessionid\n  sign_in: []\n"
    head = adapter_text(PLAIN).partition("login:")[0]
    with pytest.raises(PolicyError, match="nobody could sign in"):
        parse_adapter(parse_yaml(head + text, "a.yaml"))
