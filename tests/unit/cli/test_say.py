from gateway.cli.say import print_table


def test_names_in_wide_script_keep_the_columns_straight(capsys):
    print_table([("name", "salon"), ("結城 ゆき", "yoyogi"), ("Mei", "aoyama")])
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["name       salon", "結城 ゆき  yoyogi", "Mei        aoyama"]
