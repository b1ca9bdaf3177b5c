"""Questions about a policy, answered without a running gateway. Pure: bundles in, values out."""
