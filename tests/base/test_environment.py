"""What the package needs to be imported, and torchvision beside a torch that its operators were not built for."""

import importlib.util
import subprocess
import sys

import pytest

from rrahelpers.base import files

BLOCK = """
import importlib.abc, sys

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ImportError(f"{{name}} is not installed here")

sys.meta_path.insert(0, Missing())
"""
NOT_NEEDED_TO_IMPORT = {"pynndescent", "papermill", "ipywidgets", "seaborn", "sklearn", "pyarrow", "safetensors",
                        "torchvision", "matplotlib", "PIL", "scipy", "IPython", "jaxtyping"}


def python(code):
    child = subprocess.run([sys.executable, "-c", code], cwd=files.project_root(), capture_output=True,
                           encoding="utf-8")
    assert child.returncode == 0, child.stderr
    return child.stdout


def test_the_package_imports_with_torch_numpy_and_pandas_alone():
    code = BLOCK.format(blocked=NOT_NEEDED_TO_IMPORT) + """
for name in {0!r}:
    try:
        __import__(name)
    except ImportError as error:
        assert "not installed here" in str(error)
    else:
        raise AssertionError(f"{{name}} is not blocked")
import rrahelpers
from rrahelpers import attention, data, models, training
from rrahelpers.study import grids
from rrahelpers.training import augmentation, runs  # what trains needs no more
images = data.ImageSet
network = models.build("resnet20", width=0.25)
print(rrahelpers.__version__, sorted(set({0!r}) & {{n.partition(".")[0] for n in sys.modules}}))
""".format(sorted(NOT_NEEDED_TO_IMPORT))
    assert python(code).strip().endswith(" []")


def test_torchvision_after_the_declaration_of_its_operators():
    code = """
from rrahelpers.base.torchvision import torchvision as ours
import torch, torchvision
assert torchvision is ours
network = torchvision.models.resnet18(num_classes=7).eval()
print(tuple(network(torch.zeros(2, 3, 64, 64)).shape))
from rrahelpers import models
print(models.build("torchvision/resnet34", num_classes=3).fc.out_features, "resnet50" in models.names())
"""
    assert python(code).splitlines() == ["(2, 7)", "3 True"]


def test_a_missing_torchvision_is_named(monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec",
                        lambda name, *rest: None if name == "torchvision" else find_spec(name, *rest))
    monkeypatch.delitem(sys.modules, "rrahelpers.base.torchvision", raising=False)
    with pytest.raises(ModuleNotFoundError, match="torchvision is missing: expected torchvision >= .*; pip install"):
        importlib.import_module("rrahelpers.base.torchvision")


def test_an_unknown_module_is_refused_with_those_there_are():
    import rrahelpers

    with pytest.raises(AttributeError, match="rrahelpers has no module 'modles'; expected one of .*models"):
        rrahelpers.modles
    assert {"data", "models", "training"} <= set(dir(rrahelpers))
