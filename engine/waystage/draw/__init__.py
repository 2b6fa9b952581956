"""Pictures of lifecycles: SVG without outside tools, and Mermaid."""

from __future__ import annotations

from waystage.draw.chart import Chart, chart_of
from waystage.draw.mermaid import mermaid
from waystage.draw.svg import svg
from waystage.draw.track import Track, track_of

__all__ = ["Chart", "Track", "chart_of", "mermaid", "svg", "track_of"]
