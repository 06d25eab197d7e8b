"""Sphinx's settings. What a page needs lies beside it: no font, script or picture is fetched from another host."""

import re
import sys
from pathlib import Path

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.pycode import ModuleAnalyzer

sys.path.insert(0, str(Path(__file__).parent))
import repository

project, author, copyright = repository.PROJECT["name"], "the rrahelpers authors", "2026, the rrahelpers authors"
version = release = repository.PROJECT["version"]
html_title = "What each layer contributes"
language = "en"
extensions = ["sphinx.ext.linkcode" if repository.ADDRESS else "sphinx.ext.viewcode",  # AutoAPI looks for it
              "myst_nb", "autoapi.extension", "sphinx_copybutton"]
exclude_patterns = ["fragments/*", "results/*", "api/rrahelpers/index.rst"]  # whose place reference.md takes

nb_execution_mode = "off"
nb_code_prompt_show, nb_code_prompt_hide = "Show the code that draws", "Hide the code"
myst_enable_extensions = ["dollarmath", "amsmath", "deflist"]
myst_heading_anchors = 3
myst_update_mathjax = False

autoapi_dirs = [str(repository.ROOT / "rrahelpers")]
autoapi_ignore = ["*/study/*", "*/widgets/*", "*/__main__.py"]  # who measures a network of their own needs neither
autoapi_root = "api"
autoapi_options = ["members", "undoc-members", "show-inheritance", "show-module-summary", "imported-members"]
autoapi_add_toctree_entry = False
suppress_warnings = ["autoapi.python_import_resolution"]  # names that one assignment gives together
python_use_unqualified_type_names = True

html_theme = "furo"
html_static_path = ["static"]
html_extra_path = ["_build/extra"]
html_css_files, html_js_files = ["site.css"], [("site.js", {"defer": "defer"})]
html_copy_source = html_show_sourcelink = False
html_favicon = "static/icon.svg"
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#01588b", "color-brand-content": "#01588b"},
    "dark_css_variables": {"color-brand-primary": "#7cc0ee", "color-brand-content": "#7cc0ee"},
}
html_math_renderer = "mathml"  # browsers draw it by themselves; MathJax would be 8 MB of scripts and fonts


ROOMS = repository.ROOT / "rrahelpers"
PARAMETER = re.compile(r"(\*{0,2}\w+(?:, \*{0,2}\w+)*): (.*)")


def linkcode_resolve(domain, info):
    return repository.source_of(info["module"])


def source_in_the_tree(app, module):
    """What a page of source shows, read from the file: the module is not imported."""
    if file := repository.file_of(module):
        analyzer = ModuleAnalyzer.for_file(file, module)
        analyzer.find_tags()
        return analyzer.code, analyzer.tags


def mathml(display):
    def visit(self, node):
        drawn = convert(node.astext(), display=display)
        self.body.append(drawn.replace(">\\{<", ">{<").replace(">\\}<", ">}<"))  # it leaves "\Big\{" so
        raise nodes.SkipNode
    return visit, None


def beside_the_front_door(app, what, name, obj, skip, options):
    """Leave out what a room of the package keeps to itself: its inner modules, constants that nothing is said of, and
    what it imports without offering it."""
    if what in ("module", "package"):
        return name.count(".") > 1 or name == "rrahelpers.base"
    if what in ("data", "attribute") and not obj.docstring:
        return True
    room = ROOMS / name.split(".")[1] / "__init__.py"
    return skip or bool(obj.imported and room.is_file() and "__all__" not in room.read_text(encoding="utf-8"))


def parameters_as_list(app, what, name, obj, options, lines):
    """Our docstrings name parameters in lines "name, other: text", under "Parameters" or as a paragraph: make a list of
    them. A first line that ends in "::" is no sentence for a summary (and code that nothing follows has lost its
    indentation), and bars are those of |a|, not of a substitution."""
    lines[:] = [line if "``" in line or line.startswith("    ") else line.replace("|", r"\|") for line in lines]
    if lines and lines[0].endswith("::"):
        lost = next(filter(None, lines[1:]), " ")[0] != " "
        lines[:] = [lines[0][:-1], "", "::", *("    " * lost + line for line in lines[1:])]
    if "Parameters" in lines:
        start = lines.index("Parameters")
        lines[start:start + 2] = ["**Parameters**", ""]
        listed(lines, start + 2)
    elif start := first_described(lines):
        listed(lines, start)


def first_described(lines):
    """Where a paragraph of lines "name: text" begins of which one goes on in an indented line; 0 for none."""
    starts = [number for number in range(1, len(lines)) if not lines[number - 1] and PARAMETER.match(lines[number])]
    for start in starts:
        paragraph = lines[start:lines.index("", start) if "" in lines[start:] else None]
        if all(line.startswith("    ") or PARAMETER.match(line) for line in paragraph) and any(
                line.startswith("    ") for line in paragraph):
            return start
    return 0


def listed(lines, start):
    """Make a list of the lines "name: text" from ``start`` on, up to the first that is neither one nor indented."""
    section, number = lines[start:], 0
    for number, line in enumerate(section):
        if match := PARAMETER.match(line):
            section[number] = "- " + ", ".join(f"``{one}``" for one in match[1].split(", ")) + f": {match[2]}"
        elif line.startswith("    "):
            section[number] = line[2:]
        elif line.strip():
            break
    else:
        number = len(section)
    lines[start:] = [*section[:number], "", *section[number:]]


def setup(app):
    if not repository.ADDRESS:
        app.connect("viewcode-find-source", source_in_the_tree, priority=400)  # AutoAPI's lacks inner modules
    app.connect("autoapi-skip-member", beside_the_front_door)
    app.connect("autodoc-process-docstring", parameters_as_list)
    app.add_html_math_renderer("mathml", mathml("inline"), mathml("block"))
