"""The charts of the report, each registered with its title, section and caption."""
