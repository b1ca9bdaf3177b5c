"""CSV: one meaning, or none."""

import pytest

from gateway.masking.csvtext import MAX_COLUMNS, NotCsvError, cell_text, quoted, read_table_steps


def table_of(body):
    steps = read_table_steps(body)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value


def rows(body):
    table = table_of(body)
    return [list(table.header), *table.rows()]


def test_cells_are_raw_and_rows_end_in_crlf_or_lf():
    first, *others = rows(b'a,"b"\r\n1,"2,""\r\n"\n,\r\n')
    assert first == [b"a", b'"b"']
    assert others == [[b"1", b'"2,""\r\n"'], [b"", b""]]


def test_a_last_line_end_is_optional():
    assert rows(b"a\n1") == rows(b"a\n1\n") == [[b"a"], [b"1"]]


def test_the_header_alone_says_which_separator_it_is():
    assert rows(b"a;b\n1,2;3\n") == [[b"a", b"b"], [b"1,2", b"3"]]
    assert rows(b"a\tb\n1;2\t3\n") == [[b"a", b"b"], [b"1;2", b"3"]]
    assert rows(b'"a;b",c\n1,2\n') == [[b'"a;b"', b"c"], [b"1", b"2"]]
    assert rows(b"a\n1;2\n") == [[b"a"], [b"1;2"]]


def test_a_byte_order_mark_is_no_part_of_the_first_name():
    table = table_of(b'\xef\xbb\xbf"a",b\n')
    assert (table.names, table.marked) == (("a", "b"), True)


def test_a_cell_in_quotes_says_what_stands_between_them():
    assert cell_text(b'"a""b"') == 'a"b'
    assert quoted('a"b') == b'"a""b"'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"a,b\n1\n",
        b"a,b\n1,2,3\n",
        b"a,b\n\n",
        b"a,b\n1,2\n\n",
        b"a,a\n",
        b'a,"a"\n',
        b",\n",
        b"a;b,c\n",
        b"a,b\tc\n",
        b'a\n"b\n',
        b'a\nb"c\n',
        b'a\n"b"c\n',
        b'a\n"b""\n',
        b'a\n "b"\n',
        b'a,b\n"1"2,3\n',
        b"a\n1\r2\n",
        b"a\r1\r",
        b"a\n1\r\r\n",
        b"a\n1\x00\n",
        b"a\n1\x1f\n",
        b'a\n"\x0b"\n',
        b"a\n\xff\n",
        b"\xff\xfea\x00\n\x00",
        b"sep=;\na;b\n",
        ",".join(f"c{n}" for n in range(MAX_COLUMNS + 1)).encode(),
    ],
)
def test_what_is_no_table_is_refused(body):
    with pytest.raises(NotCsvError):
        rows(body)


@pytest.mark.parametrize(
    "row", [b'"x\\",1,"y"', b"x\\,1,2", b'1,2,"\\"""', b"1,2,x\\", b'"a\\"",1,2', b'"\\\\",1,2']
)
def test_a_backslash_that_some_crms_mean_as_an_escape_is_refused(row):
    with pytest.raises(NotCsvError):
        rows(b"a,b,c\n" + row + b"\n")


def test_other_backslashes_are_text():
    assert rows(b'a,b\nC:\\x,"\\n \\,"\n')[1] == [b"C:\\x", b'"\\n \\,"']


def test_many_quotes_are_read_without_stepping_back():
    body = b"a\n" + b'"' + b'""' * 200_000
    with pytest.raises(NotCsvError):
        rows(body)
