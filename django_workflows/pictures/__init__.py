"""
Pictures of executions, made on the server: SVG that may stand inline in any page.

``timeline`` shows when what happened, ``chart`` how much per hour, ``graph`` which way was taken.
None has a script, a style, an id or anything from elsewhere, so all pass a strict
Content-Security-Policy, and any number may stand on one page. Ink is ``currentColor``; the colours
of states are readable on light and dark, and every state has a shape of its own as well. A
stylesheet may change them by the classes ``wf-work``, ``wf-wait``, ``wf-failed``, ``wf-skipped``,
``wf-started``, ``wf-finished``, ``wf-grid`` and, in graphs, by ``[data-mark]``.

Beside each picture there is the same as data, for a table: the bars, the hours, ``graph.rows()``.
"""

from django_workflows.pictures import chart, graph, timeline

__all__ = ["chart", "graph", "timeline"]
