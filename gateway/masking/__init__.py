"""What leaves an answer and what may stand in a write: pure functions of bytes and a plan.

- `tree`: every declared place of a record
- `plan`: resource x hidden fields -> what stays at each level of a record
- `cut`: bytes x plan -> the same bytes without what is hidden, or a refusal
- `envelope`: from the root of an answer down to its records, and what stays around them
- `walk`: one pass over the records: which of them stay, and what of each
- `cutter`: cuts objects and everything in them
- `programs`, `counts`, `leaves`: what it does with objects of one shape, counts and looks at
- `condition`: does a record meet what was asked?
- `pieces`: a long JSON text, read in pieces that each take well under a millisecond
- `facts`: a record's members -> what rules ask of it
- `judge`: does this record stay, and cut by which node?
- `look`: what a look-up showed of the one record that a write is about
- `writes`: which fields a body sends, and whether this person may send them
- `mediatype`: which bodies call themselves JSON
"""
