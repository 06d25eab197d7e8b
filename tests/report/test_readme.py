"""README's lines for one's own network, copied into an empty script."""

import re

import pytest

from rrahelpers.base.files import project_root
from rrahelpers.report import networks
from tests.data.test_folders import photograph

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated:DeprecationWarning")
def test_ten_lines_from_a_folder_of_photographs_to_a_page(tmp_path, monkeypatch, capsys):
    pytest.importorskip("timm")
    readme = (project_root() / "README.md").read_text(encoding="utf-8")
    section = readme[readme.index("## Your own network"):]
    code, = re.findall(r"```python\n(.*?)```", section[:section.index("\n## The notebooks")], re.DOTALL)
    assert len(code.strip().splitlines()) <= 10
    for number in range(8):
        photograph(tmp_path / "photographs" / "ab"[number % 2] / f"{number}.jpg", 90 + number, 80, seed=number)
    library = networks._library("timm")  # weights are downloaded elsewhere: here a small network at random
    monkeypatch.setattr(networks, "_library", lambda name: type("timm", (), {
        "create_model": staticmethod(lambda name, pretrained: library.create_model("test_convnext"))}))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "script.py").write_text(code, encoding="utf-8")
    exec(compile(code, "script.py", "exec"), {})
    said = capsys.readouterr().out
    assert "ConvNeXt has" in said and "class_similarity" in said and "as it is" in said
    assert (tmp_path / "report.html").stat().st_size > 1e5 and (tmp_path / "report" / "layers.csv").is_file()
