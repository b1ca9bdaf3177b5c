"""gateway.yaml: flags over environment over file, unknown keys refused, secrets not shown."""

import pytest

from gateway.domain.finding import PolicyError
from gateway.settings import parse_settings

LEAST = "upstream: {url: 'http://crm.example', adapter: a.yaml}\ntokens: {secret_file: s}\n"


def read(text=LEAST, environment=None, files=None):
    def read_file(name):
        if files is None or name not in files:
            raise FileNotFoundError(2, "No such file")
        return files[name]

    return parse_settings(text, "gateway.yaml", environment or {}, read_file)


def refused(text, environment=None):
    with pytest.raises(PolicyError) as caught:
        read(text, environment)
    return [str(finding) for finding in caught.value.findings]


def test_the_least_file_has_sane_defaults():
    settings = read()
    assert (settings.listen.host, settings.listen.port) == ("127.0.0.1", 8080)
    assert settings.state.url.startswith("sqlite:")
    assert settings.tokens.leeway_seconds == 0
    assert settings.upstream.pass_cookies == ()
    assert settings.listen.trusted_proxies == ()


def test_the_environment_goes_over_the_file_at_any_depth():
    settings = read(environment={"SALON_GATEWAY_LISTEN__PORT": "9", "PATH": "/bin"})
    assert settings.listen.port == 9


def test_a_secret_may_come_from_a_file_that_the_environment_names():
    text = LEAST.replace("{secret_file: s}", "{}")
    settings = read(text, {"SALON_GATEWAY_TOKENS__SECRET_FILE": "/run/s"})
    assert settings.tokens.secret_file == "/run/s"
    url = "redis://:abc@r.example"
    settings = read(environment={"SALON_GATEWAY_STATE__URL_FILE": "/run/u"}, files={"/run/u": url})
    assert settings.state.url == url
    assert "abc" not in repr(settings.state)


def test_a_variable_in_the_file_is_replaced_from_the_environment():
    text = LEAST + "state: {url: '${STATE}'}\n"
    assert read(text, {"STATE": "redis://r.example"}).state.url == "redis://r.example"
    assert refused(text) == ["gateway.yaml:3:9: `${STATE}` is not in the environment"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (LEAST + "lisen: {}\n", "gateway.yaml:3:1: unknown key `lisen`; did you mean `listen`?"),
        (LEAST + "listen: {port: 99999}\n", "less than or equal to 65535"),
        (LEAST + "state: {url: 'redis+tls://r.example'}\n", "state is `sqlite:PATH`"),
        (LEAST + "state: {url: 'redis://r', prefix: 'a b'}\n", "`a b` is not a name"),
        (LEAST + "state: {prefix: aoyama}\n", "`prefix` is for a Redis that is shared"),
        (LEAST + "state: {url: 'redis://r', ca_file: c}\n", "begin `state.url` with `rediss`"),
        (LEAST + "state: {url: 'rediss://r', client_key: k.pem}\n", "go together; give both"),
        (LEAST + "listen: {certificate: c.pem}\n", "`certificate` and `key` go together"),
        (LEAST + "state: {url: 'mysql://x'}\n", "state is `sqlite:PATH`"),
        (LEAST + "networks: {salon: [300.1.1.1]}\n", "does not appear to be an IPv4 or IPv6"),
        (
            LEAST + "listen: {trusted_proxies: [balancer]}\n",
            "does not appear to be an IPv4 or IPv6",
        ),
        (LEAST + "listen: {trusted_proxies: [10.0.0.1/8]}\n", "has host bits set"),
        (LEAST + "listen: {trusted_proxies: ['::ffff:10.0.0.0/104']}\n", "as IPv4: `10.0.0.0/8`"),
        (LEAST + "networks: {salon: ['::ffff:192.0.2.7']}\n", "as IPv4: `192.0.2.7/32`"),
        (LEAST + "devices: {idle_days: 0}\n", "1 to 3650, or `never`"),
        (LEAST + "devices: {idle_days: 3651}\n", "1 to 3650, or `never`"),
        (LEAST + "devices: {new: ask}\n", "'allow', 'notify' or 'wait'"),
        (LEAST + "devices: {new: notify}\n", "needs a way to tell managers"),
        (LEAST + "audit: {retention_days: 0}\n", "1 to 36500, or `forever`"),
        (LEAST + "apps: [Phone]\n", "`Phone` is not a name"),
        (LEAST.replace("http://crm.example", "crm.example"), "is not `http://host`"),
        (
            LEAST.replace("http://crm.example", "http://crm.example/x"),
            "scheme, host and port only",
        ),
        (LEAST.replace("secret_file: s", "issuer: x"), "give a `secret_file` (HS256) or a `jwks`"),
        (LEAST.replace("secret_file: s", "jwks: j, cookie: c"), "`cookie` needs `origins`"),
        ("tokens: {secret_file: s}\n", "the key `upstream` is missing"),
        ("- a\n", "holds keys and values"),
    ],
)
def test_a_wrong_key_or_value_is_a_finding(text, says):
    found = refused(text)
    assert any(says in finding for finding in found), found


