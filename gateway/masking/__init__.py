"""What leaves an answer and what may stand in a write: pure functions of bytes and a plan.

- `plan`: resource x hidden fields -> what stays at each level of a record
- `cut`: bytes x plan -> the same bytes without what is hidden, or a refusal
- `walk`: one pass over one body, as `cut` makes one or two
- `writes`: which fields a body sends, and whether this person may send them
- `mediatype`: which bodies call themselves JSON
"""
