"""Where the project's source is published, if it is: links to source and badges follow it."""

import os
import subprocess
import tomllib
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ON_GITHUB = os.environ.get("GITHUB_REPOSITORY")  # "owner/name", where a workflow builds the site
# the one place for the address is [project.urls] of pyproject.toml
ADDRESS = PROJECT.get("urls", {}).get("Repository") or (ON_GITHUB and f"https://github.com/{ON_GITHUB}")


@cache
def checked_out():
    return subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, encoding="utf-8").stdout.strip()


def revision():
    """The commit that is built."""
    return os.environ.get("GITHUB_SHA") or checked_out() or "main"


def badges(notebook, address=ADDRESS):
    """Links that open a notebook at this revision in Colab and Binder, as Markdown; nothing without an address."""
    if not address or "github.com/" not in address:
        return ""
    name, path = address.rstrip("/").split("github.com/")[1], f"notebooks/{notebook}.ipynb"
    return (f"[![Open in Colab](../_static/colab.svg)](https://colab.research.google.com/github/{name}/blob/"
            f"{revision()}/{path})\n[![Open in Binder](../_static/binder.svg)](https://mybinder.org/v2/gh/{name}/"
            f"{revision()}?labpath={path})")


def file_of(module):
    """A module's file, or None."""
    path = ROOT / module.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return file if file.is_file() else None


def source_of(module, address=ADDRESS):
    """The address of a module's file at this revision, or None."""
    file = file_of(module)
    return file and f"{address}/blob/{revision()}/{file.relative_to(ROOT).as_posix()}"
