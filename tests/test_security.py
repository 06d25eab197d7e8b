"""What a stranger's files can't do (SECURITY.md)."""

import ast
import pickle
import re

import pytest

from rrahelpers import training
from rrahelpers.base.files import project_root, write_json
from rrahelpers.study import profiles
from rrahelpers.training import runs
from rrahelpers.training.config import RunConfig
from rrahelpers.training.records import FORMAT
from rrahelpers.training.runs import Run, RunError

TINY = RunConfig("resnet20", "digits", options={"width": 0.25, "depth": 0.34}, limit=64, epochs=1)


def stored(**changes):
    """A record in the store, as a stranger may write it."""
    folder = runs.store_root() / "strange"
    write_json(folder / "record.json", {
        "format": FORMAT, "status": "complete", "config": {"model": "resnet20", "data": "digits"}, "build": {},
        "mean": [0.3],
        "std": [0.4], "history": [{"test_accuracy": 0.5}], **changes})
    return Run(folder)


class Malice:
    """Unpickled, it writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w", -1, "utf-8")


def test_malice_works_where_it_is_let(tmp_path):
    pickle.loads(pickle.dumps(Malice(tmp_path / "done"))).close()
    assert (tmp_path / "done").exists()


def unsafe(source):
    """The lines of ``source`` that read what may hold code."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None)]
            if {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"} & set(names):
                yield node.lineno
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if (name in ("eval", "exec", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "pd.read_pickle",
                         "pandas.read_pickle")
                    or name == "torch.load" and keywords.get("weights_only") != "True"
                    or keywords.get("allow_pickle") == "True" or name.startswith("torch.hub.")):
                yield node.lineno


@pytest.mark.parametrize("source, lines", [
    ("torch.load(p)", [1]), ("torch.load(p, weights_only=False)", [1]), ("torch.load(p, weights_only=True)", []),
    ("import pickle", [1]),
    ("from pickle import loads", [1]), ("yaml.load(t)", [1]), ("yaml.safe_load(t)", []), ("model.eval()", []),
    ("eval(t)", [1]),
    ("np.load(p, allow_pickle=True)", [1]), ("np.load(p)", []),
])
def test_the_rule_itself(source, lines):
    assert list(unsafe(source)) == lines


def test_nothing_reads_what_may_hold_code(sources):
    assert [f"{name}, line {line}" for name, source in sources.items() if not name.startswith("tests/")
            for line in unsafe(source)] == []


@pytest.mark.filterwarnings("ignore:Detected pickle protocol:UserWarning")  # torch's, of the malice
@pytest.mark.parametrize("pack",
                         [pickle.dumps, lambda malice: pickle.dumps({"model": malice, "optimiser": {}, "history": []})])
def test_a_checkpoint_runs_no_code(tmp_path, pack):
    folder = runs.store_root() / training.resolve(TINY).name
    folder.mkdir(parents=True)
    (folder / "checkpoint.pt").write_bytes(pack(Malice(tmp_path / "done")))
    with pytest.warns(UserWarning, match="checkpoint.pt is damaged"):
        training.train(TINY)
    assert not (tmp_path / "done").exists()


def test_weights_run_no_code(tmp_path):
    run = stored()
    (run.folder / "weights.safetensors").write_bytes(pickle.dumps(Malice(tmp_path / "done")))
    with pytest.raises(RunError, match="is damaged"):
        run.model()
    assert not (tmp_path / "done").exists()


@pytest.mark.parametrize("changes, error", [
    ({"config": {"model": "os.system", "data": "digits"}}, ValueError),
    ({"config": {"model": "torchvision/resnet18", "data": "digits"}, "build": {"weights": "DEFAULT"}}, TypeError),
    ({"config": {"model": "torchvision/resnet18", "data": "digits"}, "build": {"norm_layer": "os.system"}}, TypeError),
])
def test_a_record_names_no_code_and_fetches_no_weights(changes, error):
    run = stored(**changes)
    with pytest.raises(error):
        run.untrained()


@pytest.mark.parametrize("name", ["../../elsewhere", "/etc", "..", "a/b"])
def test_a_record_names_no_folder_as_its_data(name):
    run = stored(config={"model": "resnet20", "data": name})
    with pytest.raises(ValueError, match="expected a data set's name"):
        run.images("test")


@pytest.mark.parametrize("name", ["../../elsewhere", "/etc", "..", "a/b", "a\\b"])
def test_a_run_lies_in_the_store_whatever_its_data_are_called(name):
    folder = runs.store_root() / RunConfig("resnet20", name, data_checksum="0" * 12).name
    assert folder.parent == runs.store_root() and not set(folder.name) & set("/\\")


def test_a_profile_runs_no_code(tmp_path, monkeypatch):
    monkeypatch.setattr(profiles, "_folder", lambda: tmp_path)
    (tmp_path / "strange.yaml").write_text(f"all: !!python/object/apply:builtins.open ['{tmp_path}/done', 'w']\n",
                                           encoding="utf-8")
    with pytest.raises(ValueError, match="strange.yaml is no YAML"):
        profiles.read("strange")
    assert not (tmp_path / "done").exists()


def test_jupyter_keeps_its_defaults():
    """Local, with a token: the Makefile gives JupyterLab no option, and the repository holds no settings of it."""
    commands = re.findall(r"^\t.*jupyter.*$", (project_root() / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert commands == ["\t$(BIN)/jupyter lab notebooks"]
    places = [project_root(), project_root() / "notebooks", *project_root().glob(".jupyter")]
    assert not [path for place in places for path in place.glob("jupyter*config*")]


def test_a_record_is_written_as_json_alone(tmp_path):
    with pytest.raises(TypeError):
        write_json(tmp_path / "record.json", {"x": Malice(tmp_path)})
