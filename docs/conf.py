"""Sphinx: MyST pages and docstrings, in Furo. Doctests in all of them run under pytest."""

from __future__ import annotations

from importlib.metadata import version as installed_version

project = "meshlog"
author = "The meshlog authors"
release = version = installed_version("meshlog")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
# Pages link into the repository (../CONTRIBUTING.md), which is outside of this tree.
suppress_warnings = ["myst.xref_missing"]

autodoc_member_order = "bysource"
autodoc_typehints = "description"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = ["Source"]

html_theme = "furo"
html_title = f"meshlog {release}"
