"""The chain's rules once more, slowly: is this sequence of files one whole trail?

Written from the text of the rules, not from the code. It says only yes or no.

- Each line is a JSON object, ends in one newline, and its members end `n`, `prev`, `hash`.
- `hash` is SHA-256, in hex, of the line without its newline and without its `hash` member.
- Put end to end, `n` goes up by one and `prev` is the `hash` before.
- A file begins with a head and has no other; the head names the file by its number.
- File numbers go up by one. The first file is number 1, with `prev` all zeros and `n` 1; or
  the last head's `oldest` is at least its number: retention has deleted what was before.
"""

import hashlib
import json


def is_whole(files: list[tuple[int, bytes]]) -> bool:
    """Is the trail of these (number, content) whole?"""
    before_n, before_hash, before_number = None, None, None
    oldest = 1
    for number, content in files:
        if not content.endswith(b"\n"):
            return False
        for index, line in enumerate(content[:-1].split(b"\n")):
            try:
                members = json.loads(line)
            except ValueError:
                return False
            if not isinstance(members, dict) or list(members)[-3:] != ["n", "prev", "hash"]:
                return False
            stated = members.pop("hash")
            without = line.replace(f',"hash":"{stated}"'.encode(), b"")
            if hashlib.sha256(without).hexdigest() != stated:
                return False
            if (members["kind"] == "head") != (index == 0):
                return False
            if index == 0:
                if members["file"] != number:
                    return False
                oldest = members["oldest"]
            if before_n is None:
                if number == 1 and (members["n"], members["prev"]) != (1, "0" * 64):
                    return False
            elif members["n"] != before_n + 1 or members["prev"] != before_hash:
                return False
            before_n, before_hash = members["n"], stated
        if before_number is not None and number != before_number + 1:
            return False
        before_number = number
    return not files or files[0][0] <= oldest
