"""What several workers' metrics are together, once more: slowly, by prometheus_client's parser."""

from prometheus_client.parser import text_string_to_metric_families

# Of a gauge. Everything that is not here is added up.
LEAST = {
    "salon_gateway_policy_loaded_timestamp_seconds",
    "salon_gateway_policy_stale_since_timestamp_seconds",
    "salon_gateway_policy_up",
    "salon_gateway_state_up",
    "salon_gateway_audit_up",
    "salon_gateway_upstream_up",
    "process_start_time_seconds",
    "process_max_fds",
    "salon_gateway_issuer_keys_up",
}
MOST = {
    "salon_gateway_observing",
    "salon_gateway_observing_until_timestamp_seconds",
    "salon_gateway_policy_info",
    "salon_gateway_policy_age_seconds",
    "salon_gateway_policy_stale",
    "salon_gateway_calendars_missing",
    "salon_gateway_incident",
    "salon_gateway_issuer_keys_age_seconds",
    "salon_gateway_worker_up",
    "python_info",
}


def samples(text):
    """(name, labels) → value; every series once."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, "the same series twice"
            found[key] = sample.value
    return found


def slow_merge(texts):
    """The samples of all texts as one."""
    every = [samples(text) for text in texts]
    whole = {}
    for key in {key for one in every for key in one}:
        values = [one[key] for one in every if key in one]
        name = key[0]
        if name in LEAST:
            whole[key] = min(values)
        elif name in MOST:
            whole[key] = max(values)
        else:
            whole[key] = sum(values)
    return whole
