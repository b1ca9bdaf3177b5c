"""Header names, as data: what passes to the CRM and what comes back.

House rules: lower case; one name a line, in alphabetical order; a name that is not obvious
says why it is here. `hygiene.py` says how the tables are used.
"""

import re

from gateway.domain.http import HOP_BY_HOP

# "A sender MUST NOT send a connection option corresponding to a field intended for all
# recipients" (RFC 9110 7.6.1). We judged the request by these: a client that has them
# removed on the way makes the CRM see another request than we did.
END_TO_END = frozenset(
    {
        "authorization",
        "content-encoding",
        "content-length",
        "content-type",
        "cookie",
        "host",
        "transfer-encoding",
    }
)
NEVER_TWICE = frozenset({"authorization", "content-type"})

# What passes to the CRM where answers are cut. Accept, Accept-Encoding and the cookies are
# ours to say; conditions and ranges would tell about bytes the reader may not see.
CUT_REQUEST = frozenset(
    {
        "accept-language",
        "content-type",
        "idempotency-key",
        "origin",
        "referer",
        "sec-fetch-dest",
        "sec-fetch-mode",
        "sec-fetch-site",
        "traceparent",
        "tracestate",
        "user-agent",
        "x-csrf-token",
        "x-csrftoken",
        "x-requested-with",
        "x-xsrf-token",
    }
)
# Preconditions of a write. A lost one turns "only if unchanged" into "overwrite".
PRECONDITIONS = ("if-match", "if-none-match", "if-unmodified-since")

# What never passes to the CRM, on any route: who asks, from where, for which URL, by which
# method, as told by headers some server, framework or single-sign-on proxy is known to trust.
DENIED = frozenset(
    {
        "api-key",
        "client-ip",
        "content-length",
        "expect",  # forwarding it deadlocks: our server has already answered 100
        "forwarded",
        "host",
        "max-forwards",
        "private-token",
        "sudo",
        "true-client-ip",
        "via",
    }
)
DENIED_PREFIXES = (
    "cf-",
    "client-cert",  # RFC 9440
    "fastly-",
    "proxy-",
    "remote-",
    "ssl-",
    "tailscale-",
    "x-accel-",
    "x-access-token",
    "x-account",
    "x-amzn-",
    "x-api-key",
    "x-appengine-",
    "x-arr-",
    "x-auth",
    "x-authenticated-",
    "x-client-",
    "x-cluster-client-",
    "x-email",
    "x-envoy-",
    "x-forward",
    "x-goog-",
    "x-groups",
    "x-host",
    "x-http-method",
    "x-http-host-",
    "x-impersonat",
    "x-jwt",
    "x-method-",
    "x-ms-client-principal",
    "x-oauth",
    "x-original",
    "x-originating-",
    "x-override",
    "x-pomerium-",
    "x-proxy",
    "x-real-",
    "x-remote-",
    "x-request-id",
    "x-rewrite-",
    "x-role",
    "x-sendfile",
    "x-session",
    "x-ssl-",
    "x-sudo",
    "x-tenant",
    "x-token",
    "x-url-scheme",
    "x-user",
    "x-vouch-",
    "x-webauth-",
)

# Families of such names: nobody can list what every sign-on proxy and framework has made up.
# Of what starts with `x-`, words that name a person, a right, a place or a method, wherever
# they stand; the tokens against forged requests are the exception that pages need.
DENIED_FAMILIES = re.compile(
    r".*(?:forwarded|authenticated|impersonat|method-?override|client-?ip|client-?cert|"
    r"principal|rewrite-ur|original-ur).*"
    r"|.*-ip"
    r"|x-(?!csrf|xsrf).*(?:token|user|e-?mail|role|group|tenant|account|staff|employee|actor|"
    r"subject|scope|permission|privilege|entitle|identity|login|session|jwt|saml|oidc|sso|cert|"
    r"ssl|tls|secret|api-?key|admin|internal|trusted|proxy|remote).*"
    r"|x-.*(?:host|url|uri|path|query|scheme|proto|protocol|port|prefix|method|verb|ip|addr)"
)

# What comes back where answers are cut; a route may allow more names.
CUT_ANSWER = frozenset({"allow", "retry-after"})
# Not even if a route allows it: these describe the bytes before the cut, or lead elsewhere.
NEVER_CUT = HOP_BY_HOP | {
    "accept-ranges",
    "cache-control",
    "content-digest",
    "content-encoding",
    "content-length",
    "content-location",
    "content-md5",
    "content-range",
    "content-type",
    "digest",
    "etag",
    "last-modified",
    "link",
    "location",
    "refresh",
    "repr-digest",
    "server",
    "set-cookie",
    "vary",
    "x-content-type-options",
}
# What never comes back, on any route: who runs there, ways around us, orders to a proxy in
# front of us, and claims about our own origin that are not the CRM's to make.
DENIED_ANSWER = HOP_BY_HOP | {
    "access-control-allow-credentials",  # another site's page would read with our cookie
    "alt-svc",
    "authentication-info",
    "clear-site-data",
    "content-location",
    "edge-control",
    "expect-ct",
    "location",
    "nel",  # with the next three, browsers report our addresses to whom the CRM names
    "public-key-pins",
    "public-key-pins-report-only",
    "refresh",
    "report-to",
    "reporting-endpoints",
    "server",
    "service-worker-allowed",
    "set-cookie2",  # a cookie that no list of names would see
    "sourcemap",
    "strict-transport-security",
    "via",
    "www-authenticate",  # what is typed into that box would come to us, as a second credential
    "x-generator",
    "x-lighttpd-send-file",
    "x-request-id",
    "x-reproxy-url",
    "x-runtime",
    "x-sendfile",
    "x-served-by",
    "x-sourcemap",
    "x-version",
}
DENIED_ANSWER_PREFIXES = (
    "proxy-",
    "surrogate-",
    "x-accel-",
    "x-aspnet",
    "x-backend",
    "x-litespeed-",
    "x-powered-by",
)
# What a cache obeys before `Cache-Control` (RFC 9213: `CDN-Cache-Control` and its like), and
# what makes it take two questions for one. Not where the answer is somebody's own.
SHARED_CACHES = re.compile(r".+cache-control|no-vary-search")