def test_a_secret_and_a_secret_file_are_one_too_many():
    found = refused(LEAST.replace("secret_file: s", "secret_file: s, secret: t"))
    assert any("give one of them" in finding for finding in found)


def test_an_unreadable_secret_file_of_the_environment_is_a_finding():
    found = refused(LEAST, {"SALON_GATEWAY_STATE__URL_FILE": "/nowhere"})
    assert any("cannot read the file" in finding for finding in found)


def signing_in(tokens, upstream="{url: 'http://crm.example', adapter: a.yaml}"):
    return f"upstream: {upstream}\ntokens: {tokens}\naccounts: {{enabled: true}}\n"


COOKIE = "cookie: __Host-salon, origins: ['https://crm.example']"


def test_signing_in_needs_a_key_to_sign_with_and_a_cookie_of_this_host_alone():
    settings = read(signing_in(f"{{secret_file: s, {COOKIE}}}"))
    assert settings.accounts.session_hours == 12
    (message,) = refused(signing_in(f"{{jwks: k.json, {COOKIE}}}"))
    assert "`tokens.secret_file`" in message
    (message,) = refused(signing_in("{secret_file: s}"))
    assert "`__Host-`" in message
    (message,) = refused(signing_in(f"{{secret_file: s, {COOKIE.replace('__Host-', '')}}}"))
    assert "`__Host-`" in message
    crm = "{url: 'http://crm.example', adapter: a.yaml, pass_cookies: [__Host-salon]}"
    (message,) = refused(signing_in(f"{{secret_file: s, {COOKIE}}}", crm))
    assert "`upstream.pass_cookies`" in message


def test_without_signing_in_none_of_it_is_needed():
    assert not read().accounts.enabled


def test_a_second_factor_is_asked_of_roles_and_of_nothing_else():
    base = signing_in(f"{{secret_file: s, {COOKIE}}}")

    def with_roles(roles):
        return base.replace("enabled: true", f"enabled: true, second_factor: {roles}")

    assert read(base).accounts.second_factor.required_for == ()
    settings = read(with_roles("{required_for: [role:owner, role:manager]}"))
    assert settings.accounts.second_factor.required_for == ("role:owner", "role:manager")
    for wrong in ("owner", "staff:hana", "role:Owner"):
        (message,) = refused(with_roles(f"{{required_for: [{wrong}]}}"))
        assert "is not a role" in message


def test_the_console_of_several_workers_needs_a_key_that_all_of_them_have():
    text = "upstream: {url: 'http://crm.example', adapter: a.yaml}\nconsole: {enabled: true}\n"
    (message,) = refused(text + "workers: 2\ntokens: {jwks: k.json}\n")
    assert "`tokens.secret_file`" in message
    assert read(text + "workers: 2\ntokens: {secret_file: s}\n").workers == 2
    assert read(text + "tokens: {jwks: k.json}\n").console.enabled


def glass(way):
    return LEAST + f"break_glass: {{enabled: true, notify: {{{way}}}}}\n"


HOOK = "webhook: {{url: '{0}', secret: kQ9v2mZr7xT4wB8nL1sD6fG3hJ5pYcVe}}"
POST = "smtp: {{host: {0}, security: {1}, sender: a@salon.example, to: {{ken: {2}}}}}"


def test_break_glass_is_off_and_on_it_needs_a_way_to_tell_managers():
    assert not read().break_glass.enabled
    assert "a way to tell managers" in refused(LEAST + "break_glass: {enabled: true}\n")[0]
    settings = read(glass(HOOK.format("https://chat.example/hook"))).break_glass
    assert (settings.minutes, settings.resources) == (20, ("client",))
    assert "kQ9v" not in repr(settings)


def test_new_devices_are_told_by_the_same_ways_with_or_without_break_glass():
    way = f"{{notify: {{{HOOK.format('https://chat.example/hook')}}}}}"
    settings = read(LEAST + f"break_glass: {way}\ndevices: {{new: notify}}\n")
    assert (settings.devices.new, settings.break_glass.enabled) == ("notify", False)


@pytest.mark.parametrize("minutes", [14, 31, 0])
def test_a_card_is_open_for_fifteen_to_thirty_minutes(minutes):
    assert refused(LEAST + f"break_glass: {{minutes: {minutes}}}\n")


@pytest.mark.parametrize(
    "way",
    [
        HOOK.format("http://chat.example/hook"),
        HOOK.format("https://u:p@chat.example/hook"),
        HOOK.format("https://chat.example/#x"),
        HOOK.format("ftp://chat.example/"),
        "webhook: {url: 'https://chat.example/', secret: short}",
        POST.format("mail.example", "none", "ken@salon.example"),
        POST.format("mail.example", "tls", "ken"),
        POST.format("mail.example", "tls", "'k@x.example, evil@attacker.example'"),
        "smtp: {host: mail.example, sender: a@salon.example, to: {}}",
    ],
)
def test_managers_are_told_over_tls_at_one_address_each_or_not_at_all(way):
    assert refused(glass(way))


def test_without_tls_managers_are_told_on_this_machine_only():
    assert read(glass(HOOK.format("http://127.0.0.1:9/hook"))).break_glass.enabled
    assert read(glass(POST.format("localhost", "none", "k@salon.example")))
