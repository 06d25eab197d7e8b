"""A report as one self-contained page: summary, figures, the table of all layers, advice, and where it comes from.

Styles, script and figures are in the page; its content security policy lets it fetch nothing.
"""

from __future__ import annotations

import io
import json
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import pandas as pd

from rrahelpers.plots import layers as figures
from rrahelpers.plots.style import STYLE
from rrahelpers.report import explorer
from rrahelpers.report.findings import Findings
from rrahelpers.report.summary import sentences

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

INK = "#010203"  # what is drawn in it takes the page's own colour of text
INKED: tuple[RcKeyType, ...] = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
STYLES: dict[RcKeyType, Any] = {**STYLE, **dict.fromkeys(INKED, INK), "figure.facecolor": "none",
                                "axes.facecolor": "none", "savefig.facecolor": "none", "svg.fonttype": "none"}
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
SHARES = ("class_similarity", "separation_index", "saturation", "probe", "nnts", "lost")  # beginnings of columns
EXPLAINED = ("A click on a point chooses its layer and scale; below are an image (left) and its nearest neighbours "
             "there, then those of the layer that was chosen before. The pictures at the bottom choose the image.")


def page(report: Findings) -> str:
    """The whole page as text."""
    here, about = Path(__file__).parent, report.about
    title = f"{about['model']}: what its layers contribute"
    style, script = ((here / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    drawn = "".join(f"<figure>{picture}<figcaption>{escape(caption)}</figcaption></figure>"
                    for picture, caption in _figures(report))
    advice = "" if report.advice.empty else f"<h2>What could be changed</h2>{table(report.advice)}"
    ablations = "" if report.ablations is None else f"<h2>Without a layer</h2>{table(report.ablations)}"
    if explored := explorer.fragment(report):
        explored = (f'<section class="screen"><h2>Neighbours, layer by layer</h2><p><small>{EXPLAINED}</small></p>'
                    f"{explored}</section>")
    notes = "".join(f"<li>{escape(note)}</li>" for note in report.notes)
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}"><title>{escape(title)}</title>
<style>{style}</style></head><body><main><h1>{escape(title)}</h1>
<p class="about">{about['images']} images of {'x'.join(map(str, about['shape']))} ({escape(about['data'])}),
{len(report.layers)} layers, {escape(about['written'][:10])}</p>
<ol class="summary">{''.join(f'<li>{escape(one)}</li>' for one in sentences(report))}</ol>
<h2>Layer by layer</h2><div class="figures">{drawn}</div>
{explored}
<h2>All layers</h2><p><small>A click on a heading sorts. Layers in a tail of low saturation are in italics; an empty
cell was not measured, see the notes.</small></p>{table(report.layers, sortable=True)}
{advice}{ablations}
<h2>Notes</h2><ul>{notes or '<li>Nothing was left out.</li>'}</ul>
<h2>Where the numbers come from</h2><dl>{_provenance(about)}</dl></main><script>{script}</script></body></html>
"""


def table(frame: pd.DataFrame, sortable: bool = False) -> str:
    """A data frame as a table that scrolls sideways; the first column stays in sight."""
    kinds = {column: "text" if _is_text(frame[column]) else "number" for column in frame.columns}
    heads = "".join(f'<th class="{kind}" data-kind="{kind}" scope="col">{_head(column, sortable)}</th>'
                    for column, kind in kinds.items())
    rows = []
    for record in frame.to_dict("records"):
        cells = "".join(_cell(place, column, record[column], kinds[column]) for place, column in enumerate(kinds))
        tail = record.get("in_tail")
        rows.append(f'<tr class="tail">{cells}</tr>' if not pd.isna(tail) and tail else f"<tr>{cells}</tr>")
    sort = ' class="sortable"' if sortable else ""
    return (f'<div class="wide" tabindex="0"><table{sort}><thead><tr>{heads}</tr></thead><tbody>{"".join(rows)}</tbody>'
            "</table></div>")


def _is_text(series):
    return not (pd.api.types.is_numeric_dtype(series) or pd.api.types.is_bool_dtype(series))


def _head(column, sortable):
    name = escape(str(column).replace("_", " "))
    return f'<button type="button">{name}</button>' if sortable else name


def _cell(place, column, value, kind):
    missing = value is None or bool(pd.isna(value))
    raw = "" if missing else str(value) if kind == "text" else f"{float(value):.8g}"
    tag, scope = ("th", ' scope="row"') if place == 0 else ("td", "")
    names = " ".join(filter(None, (kind if kind == "text" else "", "reason" if column in ("reason", "change") else "")))
    about = (f' class="{names}"' if names else "") + scope
    return f'<{tag}{about} data-value="{escape(raw)}">{escape("" if missing else _shown(column, value))}</{tag}>'


def _shown(column, value):
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or type(value).__name__ in ("bool", "bool_"):
        return "yes" if value else "no"
    if column.startswith(SHARES) or column.endswith("_saved") or column == "accuracy":
        return f"{value:.3f}"
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{int(value):,}".replace(",", "\u2009")


def _figures(report):
    """(picture as HTML, caption) of what can be drawn."""
    layers = report.layers
    with plt.rc_context(STYLES):
        yield from _svg({
            "Class similarity: the share of an image's nearest neighbours of its own class, at each pooling scale.":
                lambda: figures.similarity_figure(report.scales),
            "Accuracy of linear probes, on images that they were fitted on and on others; the separation index, which "
            "is the share of images whose nearest neighbour is of their class.":
                lambda: figures.columns_figure(layers, {"probe": "probe, other images", "probe_train": "probe, its own",
                                                        "separation_index": "separation index"}, "share", (0, 1.02)),
            "Saturation: the share of a layer's dimensions that hold 99 % of its variance.":
                lambda: figures.saturation_figure(layers),
            "Intrinsic dimension, from the two nearest neighbours of each image.":
                lambda: figures.columns_figure(layers, {"intrinsic_dimension": ""}, "dimension"),
            "Neighbours that a layer shares (NNTS) with the images, with the layer before and with the last layer.":
                lambda: figures.columns_figure(layers, {"nnts_input": "with the images", "nnts_before": "layer before",
                                                        "nnts_output": "last layer"}, "NNTS", (0, 1.02)),
            "NNTS of all pairs of layers.": lambda: figures.pairs_figure(report.pairs),
            "Accuracy that is lost where a layer is replaced by its mean.":
                lambda: figures.columns_figure(layers, {"lost": ""}, "accuracy lost"),
        })


def _svg(drawings):
    for number, (caption, draw) in enumerate(drawings.items()):
        if (fig := draw()) is not None:
            with plt.rc_context({"svg.hashsalt": str(number)}):
                text = io.StringIO()
                fig.savefig(text, format="svg", bbox_inches="tight", metadata={"Date": None})
            plt.close(fig)
            svg = text.getvalue()
            start, end = svg.find("<metadata>"), svg.find("</metadata>")
            svg = svg[svg.index("<svg"):start] + svg[end + len("</metadata>"):]
            yield svg.replace(INK, "currentColor").replace("<svg", '<svg role="img"', 1), caption


def _provenance(about):
    shown = {key: value for key, value in about.items() if value is not None and key != "classes"}
    return "".join(f"<dt>{escape(key)}</dt><dd>{escape(_told(value))}</dd>" for key, value in shown.items())


def _told(value):
    if isinstance(value, dict):
        return ", ".join(f"{key} {one}" for key, one in value.items() if one is not None)
    return value if isinstance(value, str) else json.dumps(value)
