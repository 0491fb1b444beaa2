"""How Sphinx builds the pages."""

from __future__ import annotations

project = "training-provenance"
project_copyright = "the authors of training-provenance"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]

html_theme = "furo"
html_title = project

exclude_patterns = ["_build", "examples"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_typehints = "description"
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False

# No inventory of another project is loaded, so that the pages build offline; names of
# the standard library and of attrs therefore lead nowhere.
nitpick_ignore_regex = [("py:.*", r"(?!provenance\.).*")]
