"""What to do with objects that have the same members: worked out once for each such shape.

True here: a node remembers the programs of its common shapes, so the next request does not
work them out again. It remembers few and short ones, whatever the CRM sends.
"""

from gateway.masking.plan import Drop, Node, Program

Shape = tuple[str, ...]  # the names of an object's members, in their order
MAX_REMEMBERED = 32  # programs of one node: real records have a handful of shapes
MAX_REMEMBERED_MEMBERS = 128  # in a shape; some 10 KB
MAX_REMEMBERED_NAME = 64  # characters


def new_program(node: Node, shape: Shape) -> Program:
    """Work out a program, and keep it for later requests, unless there are enough."""
    kept = (
        len(node.programs) < MAX_REMEMBERED
        and len(shape) <= MAX_REMEMBERED_MEMBERS
        and all(len(name) <= MAX_REMEMBERED_NAME for name in shape)
    )
    program = _build(node, shape, kept=kept)
    if kept:
        node.programs[shape] = program
    return program


def _build(node: Node, shape: Shape, *, kept: bool) -> Program:
    """What the node says about each of these members."""
    delete: list[str] = []
    drops: list[Drop] = []
    leaves: list[tuple[str, Node]] = []
    inner: list[tuple[str, Node]] = []
    look: list[tuple[str, Node]] = []
    for name in shape:
        child = node.members.get(name)
        drop = node.rest if child is None else child.gone
        if drop is not None:
            delete.append(name)
            drops.append(drop)
        elif child is None:
            pass  # undeclared, and may stay
        elif child.plain:
            leaves.append((name, child))
        elif child.branch:
            inner.append((name, child))
        else:
            look.append((name, child))
    return Program(
        tuple(delete), tuple(drops), tuple(leaves), tuple(inner), tuple(look), kept=kept
    )
