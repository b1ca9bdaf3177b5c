"""`salon-gateway token`: a token that the gateway takes, or a sentence that says why not."""

import asyncio

import pytest

from gateway.app import load_settings, state_store, token_policy
from gateway.backends.clock import SystemClock
from gateway.domain.subject import DeviceId, StaffId
from gateway.identity.claims import verify


def claims_of(line, token):
    settings = load_settings(str(line.config))
    return verify(token, token_policy(settings, line.folder), SystemClock().now())


def floor(line, staff, device=None):
    async def ask():
        epochs = state_store(load_settings(str(line.config)), line.folder)
        try:
            return await epochs.floor(staff, device)
        finally:
            await epochs.close()

    return asyncio.run(ask())


def issued(line, *words):
    code, out, err = line("token", *words)
    assert (code, err) == (0, "")
    return claims_of(line, out.strip())


def test_a_token_says_what_was_asked_for_and_is_current(line):
    claims = issued(line, "mei", "--app", "phone", "--device", "phone-mei")
    assert (claims.staff, claims.app, claims.device) == ("staff:mei", "phone", "phone-mei")
    assert claims.epoch >= floor(line, StaffId("staff:mei"), DeviceId("phone-mei"))
    assert claims.roles is None


def test_the_prefix_may_be_written_or_left_out(line):
    assert issued(line, "staff:mei").staff == issued(line, "mei").staff


def test_it_lives_as_long_as_asked(line):
    now = SystemClock().now()
    assert 11.9 < (issued(line, "mei").expires_at - now).total_seconds() / 3600 < 12.1
    assert (issued(line, "mei", "--hours", "1").expires_at - now).total_seconds() <= 3601


def test_a_token_from_before_a_revocation_is_behind_and_a_new_one_is_not(line):
    before = issued(line, "mei")
    assert line("session", "revoke", "mei")[0] == 0
    assert before.epoch < floor(line, StaffId("staff:mei"))
    assert issued(line, "mei").epoch >= floor(line, StaffId("staff:mei"))


def test_as_json_it_is_one_member(line):
    code, data = line.data("token", "mei")
    assert code == 0
    assert data.keys() == {"token"}
    assert claims_of(line, data["token"]).staff == "staff:mei"


def test_roles_are_narrowed_where_a_claim_is_named_for_them(line):
    line.edit("gateway.yaml", "  # claims: {staff: sub,", "  claims: {staff: sub,")
    assert issued(line, "ken", "--role", "reception").roles == {"role:reception"}


def test_a_role_that_nobody_declared_is_a_usage_error(line):
    line.edit("gateway.yaml", "  # claims: {staff: sub,", "  claims: {staff: sub,")
    code, out, err = line("token", "mei", "--role", "stylst")
    assert (code, out) == (2, "")
    assert "unknown role `role:stylst`; did you mean `role:stylist`?" in err


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (("mai",), "`mai` is not on the roster; did you mean `mei`?"),
        (("mei", "--app", "fone"), "unknown app `fone`; did you mean `phone`?"),
        (("mei", "--hours", "0"), "`--hours` is 1 to 744"),
        (("mei", "--hours", "745"), "`--hours` is 1 to 744"),
        (("mei", "--role", "stylist"), "`tokens.claims.roles`"),
        (("mei", "--device", "my phone"), "a device id is 1 to 64 letters, digits"),
    ],
)
def test_a_token_that_cannot_be_had_is_a_usage_error_with_a_remedy(line, typed, said):
    code, out, err = line("token", *typed)
    assert (code, out) == (2, "")
    assert said in err
    assert line.data("session", "list") == (0, [])  # nobody was enrolled for it


def test_without_a_shared_secret_there_is_nothing_to_sign_with(line):
    (line.folder / "secrets" / "jwks.json").write_text(
        '{"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "one", "alg": "EdDSA",'
        ' "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}',
        encoding="ascii",
    )
    line.edit("gateway.yaml", "  secret_file: secrets/token-secret", "  jwks: secrets/jwks.json #")
    code, out, err = line("token", "mei")
    assert (code, out) == (2, "")
    assert "no shared secret to sign with; set `tokens.secret_file`" in err
