"""The view of one feature: measures, charts and page."""
