"""`allocate` and `split` as anybody types them: no database, no configuration."""

from __future__ import annotations

import json
import signal
import subprocess

import pytest

from regional311 import cli

REGINA = """
[[pool]]
name = "HR"
cost = "80000"
[pool.serves]
DP = 20
RM = 10
Machining = 40
Assembly = 30

[[pool]]
name = "DP"
cost = 120000
[pool.serves]
HR = 8
RM = 7
Machining = 30
Assembly = 55

[[pool]]
name = "RM"
cost = 40000.00
[pool.serves]
Machining = 0.5
Assembly = "0.5"

[[target]]
name = "Machining"
cost = "0"

[[target]]
name = "Assembly"
cost = "0.00"
"""


@pytest.fixture
def regional311(monkeypatch, tmp_path, capsys):
    """Run a command where nothing could reach a database."""
    for name in ("REGIONAL311_DATABASE_URL", "REGIONAL311_OWNER_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    handler = signal.getsignal(signal.SIGTERM)

    def run(*arguments):
        code = 0
        try:
            cli.main(list(arguments))
        except SystemExit as leaving:
            code = int(leaving.code or 0)
        printed = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, code, printed.out, printed.err)

    yield run
    signal.signal(signal.SIGTERM, handler)
    assert not (tmp_path / "var").exists()


@pytest.fixture
def case(tmp_path):
    def write(text):
        path = tmp_path / "case.toml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def test_step_down_is_the_default_and_answers_exactly(regional311, case):
    """University of Regina, BUS 388, in the order HR, DP, RM."""
    done = regional311("allocate", case(REGINA), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "method": "step-down",
        "pools": [
            {"name": "HR", "gross_cents": 8_000_000},
            {"name": "DP", "gross_cents": 13_600_000},
            {"name": "RM", "gross_cents": 5_834_783},
        ],
        "targets": [
            {"name": "Machining", "cents": 10_552_174},
            {"name": "Assembly", "cents": 13_447_826},
        ],
        "total_cents": 24_000_000,
    }


def test_all_methods_come_as_a_list_in_their_order(regional311, case):
    done = regional311("allocate", case(REGINA), "--method", "all", "--json")
    answers = json.loads(done.stdout)
    assert [each["method"] for each in answers] == [
        "direct",
        "step-down",
        "double-step-down",
        "reciprocal",
    ]
    assert answers[3]["targets"][0]["cents"] == 10_727_642


@pytest.mark.parametrize("method", ["direct", "step-down", "double-step-down", "reciprocal"])
def test_each_method_by_name(regional311, case, method):
    done = regional311("allocate", case(REGINA), "--method", method, "--json")
    answer = json.loads(done.stdout)
    assert answer["method"] == method
    assert sum(each["cents"] for each in answer["targets"]) == answer["total_cents"]


def test_without_json_it_is_a_table_to_read(regional311, case):
    done = regional311("allocate", case(REGINA), "--method", "all")
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["direct", "step-down", "double-step-down", "reciprocal"]
    assert "107,276.42" in next(line for line in lines if line.startswith("Machining"))
    assert len({len(line) for line in lines}) == 1


def test_a_base_of_zeros_stays_in_view(regional311, case):
    text = REGINA.replace("Machining = 0.5", "Machining = 0").replace('"0.5"', '"0"')
    path = case(text)
    answer = json.loads(regional311("allocate", path, "--json").stdout)
    assert answer["unallocated"] == [{"name": "RM", "cents": 5_834_782}]
    parts = [each["cents"] for each in answer["targets"] + answer["unallocated"]]
    assert sum(parts) == answer["total_cents"] == 24_000_000
    assert "RM (unallocated)" in regional311("allocate", path).stdout


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('cost = "80000"', 'cost = "eighty"', "pool[HR].cost"),
        ('cost = "80000"', "cost = nan", "pool[HR].cost"),
        ('cost = "80000"', "cost = true", "pool[HR].cost"),
        ('cost = "80000"', 'cost = "1.005"', "more than two places"),
        ('cost = "80000"', "cost = 1e30", "too many digits"),
        ('cost = "80000"\n', "", "pool[HR].cost: is missing"),
        ("DP = 20", "DP = -20", "pool[HR].serves.DP: a quantity cannot be negative"),
        ("DP = 20", "Nobody = 20", "pool[HR].serves: Nobody"),
        ("DP = 20", "DP = []", "pool[HR].serves.DP"),
        ('name = "DP"', 'name = "HR"', "pool[HR].name"),
        ('name = "DP"', 'name = " "', "pool[2].name"),
        ('name = "DP"', 'name = "DP"\nbasis = "x"', "pool[DP].basis"),
        ("[[target]]", "[[targets]]", "targets"),
        ("[[pool]]", "[[pool", "is not TOML"),
    ],
)
def test_bad_input_is_one_line_with_file_and_key(regional311, case, old, new, says):
    assert old in REGINA
    path = case(REGINA.replace(old, new, 1))
    done = regional311("allocate", path, "--json")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert path in done.stderr
    assert says in done.stderr


@pytest.mark.parametrize("text", ["", "pool = 3", '[[pool]]\nname = "a"\ncost = 1'])
def test_a_case_has_pools_and_targets(regional311, case, text):
    done = regional311("allocate", case(text))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_a_file_that_is_not_there_is_named(regional311):
    done = regional311("allocate", "nowhere.toml")
    assert done.returncode == 2
    assert done.stderr == "regional311: nowhere.toml: cannot be read: No such file or directory.\n"


def test_a_closed_group_is_refused_with_its_members(regional311, case):
    text = """
    [[pool]]
    name = "A"
    cost = "1"
    serves = { B = 1 }
    [[pool]]
    name = "B"
    cost = "1"
    serves = { A = 1 }
    [[target]]
    name = "T"
    cost = "1"
    """
    done = regional311("allocate", case(text), "--method", "reciprocal")
    assert done.returncode == 2
    assert "A and B serve only one another" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["9900", "1", "1", "1", "1", "1"], [1980] * 5),
        (["99", "1", "1", "1", "1", "1"], [20, 20, 20, 20, 19]),
        (["18225", "98", "2"], [17861, 364]),
        (["78508", "33.33", "33.33", "33.34"], [26167, 26167, 26174]),
        (["1", "95", "5"], [1, 0]),
        (["500000", *["1"] * 12], [41667] * 8 + [41666] * 4),
        (["-5", "1", "1", "1"], [-2, -2, -1]),
        (["0", "0", "0"], [0, 0]),
    ],
)
def test_split_prints_the_parts(regional311, arguments, parts):
    """99 by 5; 182.25 by 98/2; 785.08 by thirds; 0.01 by 95/5; 5,000 by 12: the specification."""
    done = regional311("split", *arguments)
    assert done.stdout == " ".join(str(part) for part in parts) + "\n"
    assert json.loads(regional311("split", *arguments, "--json").stdout) == parts


@pytest.mark.parametrize(
    "arguments",
    [["5", "0", "0"], ["5", "-1", "2"], ["5", "x"], ["1.5", "1"], ["5", "nan"], ["5", "1e3"]],
)
def test_split_refuses_in_one_line(regional311, arguments):
    done = regional311("split", *arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
