"""salon-gateway: a policy-as-code access gateway in front of a salon's CRM.

Start with `pipeline.py` (one request, stage by stage), then `bundle.py` (the owner's
files become one frozen whole). docs/ARCHITECTURE.md is the map.
"""

__version__ = "0.1.0"
