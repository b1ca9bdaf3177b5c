"""The audit trail's core: what an entry says, and how entries are chained."""
