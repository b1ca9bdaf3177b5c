"""From raw bytes on the wire to one known route, or a refusal.

    guard -> canonical -> find -> asked_as -> require_answerable

`guard` admits the request's frame, `canonical` its target, `find` names the route, `asked_as`
what its parameters make of it, and `require_answerable` keeps the question from asking about
what the person may not see; `require_body_answerable` does so for a search by POST.
`ids_named` gathers the records a request names; `lookup_target` is how one of them is read.
`adapter` reads how a CRM speaks. Everything here is pure and total: at request time only
GatewayError leaves. Nothing is repaired: what is not in the one accepted form is refused.
"""
