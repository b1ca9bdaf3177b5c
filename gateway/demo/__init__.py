"""A sample salon to try the gateway on: invented people, a small CRM, and a tour."""
