"""Layouts of vendors' files as data, see `layout_catalog`."""
