"""Text is UTF-8 wherever it is read or written, whatever the locale says."""

import ast
import json
import os
import subprocess
import sys

import pytest

from rrahelpers.base.files import project_root
from rrahelpers.study import notebooks

ROOT = project_root()
TEXT = {"read_text", "write_text", "open", "run", "Popen", "check_output", "NamedTemporaryFile", "TemporaryFile",
        "fdopen", "reader"}
OTHERS = ("os", "Image", "tarfile", "zipfile", "webbrowser", "gzip", "lzma")  # whose open() is of something else
ASCII = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONPATH": str(ROOT)}


def unnamed(source):
    """The lines of ``source`` with a call that reads or writes text in whatever encoding the locale has."""
    for call in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)):
        function = call.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", None)
        keywords = {keyword.arg: keyword.value for keyword in call.keywords}
        if name not in TEXT or {"encoding", None} & set(keywords):
            continue
        if name in ("read_text", "write_text"):
            text = len(call.args) < (1 if name == "read_text" else 2)
        elif name == "open":
            of = getattr(getattr(function, "value", None), "id", None)
            mode = (keywords.get("mode")
                    or next((a for a in call.args[:2] if isinstance(a, ast.Constant) and str(a.value)[:1] in "rwax"),
                            None))
            text = of not in OTHERS and not (mode is not None and "b" in mode.value)
        elif name in ("run", "Popen", "check_output"):
            text = {"text", "universal_newlines"} & set(keywords)
        else:
            text = "mode" in keywords and "b" not in ast.literal_eval(keywords["mode"])
        if text:
            yield call.lineno


def test_every_text_names_its_encoding(sources):
    assert [f"{name}, line {line}" for name, source in sources.items() for line in unnamed(source)] == []


@pytest.mark.parametrize("source, expected", [
    ("p.read_text()", [1]), ("p.read_text('utf-8')", []), ("p.write_text(t)", [1]),
    ("p.write_text(t, encoding='utf-8')", []),
    ("open(p)", [1]), ("open(p, 'w')", [1]), ("open(p, 'rb')", []), ("p.open()", [1]), ("p.open('wb')", []),
    ("open(p, mode='ab')", []),
    ("Image.open(p)", []), ("run([c], text=True)", [1]), ("run([c], capture_output=True)", []),
])
def test_the_rule_itself(source, expected):
    assert list(unnamed(source)) == expected


def python(*arguments, **environment):
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, env=ASCII | environment, capture_output=True,
                          encoding="utf-8")


def test_notebooks_and_profiles_are_read_in_an_ascii_locale():
    child = python("-c", """
import locale
assert locale.getpreferredencoding(False) not in ("UTF-8", "utf-8"), "the locale is UTF-8 all the same"
from rrahelpers.base import provenance
from rrahelpers.study import claims, notebooks, profiles
from rrahelpers.study.claims import board
print(sum(len(profiles.parameters(name, profile)) > 0 for name in notebooks.names() for profile in profiles.names()))
board.renewed("", {claim: claims.Verdict("agrees") for claim in claims.CLAIMS})
provenance.commit(), provenance.environment()
""")
    assert child.returncode == 0, child.stderr
    assert int(child.stdout) == len(notebooks.names()) * len(list((ROOT / "notebooks" / "profiles").glob("*.yaml")))


@pytest.mark.parametrize("encoding", ["ascii", "gbk", "cp1252"])
def test_the_stored_runs_are_listed_in_any_encoding_of_the_terminal(tmp_path, encoding):
    """Names that it lacks are shown as escapes: "Größe" is in cp1252, Cyrillic in gbk, neither in ASCII."""
    config = {"model": "resnet20", "data": "Größe-цифры", "data_checksum": "0123456789ab"}
    record = {"format": 1, "status": "complete", "config": config, "build": {}, "mean": [0.3], "std": [0.4],
              "history": [{"test_accuracy": 0.5}]}
    folder = tmp_path / "resnet20-x"
    folder.mkdir()
    (folder / "record.json").write_text(json.dumps(record, ensure_ascii=False), encoding="utf-8")
    child = subprocess.run([sys.executable, "-m", "rrahelpers", "list"], cwd=ROOT, capture_output=True,
                           env=ASCII | {"RRA_RUNS": str(tmp_path), "PYTHONIOENCODING": encoding})
    assert child.returncode == 0, child.stderr
    shown = child.stdout.decode(encoding)
    assert "resnet20-x  50.00%" in shown and "Größe-цифры".encode(encoding,
                                                                  "backslashreplace").decode(encoding) in shown
