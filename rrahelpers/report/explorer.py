"""The explorer of a report: a click on a curve's point shows whose neighbours an image has there.

A piece of HTML with its data, pictures and script in it, which needs neither kernel nor network: on the page of a
report, and in a notebook. It shows some images as queries, and the neighbours that they truly have among all.
"""

import base64
import io
import json
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image

from rrahelpers.report.findings import Findings

PICTURE = 32  # pixels along a side
QUERIES, SHOWN, PICTURES = 24, 8, 900  # images to choose from; neighbours of each; pictures in all, about
NUMBERS = 120_000  # of neighbours, about


def fragment(report: Findings) -> str:
    """The explorer as HTML, or nothing where there are no pictures or no neighbours."""
    if report.pictures is None or not report.graphs:
        return ""
    queries, chosen = _queries(report)
    place = {sample: number for number, sample in enumerate(chosen)}
    content = {
        "layers": list(report.graphs), "scales": _scales(report), "shown": SHOWN, "side": PICTURE,
        "curves": _curves(report), "label": "NNTS with the images" if report.scales.empty else "class similarity",
        "queries": [place[query] for query in queries], "columns": _columns(len(chosen)),
        "classes": None if report.labels is None else [int(report.labels[sample]) for sample in chosen],
        "names": report.about["classes"],
        "neighbours": {layer: {scale: [[place[sample] for sample in graph.indices[query, :SHOWN].tolist()]
                                       for query in queries] for scale, graph in graphs.items()}
                       for layer, graphs in report.graphs.items()}}
    data = json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")
    script = (Path(__file__).parent / "explorer.js").read_text(encoding="utf-8")
    return (f'<div class="explorer" data-sprite="{_sprite(report.pictures[chosen])}"><script type="application/json">'
            f"{data}</script></div><script>{script}</script>")


def frame(report: Findings) -> str:
    """The explorer in a frame of its own, for a notebook's output."""
    style = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
    inside = f'<!DOCTYPE html><meta charset="utf-8"><style>{style}</style>{fragment(report)}'
    return (f'<div><iframe srcdoc="{escape(inside)}" sandbox="allow-scripts" title="explorer of a report" '
            'style="width:100%;height:36rem;border:0"></iframe></div>')


def _queries(report):
    """Some images, spread over all, and these with all their neighbours that are shown, ascending."""
    graphs = [graph for layer in report.graphs.values() for graph in layer.values()]
    count, most = len(report.pictures), max(1, NUMBERS // (SHOWN * len(graphs)))
    queries, chosen = [], set()
    for query in np.linspace(0, count - 1, min(QUERIES, count, most)).round().astype(int).tolist():
        more = {query, *(sample for graph in graphs for sample in graph.indices[query, :SHOWN].tolist())}
        if queries and len(chosen | more) > PICTURES:
            break
        queries.append(query)
        chosen |= more
    return queries, sorted(chosen)


def _scales(report):
    return sorted({scale for graphs in report.graphs.values() for scale in graphs},
                  key=lambda scale: (scale == "global", scale.rjust(9)))


def _curves(report):
    """{scale: {layer: number}}: class similarity, or where there is none NNTS with the images."""
    if not report.scales.empty:
        return {scale: dict(zip(part["layer"], part["value"].round(4)))
                for scale, part in report.scales.groupby("scale")}
    known = report.layers.dropna(subset="nnts_input")
    return {scale: {row.layer: round(row.nnts_input, 4) for row in known.itertuples()
                    if scale in report.graphs[row.layer]} for scale in _scales(report)}


def _columns(count):
    return max(1, round(count**0.5))


def _sprite(pictures):
    """All pictures in one, row by row, as the address of a JPEG."""
    columns = _columns(len(pictures))
    rows = -(-len(pictures) // columns)
    sheet = np.zeros((rows * PICTURE, columns * PICTURE, 3), np.uint8)
    for number, picture in enumerate(pictures.permute(0, 2, 3, 1).numpy()):
        image = Image.fromarray(picture if picture.shape[2] == 3 else picture.repeat(3, 2))
        top, left = (PICTURE * n for n in divmod(number, columns))
        sheet[top:top + PICTURE, left:left + PICTURE] = np.asarray(image.resize((PICTURE, PICTURE)))
    data = io.BytesIO()
    Image.fromarray(sheet).save(data, "JPEG", quality=82)
    return f"data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode()}"
